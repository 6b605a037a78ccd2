"""What a command adds to the installed plugins: one-file plugins, and networks that a plugin found by name.

They hold for this process, until they are replaced; an executor installs them in each process that it starts.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from quadzoo.errors import ConfigError
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


_current = [Additions()]


def current() -> Additions:
    """Return what is added in this process."""
    return _current[0]


def install(additions: Additions) -> None:
    """Replace all that is added in this process."""
    _current[0] = additions


def use_files(paths: Iterable[Path]) -> None:
    """Replace the one-file plugins of this process. Raises ConfigError for a file that cannot be one.

    What is wrong in the file is found when plugins are loaded: `quadzoo.registry.plugins.discover`.
    """
    install(replace(current(), files=tuple(dict.fromkeys(_read(path) for path in paths))))


def use_network(name: str, network: Network) -> None:
    """Have the catalogue answer to a name with a network that was found."""
    install(replace(current(), networks={**current().networks, name: network}))


def _read(path: Path) -> PluginFile:
    shown = str(path) if len(str(path)) <= _SHOWN else f"…{str(path)[1 - _SHOWN :]}"
    if path.suffix != ".py":
        raise ConfigError(f"`plugin` {shown}: a Python file is needed, such as mynet.py")
    try:
        return PluginFile(str(path.absolute()), read_regular(path, _MOST_BYTES))
    except OSError as error:
        raise ConfigError(f"`plugin` {shown}: cannot be read ({error.strerror})") from error
