"""quadzoo list: backbones, heads, models and plugins, with the plugin that each comes from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quadzoo.cli.options import plugin_option
from quadzoo.cli.output import say, say_json, tell
from quadzoo.report.text import one_line

if TYPE_CHECKING:
    from quadzoo.registry.catalogue import Catalogue, Entry
    from quadzoo.registry.plugins import Plugin
    from quadzoo.registry.specs import ModelSpec


_SHOWN = 3
_LONGEST = 300  # characters of a cell: a plugin's description may be of any length


@click.command("list")
@click.argument("what", type=click.Choice(["backbones", "heads", "models", "plugins"]), default="backbones")
@click.option("--all", "everything", is_flag=True, help="Show all of timm's backbones, too.")
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="Print the complete list as JSON.")
def list_(what: str, everything: bool, as_json: bool, plugin: tuple[Path, ...]) -> None:
    """List backbones, heads, trained models or plugins.

    Any name in these lists can be given to `quadzoo bench`: --backbones, --heads, and --init for models.
    """
    from quadzoo.registry import additions
    from quadzoo.registry.catalogue import load

    additions.use(plugin)
    catalogue = load()
    plugins = catalogue.plugins
    rows = [_plugin(plugin) for plugin in plugins] if what == "plugins" else _specs(what, catalogue)
    if as_json:
        say_json(rows)
        return
    for one in plugins:
        if one.failure:
            tell(f"warning: {one} is left out: {one.failure}")
    for line in catalogue.claimed:
        tell(f"warning: {line}")
    shown = rows if everything or what != "backbones" else [row for row in rows if row["description"]]
    _print(shown)
    if len(shown) < len(rows):
        say(
            f"and {len(rows) - len(shown):,} more from timm; `quadzoo list backbones --all` shows them. Use "
            "the plain name, or timm/NAME where another plugin has that name."
        )


def _plugin(plugin: Plugin) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "backbones": len(plugin.backbones),
        "heads": len(plugin.heads),
        "models": len(plugin.models),
        "registers": _some(
            [one.name for specs in (plugin.backbones, plugin.heads, plugin.models) for one in specs]
        ),
        "description": f"FAILED: {plugin.failure}" if plugin.failure else plugin.description,
    }


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _specs(what: str, catalogue: Catalogue) -> list[dict[str, Any]]:
    if what == "models":
        return [_model(name, entry) for name, entry in catalogue.models]
    entries = catalogue.backbones if what == "backbones" else catalogue.heads
    return [
        {"name": name, "plugin": entry.plugin.name, "description": entry.spec.description}
        for name, entry in entries
    ]


def _model(name: str, entry: Entry[ModelSpec]) -> dict[str, Any]:
    """Return what the record of a model says; where it cannot be read, the description says why."""
    from quadzoo.errors import DataError
    from quadzoo.records.trained import read_record_in

    facts: dict[str, Any] = dict.fromkeys(("backbone", "head", "image_size", "targets"), "")
    description = entry.spec.description
    try:
        record = read_record_in(entry.spec.folder)
    except DataError as error:
        description = f"CANNOT BE USED: {error}"
    else:
        size = "x".join(map(str, record.image.size))
        facts = {
            "backbone": record.backbone,
            "head": record.head,
            "image_size": size,
            "targets": ",".join(record.targets),
        }
    return {"name": name, "plugin": entry.plugin.name, **facts, "description": description}


def _print(rows: list[dict[str, Any]]) -> None:
    from quadzoo.cli.tables import print_table, text_table

    headings = list(rows[0]) if rows else []
    cells = [[one_line(str(value), _LONGEST) for value in row.values()] for row in rows]
    print_table(text_table(headings, cells))
