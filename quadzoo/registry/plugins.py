"""Find the installed plugins and call their hooks, one by one, so that a broken one harms nobody else."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib.metadata import Distribution, EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import pluggy

from quadzoo import __version__
from quadzoo.errors import ConfigError
from quadzoo.registry import additions, hooks
from quadzoo.registry.additions import PluginFile
from quadzoo.registry.containment import contained, in_a_line
from quadzoo.registry.given import PREFIX, GivenSpec
from quadzoo.registry.specs import BackboneSpec, HeadSpec, ModelSpec

Finder = Callable[[str, Mapping[str, Any] | None], BackboneSpec | None]
"""Finds a backbone by a name that is in no list; see `quadzoo.registry.hooks.find_backbone`."""

STRICT = "QUADZOO_STRICT"
"""The variable that, set to 1, makes an error of every plugin that fails."""
_API_NAME = "QUADZOO_API"
_LONGEST = 200  # characters of a description
_MOST_SPECS = 100_000  # of a plugin: a list without an end would fill the memory


@dataclass(frozen=True)
class Plugin:
    """One entry point, or one file: who ships it, what it registers, and what went wrong, if anything did.

    A file is its own distribution, and ``file_sha256`` stands for its code. So is a spec that was given as an
    object, and ``given_sha256`` stands for it.
    """

    name: str
    distribution: str
    version: str
    backbones: tuple[BackboneSpec, ...] = field(default=(), repr=False)
    heads: tuple[HeadSpec, ...] = field(default=(), repr=False)
    models: tuple[ModelSpec, ...] = field(default=(), repr=False)
    description: str = ""
    failure: str = ""
    editable: bool = False
    module: str = field(default="", repr=False)
    finders: tuple[Finder, ...] = field(default=(), repr=False)
    file_sha256: str = ""
    given_sha256: str = ""

    @cached_property
    def source(self) -> str:
        """A SHA-256 of a file or a given spec, or of the Python files of an editable installation's package.

        Else it is empty.
        """
        if self.file_sha256 or self.given_sha256:
            return self.file_sha256 or self.given_sha256
        return _source_hash(self.module.partition(".")[0]) if self.editable else ""

    def __str__(self) -> str:
        if self.distribution.startswith(PREFIX):
            return self.name
        return f"plugin {self.name!r} ({self.distribution} {self.version})"


def discover(found: Iterable[EntryPoint] | None = None) -> list[Plugin]:
    """Load every entry point of the group ``quadzoo``, sorted by distribution and name, and what was added.

    A plugin that cannot be imported, or whose hooks raise or return the wrong thing, registers
    nothing; its ``failure`` says why, in one line. Raises ConfigError for such a plugin that is a file: it
    was asked for by name, and for any where the variable QUADZOO_STRICT is 1.
    """
    points = entry_points(group=hooks.GROUP) if found is None else found
    plugins = sorted((_load(point) for point in points), key=lambda p: (p.distribution, p.name))
    for plugin in plugins:
        if plugin.failure and is_strict():
            raise ConfigError(f"{plugin} fails: {plugin.failure} ({STRICT} is set)")
    if found is not None:
        return plugins
    added = additions.current()
    return [*plugins, *map(_load_file, added.files), *map(of_given, added.specs)]


def _load(point: EntryPoint) -> Plugin:
    distribution = point.dist.name if point.dist else "?"
    version = point.dist.version if point.dist else "?"
    with contained() as signals:
        try:
            return Plugin(
                point.name,
                distribution,
                version,
                editable=_is_editable(point.dist),
                module=point.module,
                **_registered(point.load(), point.name),
            )
        except BaseException as error:  # a plugin may even call sys.exit() while it is imported
            if signals:  # then it is somebody who ends this command
                raise
            return Plugin(point.name, distribution, version, failure=_in_a_line(error))


def _load_file(file: PluginFile) -> Plugin:
    who = f"`plugin` {Path(file.path).name}"
    with contained() as signals:
        try:
            registered = _registered(file.module(), file.name)
        except BaseException as error:
            if signals:
                raise
            raise ConfigError(f"{who}: {_in_a_line(error)}{_line_in(file, error)}") from error
    kinds = ("backbones", "heads", "models", "finders")
    if not any(registered[kind] for kind in kinds):
        raise ConfigError(
            f"{who}: it registers nothing; a function register_backbones, or register_heads, marked with "
            "@hookimpl of quadzoo returns a list of specs"
        )
    sha256 = file.sha256
    return Plugin(file.name, file.distribution, sha256[:12], file_sha256=sha256, **registered)


def of_given(one: GivenSpec) -> Plugin:
    """Return the plugin that a given spec is: it registers nothing else.

    Raises ConfigError where this process cannot make the spec again.
    """
    try:
        spec = one.spec
    except Exception as error:
        raise ConfigError(
            f"{one.kind} {one.name}: this process cannot make it again: {_in_a_line(error)[:150]}"
        ) from error
    of_kind: dict[str, Any] = {f"{one.kind}s": (spec,)}
    return Plugin(
        f"the {one.kind} {one.name!r} given in Python",
        one.distribution,
        one.version[:12] if one.sha256 else one.version,
        given_sha256=one.sha256,
        **of_kind,
    )


def is_strict() -> bool:
    """Say whether a plugin that fails is an error: the variable QUADZOO_STRICT is 1."""
    return os.environ.get(STRICT) == "1"


class _OtherApi(Exception):
    """A plugin that was written for another plugin API."""


def _check_api(implementations: object) -> None:
    """Compare the plugin API that a plugin asks for with those that there are. Raises _OtherApi."""
    asked = getattr(implementations, _API_NAME, hooks.OLDEST_API)
    if type(asked) is not int:
        raise _OtherApi(f"{_API_NAME} is {str(asked)[:50]!r}, and should be a whole number")
    if asked > hooks.API:
        known = f"quadzoo {__version__} has {hooks.API}"
        raise _OtherApi(f"it asks for plugin API {asked}, and {known}: upgrade quadzoo")
    if asked < hooks.OLDEST_API:
        known = f"quadzoo {__version__} has {hooks.OLDEST_API} to {hooks.API}"
        raise _OtherApi(f"it asks for plugin API {asked}, and {known}: upgrade the plugin")


def _registered(implementations: object, name: str) -> dict[str, Any]:
    """Return what hook implementations register, as fields of `Plugin`."""
    _check_api(implementations)
    # A manager of its own for each plugin: pluggy would skip the second of two equal names in silence.
    manager = pluggy.PluginManager(hooks.GROUP)
    manager.add_hookspecs(hooks)
    manager.register(implementations, name=name)
    manager.check_pending()
    return {
        "backbones": _call(manager.hook.register_backbones, BackboneSpec),
        "heads": _call(manager.hook.register_heads, HeadSpec),
        "models": _call(manager.hook.register_models, ModelSpec),
        "finders": tuple(partial(_find, one) for one in manager.hook.find_backbone.get_hookimpls()),
        "description": (inspect.getdoc(implementations) or "").split("\n", 1)[0][:_LONGEST],
    }


def _find(
    implementation: pluggy.HookImpl, name: str, network: Mapping[str, Any] | None
) -> BackboneSpec | None:
    given = {"name": name, "network": network}
    found = implementation.function(**{argument: given[argument] for argument in implementation.argnames})
    if found is not None and not isinstance(found, BackboneSpec):
        raise TypeError(f"find_backbone must return a BackboneSpec or None, got {found!r}")
    return found


def _in_a_line(error: BaseException) -> str:
    return in_a_line(error, bare=isinstance(error, _OtherApi))


def _line_in(file: PluginFile, error: BaseException) -> str:
    """Return where in the file an error was raised, nothing where that is unknown or said already."""
    trace: TracebackType | None = error.__traceback__
    lines = []
    while trace:
        if trace.tb_frame.f_code.co_filename == file.path:
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f" (line {lines[-1]})" if lines else ""


def _is_editable(distribution: Distribution | None) -> bool:
    """Say whether a distribution was installed with ``pip install -e`` (PEP 610)."""
    try:
        origin = json.loads((distribution and distribution.read_text("direct_url.json")) or "{}")
        return bool(origin.get("dir_info", {}).get("editable"))
    except (ValueError, AttributeError):
        return False


def _source_hash(package: str) -> str:
    spec = find_spec(package)
    if spec is None:
        return ""
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    files = [(path.relative_to(folder), path) for folder in folders for path in folder.rglob("*.py")]
    if not folders and spec.origin:
        files = [(Path(Path(spec.origin).name), Path(spec.origin))]
    digest = hashlib.sha256()
    for name, path in sorted(files):
        content = path.read_bytes()
        digest.update(f"{name.as_posix()} {len(content)} ".encode() + content)
    return digest.hexdigest()


Spec = TypeVar("Spec", BackboneSpec, HeadSpec, ModelSpec)


def _call(hook: pluggy.HookCaller, kind: type[Spec]) -> tuple[Spec, ...]:
    specs: list[Spec] = []
    for implementation in hook.get_hookimpls():
        result = implementation.function()
        if inspect.iscoroutine(result):
            result.close()  # or Python warns that nobody has awaited it
        if not isinstance(result, Iterable):
            raise TypeError(f"{hook.name} must return {kind.__name__}s, got {type(result).__name__}")
        for spec in result:
            if not isinstance(spec, kind):
                raise TypeError(f"{hook.name} must return {kind.__name__}s, got {spec!r}")
            if len(specs) == _MOST_SPECS:
                raise ValueError(f"{hook.name} returns more than {_MOST_SPECS:,} specs")
            specs.append(spec)
    return tuple(specs)
