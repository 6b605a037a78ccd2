"""What a reader must know before the figures, in sentences."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from quadzoo.data.splits import TEST_DATA
from quadzoo.data.texts import one_name
from quadzoo.records.baseline import LOOKUP, MEAN
from quadzoo.report.caveats import restless
from quadzoo.report.costs import busy, crowded
from quadzoo.report.doubts import beaten, contradicted, doubted, seen, to_test, unread, untestable
from quadzoo.report.ensemble import made_of
from quadzoo.report.external import outside
from quadzoo.report.halved import halved
from quadzoo.report.known import known
from quadzoo.report.rows import INCOMPLETE, NOT_WORSE, WORSE, Leaderboard, Unreadable, is_baseline
from quadzoo.report.settings import recipe_in_words
from quadzoo.report.text import apart, listed, printable, readable
from quadzoo.report.verdicts import seeds_of

_MEMORISED = 5  # times the training error
_ROUNDING = 1e-9  # relative: means over folds are added in any order
_TWO = 2  # learning rates, of which one is the lowest and one the highest
_TARGETS = 6  # that are named
_KEEPS_GROUPS = ("grouped", TEST_DATA)  # splits; a file divides as it says


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
        Caption(unheld(board), warning=True),
        Caption(known(board)),
        Caption(repeats(board), warning=True),
        Caption(seen(board), warning=True),
        Caption(beaten(board), warning=True),
        Caption(doubted(board) or untestable(board), warning=True),
        Caption(unread(board), warning=True),
        Caption(incomplete(board), warning=True),
        Caption(contradicted(board), warning=True),
        Caption(restless(board), warning=True),
        Caption(untested(board)),
        Caption(memorised(board), warning=True),
        Caption(untrained(board), warning=True),
        *(Caption(text, warning=True) for text in edges(board)),
        Caption(trust(board)),
        Caption(alike(board)),
        Caption(tuned(board)),
        Caption(halved(board)),
        Caption(unknown(board)),
        Caption(mixed(board)),
        Caption(machines(board)),
        Caption(crowded(board)),
        Caption(busy(board)),
        Caption(made_of(board)),
        Caption(outside(board)),
        Caption(smaller(board)),
    ]
    return [caption for caption in made if caption.text]


def task(board: Leaderboard) -> str:
    """Return what was measured."""
    data, split = board.data, board.split
    targets = (
        f"target{'s' * (len(board.targets) > 1)} {listed([*map(one_name, board.targets)])}; "
        if board.targets
        else ""
    )
    trained = [row for row in board.rows if row.head != "-"]
    same = [
        f"{word} {values.pop()}"
        for word, values in (
            ("head", {row.head for row in trained}), ("weights", {row.start for row in trained})
        )
        if len(values) == 1
    ]  # fmt: skip
    recipe = "; ".join(part for part in (*same, recipe_in_words(board.rows)) if part)
    share = f" ({split.train_share:.3g} of the training images)" if split.train_share < 1 else ""
    sides = f"{size_text(board, 'train')} train{share}, {size_text(board, 'val')} val, "
    sides += f"{size_text(board, 'test')} test"
    folds = f", {split.folds} folds, each {sides}" if split.folds > 1 else f" ({sides})"
    column = split.group_column if split.name in _KEEPS_GROUPS else None
    groups = f" by {printable(column)}" if column else ""
    images = f"{data.n:,} images, {data.duplicates:,} of them duplicates"
    apart = [f"{name} {text}" for name, text in board.apart.items() if name != "targets"]
    images += f" ({', '.join(apart)})" if apart else ""
    return (
        f"{data.name}: {images}; {targets}split {split.name}{groups}{folds}{f'; {recipe}' if recipe else ''}."
    )


def size_text(board: Leaderboard, side: str) -> str:
    """Return how many images a side of the split has, train, val or test; of several folds the range."""
    low, high = board.sizes.get(side) or [getattr(board.split, f"n_{side}")] * 2
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


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
        f"This split leaks: {split.leaked:,} of {split.n_test:,} test images {split.also_in_training}, "
        "so the test scores are too optimistic."
    )


def repeats(board: Leaderboard) -> str:
    """Return the warning that test images repeat training images, where the split does not say so itself."""
    rows = {row.backbone: row for row in board.rows if is_baseline(row)}
    mean, lookup = (rows[name].test_mse if name in rows else None for name in (MEAN, LOOKUP))
    if board.split.leaky or mean is None or lookup is None or lookup >= mean * (1 - _ROUNDING):
        return ""
    of_lookup, of_mean = apart(lookup, mean)
    return (
        f"{LOOKUP} has a lower test MSE ({of_lookup}) than {MEAN} ({of_mean}): test images are also "
        "in train, so the test scores are too optimistic."
    )


def unheld(board: Leaderboard) -> str:
    """Return that nothing is known of what answers without a network; nothing where something is."""
    known = any(is_baseline(row) and row.val_mse is not None for row in board.rows)
    if known or board.best is None:
        return ""
    return (
        "No baseline is known here, such as always predicting the mean: nothing shows that a network is "
        "worth using."
    )


def untested(board: Leaderboard) -> str:
    """Return which baselines are left out, or are compared with by their means alone; nothing without any."""
    partial = f"{listed(board.partial)}: not known for all folds, so left out." if board.partial else ""
    rows = [row.backbone for row in board.rows if is_baseline(row) and row.test_mae is None]
    if not rows or board.evidence in (None, "smoke"):
        return partial
    return (
        f"Predictions of {listed(rows)} are not kept in these results, or cannot be read: rows are compared "
        f"with their mean errors, without a test. {partial}"
    ).strip()


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


def incomplete(board: Leaderboard) -> str:
    """Return which rows have no rank, since runs of theirs failed or are missing; nothing without any."""
    rows = [
        row.name
        for row in board.rows
        if row.verdict == INCOMPLETE and (row.failed or not row.halved)  # `halved` tells of the others
    ]
    if not rows:
        return ""
    are = "are incomplete and have" if len(rows) > 1 else "is incomplete and has"
    return f"{listed(rows)} {are} no rank: runs failed or are missing, so the mean over the others misleads."


def memorised(board: Leaderboard) -> str:
    """Return which rows fit their training images far better than val, and val badly; nothing without any."""
    means = [row.val_mse for row in board.rows if row.backbone == MEAN]
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
        "Training found nothing better by val than what these rows had before the first epoch, ridge "
        "regression on the features of the pretrained backbone, not held to the range of train: "
        f"{listed(found)}."
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
        (f"{row.name}{row.share}", at_the_edge(row.tuned.found, row.tuned.tried))
        for row in board.every_row
        if row.tuned
    ]
    return [f"{name}: {text}." for name, text in found if text]


def at_the_edge(found: Sequence[float], tried: Sequence[float]) -> str:
    """Return the warning that a better learning rate may lie outside of those tried; nothing if it may not.

    ``found`` are the best ones, one or several, ``tried`` all of them, lowest first.
    """
    if len(tried) == _TWO:
        return "of two learning rates the best is always at one end: try three or more"
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
    seeds = seeds_of(board.rows)
    if board.evidence is None or not seeds:
        return ""
    fewest, most = min(seeds), max(seeds)
    count = f"{fewest} to {most} seeds" if most > fewest else "One seed" if most == 1 else f"{most} seeds"
    ranked = [row for row in board.rows if row.rank is not None]
    if ranked and len(_alike(board)) == len(ranked):
        same = "which give the same predictions: their number is no evidence of how sure a row is"
        return f"{count} per row, {same}."
    withheld = bool(ranked) and all(row.test_mse_low is None and row.p_value is None for row in ranked)
    why = f": {ranked[0].covers}" if withheld and ranked[0].covers else ""
    if withheld and board.evidence != "smoke":
        told = beaten(board) or untestable(board)
        more = to_test(board, ranked[0])
        return (
            f"{count} per row, but no difference between rows can be tested{why}.{more * (more not in told)}"
        )
    return {
        "smoke": f"{count} per row: differences between rows may be chance, three seeds are needed to tell."
        + f" There is no interval{why}." * bool(why),
        "screen": f"{count} per row: enough to drop the worst rows, too few to order rows that are close.",
        "publish": f"{count} per row.",
    }[board.evidence]


def trust(board: Leaderboard) -> str:
    """Return how far the order can be trusted."""
    if board.evidence is None:
        return "No run has finished."
    trained = [row for row in board.rows if row.head != "-" and row.val_mse is not None]
    text = f"{evidence(board)} Rows are ranked by val MSE.{_covered(board)}"
    if any(row.verdict in (NOT_WORSE, WORSE) for row in trained):
        text += (
            " A verdict compares the test MSE with that of the best row (α = 0.05, corrected for all pairs); "
            "× is the test MSE as a multiple of the best row's."
        )
        if any(row.verdict == NOT_WORSE and (row.times_best or 1.0) < 1 for row in trained):
            text += " Where that is below 1 the row is lower on test, which does not decide: val does."
    withheld: dict[str, list[str]] = defaultdict(list)
    for row in board.rows:
        if row.test_mse_low is None and row.test_mse is not None and row.covers:
            withheld[row.covers].append(row.name)
    reasons = "; ".join(f"{listed(names)} ({reason})" for reason, names in withheld.items())
    return text + (f" No interval: {reasons}." if reasons else "")


def _covered(board: Leaderboard) -> str:
    """Return what the intervals of the rows account for; nothing where there are none."""
    covers: dict[str, list[str]] = defaultdict(list)
    for row in board.rows:
        if row.test_mse_low is not None and row.seeds:
            covers[row.covers].append(row.name)
    if not covers:
        return ""
    *some, (rest, _) = covers.items()
    parts = [*(f"{what} ({listed(names)})" for what, names in some), f"{rest}{' (others)' * bool(some)}"]
    if any(row.test_mse_low is not None and not row.seeds for row in board.rows) and "only" not in rest:
        parts.append("test images alone in rows without seeds")
    return f" The 95 % interval of the test MSE accounts for: {'; '.join(parts)}."


def units(board: Leaderboard) -> str:
    """Return what the errors are measured in."""
    ranges = [
        f"{one_name(name)} {readable(low)} to {readable(high)}"
        for name, low, high in zip(board.targets, board.low, board.high, strict=True)
    ]
    of = f" ({', '.join(ranges)})" if 0 < len(ranges) <= _TARGETS else ""
    if board.split.folds > 1:
        of = f" of its fold{of.replace('(', '(of the first: ')}"
    return (
        f"MSE: squared errors, with the range of each target in train{of} as 0 to 1. RMSE and MAE: in the "
        "target's own unit."
    )


def _close(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and math.isclose(one, other, rel_tol=1e-9)


def alike(board: Leaderboard) -> str:
    """Return which rows do not depend on the seed; nothing where none does, and `evidence` says so of all."""
    rows = _alike(board)
    if not rows or len(rows) == sum(row.rank is not None for row in board.rows):
        return ""
    same = f"All seeds of {listed(rows)} give the same predictions"
    return f"{same}: their number is no evidence of how sure the row is."


def _alike(board: Leaderboard) -> list[str]:
    """Return the ranked rows whose seeds predict the same: a closed form on frozen features does."""
    return [
        row.name
        for row in board.rows
        if row.seeds > 1 and row.rank is not None
        if _close(row.val_mse, row.ensemble_val_mse) and _close(row.test_mse, row.ensemble_test_mse)
    ]


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
        text += " Runs on other machines, or with other numbers of threads, are left out of the costs."
    return text
