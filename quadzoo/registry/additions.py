"""What a call adds to the installed plugins: one-file plugins, own specs, networks that were found by name.

They hold for this thread, until they are replaced, which each call of `quadzoo.bench` and the like does; an
executor installs them in each process that it starts.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from quadzoo.errors import ConfigError
from quadzoo.registry.given import GivenSpec
from quadzoo.storage import read_regular

_MOST_BYTES = 4 << 20  # of a plugin's source
_SHOWN = 100  # characters of a path in an error


@dataclass(frozen=True)
class PluginFile:
    """A plugin that is one Python file, with its source: what was read once is what every process runs."""

    path: str
    source: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        """The SHA-256 of the source; it stands for the code in a run's key."""
        return hashlib.sha256(self.source).hexdigest()

    @property
    def name(self) -> str:
        """The plugin's name: that of the file."""
        return Path(self.path).stem

    @property
    def distribution(self) -> str:
        """What stands for a distribution; no distribution has such a name."""
        return f"./{Path(self.path).name}"

    def module(self) -> ModuleType:
        """Run the file, once a process, and return its module. Whatever the file raises comes through.

        Its folder is not searched for modules: they would be no part of the key.
        """
        name = f"quadzoo_plugin_{self.name}_{self.sha256[:12]}"
        if name in sys.modules:
            return sys.modules[name]
        module = ModuleType(name)
        module.__file__ = self.path
        code = compile(self.source, self.path, "exec", dont_inherit=True)
        sys.modules[name] = module  # so that pickle and dataclasses find what the file defines
        try:
            exec(code, module.__dict__)
        except BaseException:
            del sys.modules[name]
            raise
        return module


@dataclass(frozen=True)
class Network:
    """A backbone that a plugin finds by name: what it was ``asked`` as, and what was found to be built.

    ``description`` is `BackboneSpec.network`; None where the name says everything.
    """

    asked: str
    description: Mapping[str, Any] | None


@dataclass(frozen=True)
class Additions:
    """All that is added, as one process sends it to another."""

    files: tuple[PluginFile, ...] = ()
    networks: Mapping[str, Network] = field(default_factory=dict)
    specs: tuple[GivenSpec, ...] = ()


# Of each thread: two benches at once do not see each other's.
_current: ContextVar[Additions] = ContextVar("additions")
_NOTHING = Additions()
_remembered: dict[tuple[str, str, str], GivenSpec] = {}


def current() -> Additions:
    """Return what is added in this thread."""
    return _current.get(_NOTHING)


def install(additions: Additions) -> None:
    """Replace all that is added in this thread."""
    _current.set(additions)


def use(paths: Iterable[Path] = (), specs: Iterable[GivenSpec] = ()) -> None:
    """Begin anew with one-file plugins and own specs. Raises ConfigError for a file that cannot be a plugin.

    What is wrong in the file is found when plugins are loaded: `quadzoo.registry.plugins.discover`. Own specs
    are remembered as long as this process lasts.
    """
    chosen = tuple(specs)
    install(Additions(tuple(dict.fromkeys(_read(path) for path in paths)), specs=chosen))
    _remembered.update({(one.kind, one.name, one.version): one for one in chosen})


def use_remembered(kind: str, name: str, version: str) -> None:
    """Have the catalogue answer to a name with the own spec that this process was given earlier, if it was.

    One of that name that was given now stays.
    """
    known = _remembered.get((kind, name, version))
    if known and not any((one.kind, one.name) == (kind, name) for one in current().specs):
        install(replace(current(), specs=(*current().specs, known)))


def remembered(kind: str, name: str, version: str) -> GivenSpec | None:
    """Return the own spec, by kind, name and version, that this process was given; None where it was not."""
    return _remembered.get((kind, name, version))


def use_network(name: str, network: Network) -> None:
    """Have the catalogue answer to a name with a network that was found."""
    install(replace(current(), networks={**current().networks, name: network}))


def _read(path: Path) -> PluginFile:
    shown = str(path) if len(str(path)) <= _SHOWN else f"…{str(path)[1 - _SHOWN :]}"
    if path.suffix != ".py":
        raise ConfigError(f"`plugin` {shown}: a Python file is needed, such as mynet.py")
    try:
        return PluginFile(str(path.absolute()), read_regular(path, _MOST_BYTES, follow=True))
    except OSError as error:
        raise ConfigError(f"`plugin` {shown}: cannot be read ({error.strerror})") from error
