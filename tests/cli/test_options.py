from __future__ import annotations

import click
import pytest

from quadzoo.cli.bench import bench
from quadzoo.cli.options import names, with_flags, with_targets
from quadzoo.grid.config import BenchConfig


def test_parameters_are_written_as_flags() -> None:
    assert with_flags("`group_column` who: `folds` 3 needs it") == "--group-column who: --folds 3 needs it"
    assert with_flags("`mean` of a spec, `quadzoo data check`") == "`mean` of a spec, `quadzoo data check`"


def test_help_names_all_recipes() -> None:
    from quadzoo.model.recipe import RECIPES

    (option,) = (one for one in bench.params if one.name == "recipe")
    assert list(option.type.choices) == list(RECIPES)  # type: ignore[attr-defined]


def test_names_with_commas() -> None:
    context = click.Context(bench)
    (option,) = (one for one in bench.params if one.name == "targets")
    assert names(context, option, 'a, b,"weight, kg" ,"say ""x"""') == ("a", "b", "weight, kg", 'say "x"')
    for value in ("a,,b", "", ",", "a\nb"):
        with pytest.raises(click.BadParameter):
            names(context, option, value)
    given = {"targets": ("a",), "target": ("b, c", "d"), "lr": 1}
    assert with_targets(given) == {"targets": ("a", "b, c", "d"), "lr": 1}
    assert with_targets({"target": ("b, c",)}) == {"targets": ("b, c",)}
    assert with_targets({"target": ()}) == {}
    flags = BenchConfig(targets=("a", "b, c", 'say "x"')).flags
    assert names(context, option, flags["--targets"]) == ("a", "b, c", 'say "x"')
