"""How many images have each target, where some are missing: as a caption, and in leaderboard.csv."""

from __future__ import annotations

from quadzoo.records.facts import Known
from quadzoo.report.rows import Leaderboard
from quadzoo.report.text import listed

_NAMED = 6  # targets


def known(board: Leaderboard) -> str:
    """Return how many images have each target that some lack; nothing where none is missing."""
    counts, split = board.split.known, board.split
    if counts is None:
        return ""
    sides = {"train": split.n_train, "val": split.n_val, "test": split.n_test}
    lacking = _lacking(board, counts)
    named = []
    for target in lacking[:_NAMED]:
        of_sides = [f"{getattr(counts, side)[target]:,} of {n:,} {side}" for side, n in sides.items()]
        named.append(f"{target} is known for {listed(of_sides)}")
    more = [f"{len(lacking) - _NAMED} more targets are missing in some"] * (len(lacking) > _NAMED)
    return (
        f"Targets are missing: {listed([*named, *more])} images{' (of fold 0)' * (split.folds > 1)}. Each is "
        "trained and scored on the images that have it."
    )


def known_counts(board: Leaderboard) -> str:
    """Return the same as "b 1100 train 270 val 330 test; ...", for leaderboard.csv."""
    counts = board.split.known
    if counts is None:
        return ""
    return "; ".join(
        f"{target} {counts.train[target]} train {counts.val[target]} val {counts.test[target]} test"
        for target in _lacking(board, counts)
    )


def _lacking(board: Leaderboard, counts: Known) -> list[str]:
    """Return the targets that an image of the division lacks."""
    split = board.split
    whole = (split.n_train, split.n_val, split.n_test)
    return [
        target
        for target in board.targets
        if (counts.train[target], counts.val[target], counts.test[target]) != whole
    ]
