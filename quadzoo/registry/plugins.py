"""Find the installed plugins and call their hooks, one by one, so that a broken one harms nobody else."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

import pluggy

from quadzoo.registry import hooks
from quadzoo.registry.specs import BackboneSpec, HeadSpec, ModelSpec


@dataclass(frozen=True)
class Plugin:
    """One entry point: who ships it, what it registers, and what went wrong, if anything did."""

    name: str
    distribution: str
    version: str
    backbones: tuple[BackboneSpec, ...] = field(default=(), repr=False)
    heads: tuple[HeadSpec, ...] = field(default=(), repr=False)
    models: tuple[ModelSpec, ...] = field(default=(), repr=False)
    description: str = ""
    failure: str = ""

    def __str__(self) -> str:
        return f"plugin {self.name!r} ({self.distribution} {self.version})"


def discover(found: Iterable[EntryPoint] | None = None) -> list[Plugin]:
    """Load every entry point of the group ``quadzoo``, sorted by distribution and name.

    A plugin that cannot be imported, or whose hooks raise or return the wrong thing, comes back with
    its ``failure`` told in one line and registers nothing.
    """
    points = entry_points(group=hooks.GROUP) if found is None else found
    return sorted((_load(point) for point in points), key=lambda p: (p.distribution, p.name))


def _load(point: EntryPoint) -> Plugin:
    distribution = point.dist.name if point.dist else "?"
    version = point.dist.version if point.dist else "?"
    # A manager of its own for each plugin: pluggy would skip the second of two equal names in silence.
    manager = pluggy.PluginManager(hooks.GROUP)
    manager.add_hookspecs(hooks)
    try:
        implementations = point.load()
        manager.register(implementations, name=point.name)
        manager.check_pending()
        backbones = _call(manager.hook.register_backbones, BackboneSpec)
        heads = _call(manager.hook.register_heads, HeadSpec)
        models = _call(manager.hook.register_models, ModelSpec)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may even call sys.exit() while it is imported
        failure = f"{type(error).__name__}: {error}".splitlines()[0]
        return Plugin(point.name, distribution, version, failure=failure)
    description = (inspect.getdoc(implementations) or "").split("\n", 1)[0]
    return Plugin(point.name, distribution, version, backbones, heads, models, description)


Spec = TypeVar("Spec", BackboneSpec, HeadSpec, ModelSpec)


def _call(hook: pluggy.HookCaller, kind: type[Spec]) -> tuple[Spec, ...]:
    specs: list[Spec] = []
    for implementation in hook.get_hookimpls():
        result = implementation.function()
        if not isinstance(result, Iterable):
            raise TypeError(f"{hook.name} must return {kind.__name__}s, got {type(result).__name__}")
        for spec in result:
            if not isinstance(spec, kind):
                raise TypeError(f"{hook.name} must return {kind.__name__}s, got {spec!r}")
            specs.append(spec)
    return tuple(specs)
