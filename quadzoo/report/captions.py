"""What a reader must know before the figures, in sentences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from quadzoo.report.rows import Leaderboard, Unreadable, share_of
from quadzoo.report.text import listed, short

_MEMORISED = 5  # times the training error


class Caption(NamedTuple):
    """A paragraph; a ``warning`` is set off from the others."""

    text: str
    warning: bool = False


def captions(board: Leaderboard) -> list[Caption]:
    """Return the paragraphs above a table: what was measured, then what limits its figures."""
    made = [
        Caption(task(board)),
        Caption(left_out(board.unreadable), warning=True),
        Caption(leak(board), warning=True),
        Caption(seen(board), warning=True),
        Caption(beaten(board), warning=True),
        Caption(recipes(board), warning=True),
        Caption(memorised(board), warning=True),
        Caption(untrained(board), warning=True),
        *(Caption(text, warning=True) for text in edges(board)),
        Caption(trust(board)),
        Caption(tuned(board)),
        Caption(unknown(board)),
        Caption(mixed(board)),
        Caption(machines(board)),
        Caption(smaller(board)),
    ]
    return [caption for caption in made if caption.text]


def task(board: Leaderboard) -> str:
    """Return what was measured."""
    data, split = board.data, board.split
    share = f" ({split.train_share:.3g} of the training images)" if split.train_share < 1 else ""
    sides = f"{split.n_train:,} train{share}, {split.n_val:,} val, {split.n_test:,} test"
    folds = f", {split.folds} folds, about {sides} each" if split.folds > 1 else f" ({sides})"
    images = f"{data.n:,} images, {data.duplicates:,} of them duplicates"
    return f"{data.name}: {images}; split {split.name}{folds}."


def left_out(unreadable: Sequence[Unreadable]) -> str:
    """Return the warning that runs are in no row; nothing where there are none."""
    if not unreadable:
        return ""
    were = "1 run was" if len(unreadable) == 1 else f"{len(unreadable)} runs were"
    named = listed([f"{one.key} ({one.reason})" for one in unreadable])
    return f"{were} left out of this table: {named}."


def leak(board: Leaderboard) -> str:
    """Return the warning that a split leaks; nothing where it does not."""
    split = board.split
    if not split.leaky:
        return ""
    return (
        f"This split leaks: {split.leaked:,} of {split.n_test:,} test images are also in train or val, "
        "so the test scores are too optimistic."
    )


def seen(board: Leaderboard) -> str:
    """Return the warning that rows started from models that had seen images of val or test."""
    warnings = []
    for row in board.rows:
        overlap = row.overlap
        sides = [] if overlap is None else [
            ("test", overlap.test, overlap.n_test), ("validation", overlap.val, overlap.n_val)
        ]  # fmt: skip
        found = [f"{count:,} of the {n:,} {side} images" for side, count, n in sides if count]
        if found:
            warnings.append(f"{row.name} started from a model trained on {listed(found)}")
    return f"{listed(warnings)}: such scores are too optimistic." if warnings else ""


def unknown(board: Leaderboard) -> str:
    """Return which rows started from a model that does not say which images it had seen."""
    names: dict[str, list[str]] = defaultdict(list)
    for row in board.rows:
        if row.overlap is not None and row.overlap.test is None:
            names[row.weights].append(row.name)
    return " ".join(
        f"{listed(rows)}: overlap with the training images of {model} unknown."
        for model, rows in names.items()
    )


def beaten(board: Leaderboard) -> str:
    """Return that no network beats the best row without a network, by val MSE; nothing where one does."""
    rows = [row for row in board.rows if row.head == "-" and row.val_mse is not None]
    if board.best is None or board.best.val_mse is None or not rows:
        return ""
    simple = min(rows, key=lambda row: row.val_mse or 0.0)
    if board.best.val_mse < (simple.val_mse or 0.0):
        return ""
    return (
        f"No network beats {simple.name} on the validation images (MSE {short(board.best.val_mse)} against "
        f"{short(simple.val_mse)}): none of them is worth using."
    )


def recipes(board: Leaderboard) -> str:
    """Return what tells the recipes of rows with one name apart, in the order of the rows."""
    by_name: dict[str, list[dict[str, object]]] = defaultdict(list)
    for row in board.rows:
        if row.recipe:
            by_name[row.name].append(row.recipe)
    found = []
    for name, given in by_name.items():
        values = {field: [str(one.get(field)) for one in given] for field in given[0]}
        told = [f"{field} {', '.join(of_rows)}" for field, of_rows in values.items() if len({*of_rows}) > 1]
        if told:
            found.append(f"{name}: {'; '.join(told)}")
    return f"Rows of one name have different recipes, from top to bottom {'. '.join(found)}." if found else ""


def memorised(board: Leaderboard) -> str:
    """Return which rows fit their training images far better than val, and val badly; nothing without any."""
    means = [row.val_mse for row in board.rows if row.backbone == "mean-of-train"]
    limit = min((mean for mean in means if mean is not None), default=None)
    found = []
    for row in board.rows:
        ends = [(curve.train_mse[-1], curve.val_mse[-1]) for curve in row.details.curves if curve.train_mse]
        ratios = [val / train for train, val in ends if train and val]
        bad = limit is not None and row.val_mse is not None and row.val_mse > limit / 2
        if bad and ratios and median(ratios) > _MEMORISED:
            found.append(f"{row.name} ({median(ratios):.0f} times)")
    if not found:
        return ""
    return (
        f"In the last epoch the val MSE is far above the training MSE: {listed(found)}. More images, or "
        "--augment photo, may help."
    )


def untrained(board: Leaderboard) -> str:
    """Return which rows keep ridge regression, since training found nothing better; nothing without any."""
    found = []
    for row in board.rows:
        trained = [curve for curve in row.details.curves if curve.train_mse]
        kept = sum(curve.best_epoch == 0 for curve in trained)
        if kept:
            found.append(f"{row.name} ({kept} of {len(trained)} runs)")
    if not found:
        return ""
    return (
        "Training found nothing better by val than ridge regression on the features of the pretrained "
        f"backbone, which these rows keep: {listed(found)}."
    )


def mixed(board: Leaderboard) -> str:
    """Return which rows put runs together that differ in what can change a score."""
    rows = [f"{row.name} ({row.mixed})" for row in board.rows if row.mixed]
    return f"Runs of one row differ in what can change a score: {listed(rows)}." if rows else ""


def tuned(board: Leaderboard) -> str:
    """Return how the learning rates of tuned rows were chosen; nothing where no row is tuned."""
    numbers = sorted({len(row.tuned.tried) for row in board.rows if row.tuned})
    if not numbers:
        return ""
    text = (
        f"Learning rates of rows marked tuned were chosen from {' or '.join(map(str, numbers))} by val, in "
        "trials of a quarter of the epochs; the costs do not include these."
    )
    if any(row.head != "-" and row.tuned is None for row in board.rows):
        text += " Other networks were trained with the learning rate of the recipe."
    return text


def edges(board: Leaderboard) -> list[str]:
    """Return a warning for each row whose learning rate is the lowest or the highest of those tried."""
    found = [
        (f"{row.name}{share_of(row)}", at_the_edge(row.tuned.found, row.tuned.tried))
        for row in board.every_row
        if row.tuned
    ]
    return [f"{name}: {text}." for name, text in found if text]


def at_the_edge(found: Sequence[float], tried: Sequence[float]) -> str:
    """Return the warning that a better learning rate may lie outside of those tried; nothing if it may not.

    ``found`` are the best ones, one or several, ``tried`` all of them, lowest first.
    """
    some = "in some folds " if len(found) > 1 else ""
    ends = [(min(tried), "lowest", "lower"), (max(tried), "highest", "higher")] if tried else []
    return "; ".join(
        f"{some}the best of the learning rates tried is the {extreme} one, {lr:g}: a {further} one may be "
        "better"
        for lr, extreme, further in ends
        if lr in found
    )


def evidence(board: Leaderboard) -> str:
    """Return what the number of seeds allows to conclude; nothing where no run has finished."""
    seeds = [row.seeds for row in board.rows if row.seeds]
    if board.evidence is None or not seeds:
        return ""
    fewest = min(seeds)
    count = "one seed" if fewest == 1 else f"{fewest} seeds"
    count = f"{count[0].upper()}{count[1:]}" if fewest == max(seeds) else f"At least {count}"
    return {
        "smoke": f"{count} per row: differences between rows may be chance.",
        "screen": f"{count} per row: enough to drop the worst rows, too few to rank the others.",
        "publish": f"{count} per row.",
    }[board.evidence]


def trust(board: Leaderboard) -> str:
    """Return how far the order can be trusted."""
    if board.evidence is None:
        return "No run has finished."
    several = min(row.seeds for row in board.rows if row.seeds) > 1
    covered = "test images and of seeds" if several else "test images, but not that of seeds"
    ties = sum(row.tied for row in board.rows) - 1
    others = "1 other row is" if ties == 1 else f"{ties} other rows are"
    share = "shares" if ties == 1 else "share"
    tied = (
        f" {others} not significantly different from the best (α = 0.05) and {share} its rank (=)."
        if ties > 0
        else ""
    )
    return (
        f"{evidence(board)} Rows are sorted by val MSE. The 95 % interval of the test MSE accounts for the "
        f"choice of {covered}.{tied}"
    )


def smaller(board: Leaderboard) -> str:
    """Return that runs on smaller shares of the training images have a table of their own."""
    largest = board.split.train_share
    shares = sorted({row.train_share for row in board.every_row} - {largest})
    if not shares:
        return ""
    named = listed([f"{share:.3g}" for share in shares])
    return f"Runs on smaller shares of the training images ({named}) are in a table of their own, below."


def machines(board: Leaderboard) -> str:
    """Return where the costs were measured."""
    if not board.devices:
        return ""
    first, *others = board.devices
    text = f"Costs were measured on {first}."
    elsewhere = [row.name for row in board.rows if row.cost.device not in ("", first)]
    if elsewhere:
        text += f" Those of {listed(elsewhere)} were measured on another machine and cannot be compared."
    elif others:
        text += " Runs on other machines are left out of the costs."
    return text
