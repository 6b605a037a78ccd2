"""What stands for code that no distribution and no file stands for: a hash of its source, and all it uses.

The source of a function is hashed with the values that it reads: defaults, closure and globals; of those that
are functions or classes again the source. Code of libraries, which are installed, is known by name alone.
"""

from __future__ import annotations

import dis
import enum
import functools
import hashlib
import inspect
import os
import site
import sys
import sysconfig
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.util import find_spec, resolve_name
from itertools import chain
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

_PLAIN = frozenset({bool, int, float, complex, str, bytes})
_GLOBALS = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
# What Python, ABC and typing write into a class, and what says nothing of what it does.
_OF_EVERY_CLASS = frozenset({
    "__dict__", "__weakref__", "__module__", "__doc__", "__qualname__", "__annotations__", "__firstlineno__",
    "__static_attributes__", "__abstractmethods__", "_abc_impl", "__parameters__", "__orig_bases__",
    "__annotate__", "__annotate_func__", "__annotations_cache__", "__classdictcell__", "__hash__",
})  # fmt: skip
_WRITTEN_BY = "<string>"  # the file of methods that dataclasses and namedtuple write

_INSIDE: tuple[tuple[Any, Callable[[Any], Iterable[Any]]], ...] = (
    (tuple, lambda value: (type(value), *value) if hasattr(value, "_fields") else value),
    (list, iter),
    (dict, lambda value: chain.from_iterable(value.items())),
    (enum.Enum, lambda value: (type(value), value.name)),
    (MethodType, lambda value: (value.__func__, value.__self__)),
    (property, lambda value: (value.fget, value.fset, value.fdel)),
    ((staticmethod, classmethod), lambda value: (value.__func__,)),
    (functools.cached_property, lambda value: (value.func,)),
)


class NoSource(Exception):
    """Why there is no source that could stand for code."""


class Source:
    """The SHA-256 of the source of values, functions among them, and the modules that it was found in.

    Where not ``strict``, what has no source counts as nothing: then ``modules`` alone is of use. They are
    those that other processes may not find. Raises NoSource where there is none.
    """

    def __init__(self, values: Mapping[str, object], *, strict: bool = True) -> None:
        self.modules: dict[str, ModuleType] = {}
        self._strict = strict
        self._tokens: dict[int, str] = {}
        self._alive: list[object] = []  # or an id could be given to two of them
        self._compiled: dict[str, list[CodeType]] = {}
        try:
            self.sha256 = self._token({name: values[name] for name in sorted(values)})
        except RecursionError:
            raise NoSource("what it uses is nested too deeply") from None

    def _token(self, value: Any) -> str:
        """Return what stands for a value: the same in every process."""
        if value is None or type(value) in _PLAIN:
            return f"{type(value).__name__} {value!r}"
        known = self._tokens.get(id(value))
        if known is not None:
            return known
        self._tokens[id(value)] = f"again {len(self._tokens)}"  # of a circle, where it closes
        self._alive.append(value)
        token = self._tokens[id(value)] = _hash(self._parts(value))
        return token

    def _tokens_of(self, values: Iterable[Any]) -> list[str]:
        return [self._token(one) for one in values]

    def _parts(self, value: Any) -> Iterator[str]:
        """Yield texts that say what a value is."""
        yield type(value).__qualname__
        if isinstance(value, FunctionType):
            yield from self._of_function(value)
        elif isinstance(value, type):
            yield from self._of_class(value)
        elif isinstance(value, ModuleType):
            yield from self._of_module(value)
        elif isinstance(value, BuiltinFunctionType):
            yield f"{value.__module__}.{value.__qualname__}"
        elif isinstance(value, set | frozenset):
            yield from sorted(self._tokens_of(value))
        elif (inner := _inside(value)) is not None:
            yield from self._tokens_of(inner)
        else:
            yield from self._of_object(value)

    def _of_function(self, function: FunctionType) -> Iterator[str]:
        code = function.__code__
        if _is_library(code.co_filename, function.__module__):
            yield f"{function.__module__}.{code.co_qualname}"
            yield from self._tokens_of(_content(cell) for cell in function.__closure__ or ())  # what it wraps
            return
        self._note(function.__module__)
        yield self._text(code, function.__qualname__)
        yield from self._tokens_of((function.__defaults__, function.__kwdefaults__))
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            yield from (name, self._token(_content(cell)))
        names, imported = _uses(code)
        for name in sorted(names & function.__globals__.keys()):
            yield from (name, self._token(function.__globals__[name]))
        for name in sorted(imported):
            yield from self._of_import(name, function.__globals__.get("__package__") or "")

    def _of_import(self, name: str, package: str) -> Iterator[str]:
        """Yield what stands for a module that a function imports when it is called: its file alone."""
        try:
            found = find_spec(resolve_name(name, package))
        except (ImportError, ValueError, AttributeError):
            return
        if found and found.has_location and found.origin and not _is_library(found.origin, found.name):
            yield from (name, hashlib.sha256(Path(found.origin).read_bytes()).hexdigest())

    def _of_class(self, cls: type) -> Iterator[str]:
        yield f"{cls.__module__}.{cls.__qualname__}" if _is_of_library(cls) else cls.__qualname__
        if _is_of_library(cls):
            return
        self._note(cls.__module__)
        yield from self._tokens_of((type(cls), cls.__bases__))
        if issubclass(cls, enum.Enum):
            yield from self._tokens_of({name: one.value for name, one in cls.__members__.items()}.items())
        fields = getattr(cls, "__dataclass_fields__", {})
        for field in fields.values():
            yield f"{field.name} {field.type} {field.init} {field.kw_only}"
            defaults = (one for one in (field.default, field.default_factory) if not _is_missing(one))
            yield from self._tokens_of(defaults)
        written = bool(fields) or hasattr(cls, "_fields")
        for name, value in sorted(vars(cls).items()):
            code = getattr(inspect.unwrap(getattr(value, "__func__", value)), "__code__", None)
            generated = written and code is not None and code.co_filename == _WRITTEN_BY
            if name in _OF_EVERY_CLASS or generated or name.startswith("__dataclass_"):
                continue
            if issubclass(cls, enum.Enum) and not isinstance(value, FunctionType | property):
                continue
            yield from (name, "" if _is_slot(value) else self._token(value))

    def _of_module(self, module: ModuleType) -> Iterator[str]:
        """Yield the source of a module, and what it has from others; values are in its source."""
        file = getattr(module, "__file__", None)
        yield module.__name__
        if _is_library(file or "", module.__name__):
            return
        self._note(module.__name__)
        try:
            yield hashlib.sha256(Path(str(file)).read_bytes()).hexdigest()
        except OSError:
            yield self._without_source(f"the module {module.__name__} has no file")
        for name, value in sorted(vars(module).items()):
            if isinstance(value, FunctionType | ModuleType | type) and not name.startswith("__"):
                yield from (name, self._token(value))

    def _of_object(self, value: Any) -> Iterator[str]:
        """Yield what pickle would keep of an object: its class, and its state."""
        torch = sys.modules.get("torch")
        if torch and isinstance(value, torch.Tensor):  # whose pickle has addresses in it
            raw = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
            yield from (str(value.dtype), str(tuple(value.shape)), hashlib.sha256(raw).hexdigest())
            return
        try:
            reduced = value.__reduce_ex__(4)
        except Exception:
            yield self._without_source(f"it uses {_shown(value)}, which has no source")
            return
        if isinstance(reduced, str):
            yield f"{getattr(value, '__module__', '')}.{reduced}"
            return
        for part in reduced:
            yield self._token([*part] if isinstance(part, Iterator) else part)

    def _without_source(self, why: str) -> str:
        if self._strict:
            raise NoSource(why)
        return ""

    def _note(self, module: str | None) -> None:
        if module in sys.modules and module not in (None, "__main__"):
            self.modules[module] = sys.modules[module]

    def _text(self, code: CodeType, name: str) -> str:
        """Return the text of a function, as it was when it was defined."""
        try:
            lines, _ = inspect.findsource(code)
            text = _of_lambda(code, lines) or textwrap.dedent(inspect.getsource(code))
        except (OSError, SyntaxError, IndexError):
            return self._without_source(f"{name} has no source that Python can find")
        if os.path.isfile(code.co_filename):
            content = "".join(lines)
            if content not in self._compiled:
                self._compiled[content] = list(_codes(content))
            if code not in self._compiled[content]:
                file = Path(code.co_filename).name
                return self._without_source(
                    f"{file} was changed since {name} was read from it: read it again"
                )
        return text


def _inside(value: Any) -> Iterable[Any] | None:
    """Return what a value consists of; None for one that nothing here knows."""
    for kind, parts in _INSIDE:
        if isinstance(value, kind):
            return parts(value)
    # Such as that of functools.cache.
    return (value.__wrapped__,) if callable(value) and hasattr(value, "__wrapped__") else None


def _hash(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode(errors="backslashreplace")
        digest.update(f"{len(content)} ".encode() + content)
    return digest.hexdigest()


def _content(cell: Any) -> Any:
    """Return what a variable of a closure is; None for one that is not set yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _uses(code: CodeType) -> tuple[set[str], set[str]]:
    """Return the globals that code reads, and the modules that it imports, dots before relative names."""
    names, imported = set(), set()
    level = 0
    for one in dis.get_instructions(code):
        if one.opname in _GLOBALS:
            names.add(one.argval)
        elif one.opname == "IMPORT_NAME":
            imported.add("." * level + one.argval)
        elif one.opname == "LOAD_CONST" and isinstance(one.argval, int):
            level = one.argval  # the dots of the import that may follow
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            further, more = _uses(inner)
            names |= further
            imported |= more
    return names, imported


def _of_lambda(code: CodeType, lines: list[str]) -> str:
    """Return the text of a lambda, which may be one of several in a line; nothing for another function."""
    if code.co_name != "<lambda>":
        return ""
    spans = [
        ((line, start), (end_line, end))
        for line, end_line, start, end in code.co_positions()
        if line and end_line and start is not None and end and (line, start) != (end_line, end)
    ]
    if not spans:  # python -X no_debug_ranges
        return ""
    first, begins = min(start for start, _ in spans)
    last, stops = max(end for _, end in spans)
    body = [line.encode() for line in lines[first - 1 : last]]
    body[-1] = body[-1][:stops]
    body[0] = body[0][begins:]
    return f"lambda {', '.join(code.co_varnames)}: {b''.join(body).decode(errors='replace')}"


def _codes(content: str) -> Iterator[CodeType]:
    """Yield all code in a file."""
    waiting = [compile(content, "", "exec", dont_inherit=True)]
    while waiting:
        code = waiting.pop()
        yield code
        waiting += [one for one in code.co_consts if isinstance(one, CodeType)]


@functools.cache
def _library_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += [*site.getsitepackages(), site.getusersitepackages()]
    return tuple(os.path.join(os.path.realpath(folder), "") for folder in folders)


def _is_library(file: str, module: str | None) -> bool:
    """Say whether code in a file, of a module, is that of an installed library, or of Python."""
    if (module or "").partition(".")[0] == "quadzoo":
        return True
    if os.path.isfile(file):
        return os.path.realpath(file).startswith(_library_folders())
    if module == "__main__" or module not in sys.modules:
        return False
    home = getattr(sys.modules[module], "__file__", None)
    return home is None or os.path.realpath(home).startswith(_library_folders())


def _is_of_library(cls: type) -> bool:
    module = sys.modules.get(cls.__module__)
    if module is None or cls.__module__ == "__main__":
        return False
    return _is_library(getattr(module, "__file__", None) or "", cls.__module__)


def _is_missing(default: object) -> bool:
    return type(default).__qualname__ == "_MISSING_TYPE"


def _is_slot(value: object) -> bool:
    """Say whether a class has an attribute from ``__slots__``, or from C."""
    return inspect.ismemberdescriptor(value) or inspect.isgetsetdescriptor(value)


def _shown(value: object) -> str:
    kind = type(value)
    return f"an object of {kind.__module__}.{kind.__qualname__}"[:100]
