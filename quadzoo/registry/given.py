"""Specs that a program gives as objects, without a plugin: what stands for them, and how they travel."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal

from quadzoo.errors import ConfigError
from quadzoo.registry.sources import NoSource, Source
from quadzoo.registry.specs import BackboneSpec, HeadSpec

Kind = Literal["backbone", "head"]
AnySpec = BackboneSpec | HeadSpec

PREFIX = "python:"
"""How the distribution of a given spec begins; no distribution has such a name."""

_SHOWN = 120  # characters of a reason
_NO_CODE = ("name", "description", "license", "revision")  # fields that change no score
_registering = threading.Lock()
_loaded: dict[bytes, AnySpec] = {}


@dataclass(frozen=True)
class GivenSpec:
    """A spec with all that it uses, by value: what a process was given is what every process builds.

    ``sha256`` stands for its source where it has no revision; then it is empty. Pickling it leaves the
    spec itself out: another process makes it again from ``pickled``.
    """

    kind: Kind
    name: str
    revision: str
    sha256: str
    pickled: bytes = field(repr=False)

    @property
    def version(self) -> str:
        """What stands for its code in a key."""
        return self.revision or self.sha256

    @property
    def distribution(self) -> str:
        """What stands for a distribution."""
        return f"{PREFIX}{self.name}"

    @property
    def spec(self) -> AnySpec:
        """The spec. Whatever its code raises when it is read in another process comes through."""
        if self.pickled not in _loaded:
            import cloudpickle

            _loaded[self.pickled] = cloudpickle.loads(self.pickled)
        return _loaded[self.pickled]


def given(spec: AnySpec) -> GivenSpec:
    """Return a spec as other processes can have it.

    Raises ConfigError for one that has neither a revision nor a source, and one that cannot be sent.
    """
    kind: Kind = "backbone" if isinstance(spec, BackboneSpec) else "head"
    who = f"`{kind}s` {spec.name}"
    values = {name: value for name, value in vars(spec).items() if name not in _NO_CODE}
    try:
        source = Source(values, strict=not spec.revision)
    except NoSource as error:
        raise ConfigError(
            f"{who}: nothing tells its code from other code: {_short(error)}; give the spec a revision, such "
            "as '1', and raise it when scores may change"
        ) from error
    try:
        with _by_value(source.modules):
            import cloudpickle

            pickled = cloudpickle.dumps(spec)
    except Exception as error:
        raise ConfigError(
            f"{who}: it cannot be sent to a run's process: {type(error).__name__}: {_short(error)}; make "
            "what it uses inside `build`"
        ) from error
    _loaded[pickled] = spec
    return GivenSpec(kind, spec.name, spec.revision, "" if spec.revision else source.sha256, pickled)


@contextmanager
def _by_value(modules: Mapping[str, ModuleType]) -> Iterator[None]:
    """Have cloudpickle send the content of modules, which other processes may not find."""
    import cloudpickle

    with _registering:
        before: Any = cloudpickle.list_registry_pickle_by_value()
        ours = [module for name, module in modules.items() if name not in before]
        for module in ours:
            cloudpickle.register_pickle_by_value(module)
        try:
            yield
        finally:
            for module in ours:
                cloudpickle.unregister_pickle_by_value(module)


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
