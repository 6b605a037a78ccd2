"""The names of what a network has to beat to be worth its cost."""

from __future__ import annotations

from quadzoo.records.baseline import LOOKUP, MEAN, RIDGE_FEATURES, RIDGE_PIXELS

BASELINES = {
    MEAN: "always predicting the mean",
    LOOKUP: "pixel lookup",
    RIDGE_PIXELS: "ridge regression on pixels",
}


def is_name_of_baseline(name: str) -> bool:
    """Whether a row without a model has this name because it is a baseline, and not somebody's reader."""
    return name in BASELINES or name.startswith(RIDGE_FEATURES)


def is_of_features(name: str) -> bool:
    """Whether a baseline is ridge regression on the features of a pretrained network."""
    return name.startswith(RIDGE_FEATURES)


def in_words(name: str) -> str:
    """Return what a baseline does, in words."""
    if name.startswith(RIDGE_FEATURES):
        return f"ridge regression on the features of {name.removeprefix(RIDGE_FEATURES)}"
    return BASELINES.get(name, name)


def by_strength(name: str, val_mse: float | None) -> tuple[float, bool]:
    """Order baselines by val MSE; of equal ones the mean comes first, since that is what they come to."""
    return val_mse or 0.0, name != MEAN
