"""A suite in sentences: which backbone over all sets, how sure, and what limits the figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from quadzoo.report.captions import Caption, leak, left_out, mixed
from quadzoo.report.doubts import brief, seen
from quadzoo.report.rows import INCOMPLETE, Leaderboard
from quadzoo.report.suite.board import SetFacts, SuiteBoard, SuiteRow, overlapping
from quadzoo.report.suite.columns import cell_text
from quadzoo.report.text import apart, listed, short

_PER_SET: tuple[Callable[[Leaderboard], str], ...] = (leak, seen, mixed)


def answers(board: SuiteBoard) -> dict[str, str]:
    """Return question and answer; nothing where no row has finished on any set."""
    if not board.counted:
        return {}
    found = {"Which backbone?": _which(board)}
    if board.best:
        found["How sure is that?"] = _how_sure(board, board.best)
    if whole := [row for row in board.rows if row.verdict != INCOMPLETE]:
        found["Does it beat the baselines?"] = _beats(whole[0])
    return {**found, "Where is no network worth using?": _nowhere(board)}


def captions(board: SuiteBoard) -> list[Caption]:
    """Return the paragraphs above the tables: what was measured, then what limits its figures."""
    made = [
        Caption(_task(board)),
        *(Caption(f"{name} is not finished: {why}", warning=True) for name, why in board.errors.items()),
        Caption(_not_counted(board), warning=True),
        Caption(_incomplete(board), warning=True),
        *(Caption(f"{name}: {left_out(some)}", warning=True) for name, some in board.unreadable.items()),
        Caption(_ambiguous(board), warning=True),
        Caption(_shares(board)),
        Caption(_others(board), warning=True),
        Caption(_strangers(board), warning=True),
        *(
            Caption(f"{name}: {text}", warning=say is not mixed)
            for name, one in board.boards.items()
            for say in _PER_SET
            if (text := say(one))
        ),
        Caption(_reading(board)),
    ]
    return [caption for caption in made if caption.text]


def _which(board: SuiteBoard) -> str:
    n = _sets(len(board.counted))
    if board.best is None:
        whole = [row.name for row in board.rows if row.verdict != INCOMPLETE]
        if whole:
            only = f"{whole[0]} is the only row that is finished on {n}: there is nothing to rank it with."
            return f"{only}{_no_use(board)}"
        return f"No row is finished on all of the {n} that have results: there is no mean rank yet."
    first = [row.name for row in board.ranked if row.rank == 1]
    has = "share the lowest mean rank" if len(first) > 1 else "has the lowest mean rank"
    text = f"{listed(first)} {has}: {short(board.best.mean_rank)} over {n}, by val MSE."
    return f"{text}{_no_use(board)}{_unranked(board)}"


def _no_use(board: SuiteBoard) -> str:
    """Return which of the first rows do not beat the baselines, and which others do."""
    whole = [row for row in board.rows if row.verdict != INCOMPLETE]
    beaten = [row.name for row in whole if row.rank in (1, None) and not row.beats_baselines]
    if not beaten:
        return ""
    better = [row.name for row in whole if row.beats_baselines]
    if not better:
        return " No row beats the baselines: none is worth using."
    does, do = ("do" if len(names) > 1 else "does" for names in (beaten, better))
    return f" {listed(beaten)} {does} not beat the baselines; {listed(better)} {do}."


def _unranked(board: SuiteBoard) -> str:
    rows = [row.name for row in board.rows if row.rank is None]
    return (
        f" {listed(rows)} {'is' if len(rows) == 1 else 'are'} not ranked: runs are missing." if rows else ""
    )


def _how_sure(board: SuiteBoard, best: SuiteRow) -> str:
    interval = f"Its interval, {short(best.mean_rank_low)} to {short(best.mean_rank_high)}, overlaps"
    others = len(board.ranked) - 1
    if (board.critical_difference or 0.0) > others:
        return (
            f"Over {_sets(len(board.counted))} no difference between {others + 1} rows can be significant "
            "(α = 0.05): with more data sets it can."
        )
    same = [row.name for row in overlapping(board, best)]
    if not same:
        rest = "the other row is" if others == 1 else f"{_all(others)} other rows are"
        return f"{interval} that of no other row: {rest} significantly worse (α = 0.05)."
    of = f"those of {len(same)} of {others} other rows"
    if len(same) == others:
        of = "that of the other row" if others == 1 else f"those of {_all(others)} other rows"
    is_ = "is" if len(same) == 1 else "are"
    text = f"{interval} {of}: {listed(same)} {is_} not significantly different (α = 0.05)."
    if len(same) < others:
        rest = "The other row is" if others - len(same) == 1 else "The other rows are"
        text += f" {rest} significantly worse."
    return text


def _all(others: int) -> str:
    return "both" if others == 2 else f"all {others}"


def _beats(best: SuiteRow) -> str:
    text = f"{best.name} has a lower val MSE than the best baseline on {best.wins} of {_sets(best.sets)}"
    if best.mean_ratio is not None:
        text += f"; on average (geometric mean) it is {short(best.mean_ratio)} times that of the baseline"
    return (
        f"{text}. Baselines are mean-of-train, pixel-lookup, and ridge regression on pixels and pretrained "
        "features."
    )


def _nowhere(board: SuiteBoard) -> str:
    """Return on which sets no network is worth using; on a terminal no question stands before it."""
    beaten = [one for one in board.counted if one.beaten is False]
    unshown = [one.name for one in board.counted if one.beaten and not one.shown]
    tests = (
        f"On {listed(unshown)} networks have a lower val MSE than the best baseline, but none is "
        "significantly better than baselines on the test images."
        if unshown
        else ""
    )
    if not beaten and unshown:
        return tests
    if not beaten:
        return (
            "There is no such data set: on each a network has a lower val MSE than the best baseline, and "
            "one is significantly better than baselines on the test images."
        )
    told = [
        f"{one.baseline} on {one.name} (val MSE "
        f"{' against '.join(apart(one.best_val_mse, one.baseline_val_mse))})"
        for one in beaten
    ]
    of = f"{len(beaten)} of {_sets(len(board.counted))}"
    on = f"On {of} no network is worth using: none beats {listed(told)}.{_brief(board, beaten)}"
    return f"{on} {tests}".strip()


def _brief(board: SuiteBoard, beaten: Sequence[SetFacts]) -> str:
    """Return on which of the sets the best network was trained for few epochs."""
    best = {one.name: board.boards[one.name].best for one in beaten}
    rows = {name: row for name, row in best.items() if row is not None and brief([row])}
    where = f"On {listed(list(rows))}" if len(rows) < len(beaten) else ""
    return brief(list(rows.values()), where)


def _task(board: SuiteBoard) -> str:
    images = sum(one.data.n for one in board.sets if one.data)
    seeds = {one.seeds for one in board.sets}
    count = f"{min(seeds)} to {max(seeds)}" if len(seeds) > 1 else f"{max(seeds)}"
    rows = f"{len(board.rows)} row{'s' * (len(board.rows) != 1)}"
    return f"{_sets(len(board.sets))}, {images:,} images; {rows}, {count} seed{'s' * (count != '1')} each."


def _reading(board: SuiteBoard) -> str:
    text = (
        "A cell is the row's val MSE divided by that of the set's best baseline: below 1, the row beats it. "
        "In brackets is the row's rank on the set. "
    )
    if board.best is None:
        return f"{text}Mean ranks need two rows that are finished on all sets."
    return (
        f"{text}Rows are sorted by mean rank. Two rows differ significantly where their intervals do not "
        "overlap (α = 0.05 for all pairs; Nemenyi's test, Demšar 2006)."
    )


def _not_counted(board: SuiteBoard) -> str:
    names = [one.name for one in board.sets if one.best is None]
    if not names:
        return ""
    return f"No row is finished on {listed(names)}: mean ranks are over the other sets."


def _incomplete(board: SuiteBoard) -> str:
    counted = [one.name for one in board.counted]
    rows = [
        f"{row.name} ({listed(missing)})"
        for row in board.rows
        if (missing := [
            f"{name}: {'no run' if (text := cell_text(row.cells[name])) == '–' else text}"
            for name in counted if not row.cells[name].finished
        ])
    ]  # fmt: skip
    return f"Without a mean rank, since not finished on all sets: {listed(rows)}." if rows else ""


def _ambiguous(board: SuiteBoard) -> str:
    cells = [(row, name) for row in board.rows for name, cell in row.cells.items() if cell.ambiguous]
    if not cells:
        return ""
    named = listed([f"{row.name} on {name}" for row, name in cells])
    return (
        f"Several rows of one name, which nothing in these tables tells apart, are left out: {named}; the "
        "leaderboard of the set shows them."
    )


def _shares(board: SuiteBoard) -> str:
    names = [name for name, one in board.boards.items() if one.shares]
    if not names:
        return ""
    return (
        f"Smaller shares of the training images are left out on {listed(names)}; the leaderboard of the set "
        "shows them."
    )


def _others(board: SuiteBoard) -> str:
    if not board.others:
        return ""
    return (
        f"Runs on other data or splits are left out: {listed(list(board.others))} "
        f"{'has' if len(board.others) == 1 else 'have'} further leaderboards."
    )


def _strangers(board: SuiteBoard) -> str:
    if not board.strangers:
        return ""
    is_ = "is no set" if len(board.strangers) == 1 else "are no sets"
    return (
        f"Left out: {listed(board.strangers)} {is_} of this suite, though the folder has runs of that name."
    )


def _sets(n: int) -> str:
    return f"{n} data set{'s' * (n != 1)}"
