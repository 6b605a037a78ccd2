"""quadzoo list: what can be asked for, and which plugin brings it."""

from __future__ import annotations

import json
from typing import Any

import click


@click.command("list")
@click.argument("what", type=click.Choice(["backbones", "heads", "plugins"]), default="backbones")
@click.option("--all", "everything", is_flag=True, help="Also timm's many backbones without a description.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def list_(what: str, everything: bool, as_json: bool) -> None:
    """List the backbones, heads or plugins that are installed."""
    from quadzoo.registry.plugins import discover

    plugins = discover()
    if what == "plugins":
        rows = [
            {
                "name": plugin.name,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "backbones": len(plugin.backbones),
                "heads": len(plugin.heads),
                "description": plugin.description,
                "failure": plugin.failure,
            }
            for plugin in plugins
        ]
    else:
        rows = _specs(what, plugins)
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for plugin in plugins:
        if plugin.failure and what != "plugins":
            click.echo(f"quadzoo: warning: {plugin} is left out: {plugin.failure}", err=True)
    shown = rows if everything or what != "backbones" else [row for row in rows if row["description"]]
    _print(shown)
    if len(shown) < len(rows):
        click.echo(
            f"and {len(rows) - len(shown):,} more of timm's, by plain name or as timm/<name>: "
            "quadzoo list backbones --all"
        )


def _specs(what: str, plugins: list[Any]) -> list[dict[str, Any]]:
    from quadzoo.registry.catalogue import load

    catalogue = load(plugins)
    rows: list[dict[str, Any]] = []
    for name, entry in catalogue.backbones if what == "backbones" else catalogue.heads:
        rows.append({"name": name, "plugin": entry.plugin.name, "description": entry.spec.description})
    return rows


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in rows[0] if rows else []:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row.values()))
    Console(soft_wrap=False).print(table)
