"""Look things up by name: exact names, namespaces, near misses and duplicates."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from quadzoo.errors import DuplicateName, NameNotFound
from quadzoo.registry.plugins import Plugin, discover
from quadzoo.registry.specs import BackboneSpec, HeadSpec, ModelSpec

Spec = TypeVar("Spec", BackboneSpec, HeadSpec, ModelSpec)


@dataclass(frozen=True)
class Entry(Generic[Spec]):
    """A spec and the plugin it came from."""

    spec: Spec
    plugin: Plugin

    @property
    def provenance(self) -> dict[str, str]:
        """What says which code this is: `quadzoo.records.keys.Provenance` has the same fields.

        Without a revision, a spec from an editable installation is identified by its source files: these
        change while the version stays.
        """
        revision = getattr(self.spec, "revision", "")
        return {
            "name": self.spec.name,
            "distribution": self.plugin.distribution,
            "version": self.plugin.version,
            "revision": revision,
            "source": "" if revision else self.plugin.source,
        }


class Names(Generic[Spec]):
    """The backbones, the heads or the models, by every name they answer to.

    ``timm/efficientnet_b0`` also answers to ``efficientnet_b0`` unless another plugin has that name: a
    full name always wins over the short form of one. Raises DuplicateName when two full names are equal.
    """

    def __init__(self, kind: str, entries: Iterable[Entry[Spec]]) -> None:
        self.kind = kind
        self._entries: dict[str, Entry[Spec]] = {}
        for entry in entries:
            other = self._entries.setdefault(entry.spec.name, entry)
            if other is not entry:
                raise DuplicateName(
                    f"{kind} {entry.spec.name!r} is registered by both {other.plugin} and {entry.plugin}; "
                    "uninstall one of them"
                )
        shorts: dict[str, list[Entry[Spec]]] = {}
        for name, entry in self._entries.items():
            if "/" in name:
                shorts.setdefault(name.split("/")[1], []).append(entry)
        self._shorts: dict[str, Entry[Spec]] = {
            short: claims[0] for short, claims in shorts.items()
            if len(claims) == 1 and short not in self._entries
        }  # fmt: skip

    def __getitem__(self, name: str) -> Entry[Spec]:
        entry = self._entries.get(name) or self._shorts.get(name)
        if entry is None:
            near = difflib.get_close_matches(name, [*self._entries, *self._shorts], n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"`quadzoo list {self.kind}s` shows all"
            raise NameNotFound(f"unknown {self.kind} {name!r}; {hint}")
        return entry

    def distinct(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the names without a second name of the same entry. Raises NameNotFound."""
        firsts: dict[str, str] = {}
        for name in names:
            firsts.setdefault(self[name].spec.name, name)
        return tuple(firsts.values())

    def __iter__(self) -> Iterator[tuple[str, Entry[Spec]]]:
        """Every entry once, under the shortest name it answers to."""
        short_of = {entry.spec.name: short for short, entry in self._shorts.items()}
        for name, entry in self._entries.items():
            yield short_of.get(name, name), entry


@dataclass(frozen=True)
class Catalogue:
    """Everything the installed plugins bring."""

    plugins: list[Plugin]
    backbones: Names[BackboneSpec]
    heads: Names[HeadSpec]
    models: Names[ModelSpec]


def load(plugins: list[Plugin] | None = None) -> Catalogue:
    """Build the catalogue of the given plugins, by default of all that are installed.

    Raises DuplicateName when two plugins share a name, or register one.
    """
    plugins = discover() if plugins is None else plugins
    seen: dict[str, Plugin] = {}
    for plugin in plugins:
        other = seen.setdefault(plugin.name, plugin)
        if other is not plugin:
            raise DuplicateName(f"two plugins have one name: {other} and {plugin}; uninstall one of them")
    backbones = [Entry(spec, plugin) for plugin in plugins for spec in plugin.backbones]
    heads = [Entry(spec, plugin) for plugin in plugins for spec in plugin.heads]
    models = [Entry(spec, plugin) for plugin in plugins for spec in plugin.models]
    return Catalogue(plugins, Names("backbone", backbones), Names("head", heads), Names("model", models))
