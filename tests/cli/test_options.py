from __future__ import annotations

from quadzoo.cli.bench import bench
from quadzoo.cli.options import with_flags


def test_parameters_are_written_as_flags() -> None:
    assert with_flags("`group_column` who: `folds` 3 needs it") == "--group-column who: --folds 3 needs it"
    assert with_flags("`mean` of a spec, `quadzoo data check`") == "`mean` of a spec, `quadzoo data check`"


def test_help_names_all_recipes() -> None:
    from quadzoo.model.recipe import RECIPES

    (option,) = (one for one in bench.params if one.name == "recipe")
    assert list(option.type.choices) == list(RECIPES)  # type: ignore[attr-defined]
