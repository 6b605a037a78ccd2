"""A recipe in words: the named one that is nearest, and what differs from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quadzoo.model.recipe import OF_FREEZE, RECIPES, Recipe


def nearest(fields: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the name of the recipe that is nearest to some of a recipe's fields, and those that differ.

    What follows from a frozen backbone is no difference.
    """
    differ = {name: besides(fields, recipe) for name, recipe in RECIPES.items()}
    name = min(differ, key=lambda name: len(differ[name]))
    return name, differ[name]


def says_nothing_of_features(recipe: Recipe) -> bool:
    """Return whether ``frozen_features`` says nothing, or no more than ``freeze`` does."""
    return not recipe.freeze or recipe.frozen_features == OF_FREEZE["frozen_features"]


def usual_epochs(fields: Mapping[str, Any], n_train: int) -> int:
    """Return the number of epochs over ``n_train`` images that a recipe of these fields takes by itself."""
    return Recipe.model_validate({**fields, "epochs": "auto"}).epochs_for(n_train)


def besides(fields: Mapping[str, Any], named: Recipe) -> dict[str, Any]:
    """Return those of a recipe's fields that differ from a named one, without what follows from others."""
    follows = OF_FREEZE if fields.get("freeze") else {}
    return {
        name: value
        for name, value in fields.items()
        if value not in (getattr(named, name), follows.get(name, getattr(named, name)))
    }
