"""Look things up by name: exact names, namespaces, near misses and duplicates."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Generic, TypeVar

from quadzoo.errors import DuplicateName, NameNotFound
from quadzoo.registry import additions
from quadzoo.registry.additions import Network
from quadzoo.registry.containment import blamed
from quadzoo.registry.plugins import STRICT, Plugin, discover, is_strict
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
    Every name has a qualified form, ``distribution:name``; where several plugins register one name, only
    these are answered to, and the name itself raises DuplicateName. ``claimed`` says in words which they are.
    """

    def __init__(
        self,
        kind: str,
        entries: Iterable[Entry[Spec]],
        find: Callable[[str, Network | None], Entry[Spec] | None] = lambda *_: None,
    ) -> None:
        self.kind = kind
        self._find: Callable[[str, Network | None], Entry[Spec] | None] = find
        self._all: list[Entry[Spec]] = list(entries)
        claims: dict[str, list[Entry[Spec]]] = {}
        for entry in self._all:
            claims.setdefault(entry.spec.name, []).append(entry)
        self.claimed = {
            name: f"{kind} {name!r} is registered by both {_plugins(several)}; "
            f"write {' or '.join(map(_qualified, several))}"
            for name, several in claims.items()
            if len(several) > 1
        }
        self._entries: dict[str, Entry[Spec]] = {
            _qualified(entry) if entry.spec.name in self.claimed else entry.spec.name: entry
            for entry in self._all
        }
        shorts: dict[str, list[Entry[Spec]]] = {}
        for name, entry in self._entries.items():
            if "/" in name and ":" not in name:
                shorts.setdefault(name.split("/")[1], []).append(entry)
        self._shorts: dict[str, Entry[Spec]] = {
            short: claims[0] for short, claims in shorts.items()
            if len(claims) == 1 and short not in {*self._entries, *self.claimed}
        }  # fmt: skip

    def __getitem__(self, name: str) -> Entry[Spec]:
        return self._entry(name, additions.current().networks.get(name))

    def is_listed(self, name: str) -> bool:
        """Say whether a plugin registers the name; others are found, as a tag that names its weights."""
        return name in self._entries or name in self._shorts or name in self.claimed

    def anew(self, name: str) -> Entry[Spec]:
        """Return the entry of a name, whatever was found by that name before. Raises NameNotFound."""
        return self._entry(name, None)

    def _entry(self, name: str, known: Network | None) -> Entry[Spec]:
        if name in self.claimed:
            raise DuplicateName(self.claimed[name])
        entry = self._of_distribution(name) or self._entries.get(name) or self._shorts.get(name)
        entry = entry or self._find(name, known)
        if entry is None:
            raise NameNotFound(f"unknown {self.kind} {name!r}; {self._hint(name)}")
        return entry

    def _of_distribution(self, name: str) -> Entry[Spec] | None:
        """Return the entry of a qualified name, None for other names."""
        found = [entry for entry in self._all if ":" in name and _qualified(entry) == name]
        if len(found) > 1:
            plugins = " and ".join(str(one.plugin) for one in found)
            raise DuplicateName(
                f"{self.kind} {name!r} is registered by both {plugins}; nothing tells them apart"
            )
        return found[0] if found else None

    def _hint(self, name: str) -> str:
        near = difflib.get_close_matches(name, [*self._entries, *self._shorts], n=3)
        return f"did you mean {' or '.join(near)}?" if near else f"`quadzoo list {self.kind}s` shows all"

    def matching(self, pattern: str) -> tuple[list[str], int]:
        """Return the names that match a pattern with wildcards, and how many more a namespace has.

        Names without a namespace come first: names in one are only taken where the pattern begins with it,
        as in ``timm/resnet*``, or matches no other. Raises NameNotFound where nothing matches.
        """
        plain = [
            name
            for name, entry in self._entries.items()
            if "/" not in entry.spec.name and fnmatchcase(entry.spec.name, pattern)
        ]
        pool = self._entries if "/" in pattern else self._shorts
        further = [name for name, entry in pool.items() if fnmatchcase(name.rpartition(":")[2], pattern)]
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
            entry = self[name]
            # What was found in a folder or on a hub has the name of its architecture, which says not all.
            firsts.setdefault(name if getattr(entry.spec, "network", None) else _qualified(entry), name)
        return tuple(firsts.values())

    def __iter__(self) -> Iterator[tuple[str, Entry[Spec]]]:
        """Every entry once, under the shortest name it answers to."""
        short_of = {entry.spec.name: short for short, entry in self._shorts.items()}
        for name, entry in self._entries.items():
            yield short_of.get(name, name), entry


def _qualified(entry: Entry[Spec]) -> str:
    return f"{entry.plugin.distribution}:{entry.spec.name}"


def _plugins(entries: Iterable[Entry[Spec]]) -> str:
    return " and ".join(str(entry.plugin) for entry in entries)


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

    @property
    def claimed(self) -> list[str]:
        """Say, one line each, which names several plugins claim; such a name is an error when asked for."""
        named: dict[str, list[Plugin]] = {}
        for plugin in self.plugins:
            named.setdefault(plugin.name, []).append(plugin)
        return [
            *(f"two plugins have one name: {' and '.join(map(str, of))}" for of in named.values() if of[1:]),
            *self.backbones.claimed.values(),
            *self.heads.claimed.values(),
            *self.models.claimed.values(),
        ]


def _not_found(name: str, plugin: Plugin, reason: str) -> NameNotFound:
    return NameNotFound(f"backbone {name!r}: {plugin} fails to find it: {reason}")


def load(plugins: list[Plugin] | None = None) -> Catalogue:
    """Build the catalogue of the given plugins, by default of all that are installed.

    Raises DuplicateName when two plugins share a name, or register one, and the variable QUADZOO_STRICT is 1;
    else only what asks for that name does.
    """
    plugins = discover() if plugins is None else plugins
    backbones = [Entry(spec, plugin) for plugin in plugins for spec in plugin.backbones]
    heads = [Entry(spec, plugin) for plugin in plugins for spec in plugin.heads]
    models = [Entry(spec, plugin) for plugin in plugins for spec in plugin.models]

    def find(name: str, known: Network | None) -> Entry[BackboneSpec] | None:
        asked, description = (known.asked, known.description) if known else (name, None)
        for plugin in plugins:
            for finder in plugin.finders:
                with blamed(partial(_not_found, name, plugin)):
                    spec = finder(asked, description)
                if spec:
                    return Entry(spec, plugin)
        return None

    catalogue = Catalogue(
        plugins, Names("backbone", backbones, find), Names("head", heads), Names("model", models)
    )
    if catalogue.claimed and is_strict():
        raise DuplicateName(f"{catalogue.claimed[0]} ({STRICT} is set)")
    return catalogue
