"""Look things up by name: exact names, namespaces, near misses and duplicates."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Generic, TypeVar

from quadzoo.errors import DuplicateName, NameNotFound, QuadzooError
from quadzoo.registry import additions
from quadzoo.registry.additions import Network
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
        change while the version stays. One from a plugin that is a file is always identified by that file.
        """
        revision = "" if self.plugin.file_sha256 else getattr(self.spec, "revision", "")
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
    full name always wins over the short form of one. ``find`` is asked for names that are in no list.
    Raises DuplicateName when two full names are equal.
    """

    def __init__(
        self,
        kind: str,
        entries: Iterable[Entry[Spec]],
        find: Callable[[str, Network | None], Entry[Spec] | None] = lambda *_: None,
    ) -> None:
        self.kind = kind
        self._find: Callable[[str, Network | None], Entry[Spec] | None] = find
        self._entries: dict[str, Entry[Spec]] = {}
        for entry in entries:
            other = self._entries.setdefault(entry.spec.name, entry)
            if other is not entry:
                raise DuplicateName(
                    f"{kind} {entry.spec.name!r} is registered by both {other.plugin} and {entry.plugin}; "
                    "use one of them"
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
        return self._entry(name, additions.current().networks.get(name))

    def is_listed(self, name: str) -> bool:
        """Say whether a plugin registers the name; others are found, as a tag that names its weights."""
        return name in self._entries or name in self._shorts

    def anew(self, name: str) -> Entry[Spec]:
        """Return the entry of a name, whatever was found by that name before. Raises NameNotFound."""
        return self._entry(name, None)

    def _entry(self, name: str, known: Network | None) -> Entry[Spec]:
        entry = self._entries.get(name) or self._shorts.get(name) or self._find(name, known)
        if entry is None:
            raise NameNotFound(f"unknown {self.kind} {name!r}; {self._hint(name)}")
        return entry

    def _hint(self, name: str) -> str:
        near = difflib.get_close_matches(name, [*self._entries, *self._shorts], n=3)
        return f"did you mean {' or '.join(near)}?" if near else f"`quadzoo list {self.kind}s` shows all"

    def matching(self, pattern: str) -> tuple[list[str], int]:
        """Return the names that match a pattern with wildcards, and how many more a namespace has.

        Names without a namespace come first: names in one are only taken where the pattern begins with it,
        as in ``timm/resnet*``, or matches no other. Raises NameNotFound where nothing matches.
        """
        plain = [name for name in self._entries if "/" not in name and fnmatchcase(name, pattern)]
        pool = self._entries if "/" in pattern else self._shorts
        further = [name for name in pool if fnmatchcase(name, pattern)]
        if not plain and not further:
            raise NameNotFound(f"no {self.kind} matches {pattern!r}; {self._hint(pattern.strip('*?'))}")
        found, more = (plain, self._in_namespaces(pattern)) if plain else (further, 0)
        return sorted(found, key=_natural), more

    def _in_namespaces(self, pattern: str) -> int:
        return sum("/" in name and fnmatchcase(name.split("/")[1], pattern) for name in self._entries)

    def distinct(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the names without a second name of the same entry. Raises NameNotFound."""
        firsts: dict[str, str] = {}
        for name in names:
            spec = self[name].spec
            # What was found in a folder or on a hub has the name of its architecture, which says not all.
            firsts.setdefault(name if getattr(spec, "network", None) else spec.name, name)
        return tuple(firsts.values())

    def __iter__(self) -> Iterator[tuple[str, Entry[Spec]]]:
        """Every entry once, under the shortest name it answers to."""
        short_of = {entry.spec.name: short for short, entry in self._shorts.items()}
        for name, entry in self._entries.items():
            yield short_of.get(name, name), entry


def _natural(name: str) -> list[tuple[str, int]]:
    """Return what sorts resnet50 before resnet101."""
    return [(text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", name)]


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
            raise DuplicateName(f"two plugins have one name: {other} and {plugin}; use one of them")
    backbones = [Entry(spec, plugin) for plugin in plugins for spec in plugin.backbones]
    heads = [Entry(spec, plugin) for plugin in plugins for spec in plugin.heads]
    models = [Entry(spec, plugin) for plugin in plugins for spec in plugin.models]

    def find(name: str, known: Network | None) -> Entry[BackboneSpec] | None:
        asked, description = (known.asked, known.description) if known else (name, None)
        for plugin in plugins:
            for finder in plugin.finders:
                try:
                    spec = finder(asked, description)
                except QuadzooError:
                    raise
                except Exception as error:
                    reason = " ".join(f"{type(error).__name__}: {error}".split())[:150]
                    raise NameNotFound(f"backbone {name!r}: {plugin} fails to find it: {reason}") from error
                if spec:
                    return Entry(spec, plugin)
        return None

    return Catalogue(
        plugins, Names("backbone", backbones, find), Names("head", heads), Names("model", models)
    )
