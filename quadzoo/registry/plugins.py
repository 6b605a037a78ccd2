"""Find the installed plugins and call their hooks, one by one, so that a broken one harms nobody else."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import Distribution, EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
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
    editable: bool = False
    module: str = field(default="", repr=False)

    @cached_property
    def source(self) -> str:
        """A SHA-256 of the Python files of an editable installation's package; else empty."""
        return _source_hash(self.module.partition(".")[0]) if self.editable else ""

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
    return Plugin(
        point.name,
        distribution,
        version,
        backbones,
        heads,
        models,
        description,
        editable=_is_editable(point.dist),
        module=point.module,
    )


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
        if not isinstance(result, Iterable):
            raise TypeError(f"{hook.name} must return {kind.__name__}s, got {type(result).__name__}")
        for spec in result:
            if not isinstance(spec, kind):
                raise TypeError(f"{hook.name} must return {kind.__name__}s, got {spec!r}")
            specs.append(spec)
    return tuple(specs)
