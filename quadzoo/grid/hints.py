"""What a user may want to choose otherwise, guessed from the names of targets. Nothing here imports torch."""

from __future__ import annotations

import re
from collections.abc import Sequence

from quadzoo.data.texts import one_name
from quadzoo.model.recipe import Recipe

# What moving an image by up to 2 % and scaling it by up to 4 % changes.
_MOVED = {
    "x", "y", "cx", "cy", "left", "right", "top", "bottom", "position", "pos", "offset", "center", "centre",
    "width", "height", "size", "radius", "diameter", "length", "area", "scale", "distance",
}  # fmt: skip
_WORD = re.compile(r"[a-z]+")


def shift_hint(targets: Sequence[str], recipe: Recipe) -> str:
    """Return a hint where augmentation may change what is to be read; nothing where no name says so."""
    moved = [name for name in targets if _MOVED & {*_WORD.findall(name.lower())}]
    if recipe.augment == "none" or not recipe.epochs or not moved:
        return ""
    names = ", ".join(map(one_name, moved[:3])) + ", …" * (len(moved) > 3)
    return (
        f"note: {names}: if positions or sizes in the image are meant, `augment` {recipe.augment} changes "
        "them by up to 4 % while the labels stay; compare with `augment` none"
    )
