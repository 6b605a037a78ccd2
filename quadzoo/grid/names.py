"""From the names that were asked for to backbones: wildcards, tags, hubs and folders. Never imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from quadzoo.errors import ConfigError
from quadzoo.registry import additions
from quadzoo.registry.additions import Network
from quadzoo.registry.catalogue import Catalogue

_MOST = 30  # networks of one wildcard
_FOLDER = "local-dir:"


def chosen_backbones(
    asked: Iterable[str], catalogue: Catalogue, note: Callable[[str], None] = lambda _: None
) -> tuple[str, ...]:
    """Return the names of backbones: wildcards expanded, folders by their last part, none twice.

    What a wildcard was expanded to is told by ``note``. Networks that are in no list are found, and are then
    known by these names to this process and to those that its executor starts. Raises NameNotFound,
    ConfigError, or another QuadzooError, for a name that cannot be had.
    """
    names: list[str] = []
    folders: dict[str, str] = {}
    for one in asked:
        if ":" not in one and any(sign in one for sign in "*?["):
            names += _expanded(one, catalogue, note)
            continue
        network = catalogue.backbones.anew(one).spec.network
        shown, place = one, one
        if network is not None and one.startswith(_FOLDER):
            path = str(Path(one.removeprefix(_FOLDER)).expanduser().resolve())
            shown = f"{_FOLDER}{Path(path).name}"
            if folders.setdefault(shown, path) != path:
                raise ConfigError(
                    f"`backbones`: two folders have the name {Path(path).name!r}; rename one, or bench each "
                    "by itself"
                )
            place = f"{_FOLDER}{path}"
        if network is not None:
            additions.use_network(shown, Network(place, network))
        names.append(shown)
    return catalogue.backbones.distinct(names)


def _expanded(pattern: str, catalogue: Catalogue, note: Callable[[str], None]) -> list[str]:
    found, more = catalogue.backbones.matching(pattern)
    if len(found) > _MOST:
        raise ConfigError(
            f"`backbones` {pattern}: it matches {len(found):,} networks ({found[0]}, {found[1]}, …, "
            f"{found[-1]}), and a wildcard may stand for {_MOST}; narrow it"
        )
    rest = f"; {more:,} more have a namespace, as timm/{pattern}" if more else ""
    note(f"`backbones` {pattern}: {', '.join(found)}{rest}")
    return found
