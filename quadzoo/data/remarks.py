"""What is noticed while a table is read, and kept from nobody: bench and check both say it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from quadzoo.data.findings import Finding, Findings
from quadzoo.data.guess import ROLES, belongs_together
from quadzoo.data.numbers import number
from quadzoo.data.rows import TableRows, is_vague
from quadzoo.data.texts import alike, folded, plural, quoted, told_apart

GROUP_COLUMN = "group-column"
OWN_SPLIT = "own-split"
UNLABELLED = "unlabelled"
POINTS = "points-in-numbers"
_REPEATED = 0.9  # of the rows have a value that others have, too
_FEWEST, _FEWEST_ROWS = 3, 10  # values of a column, rows
_MOST_SUGGESTED = 3


def remarks(tables: Sequence[TableRows], group_column: str | None) -> list[Finding]:
    """Return findings about the rows of one table, or of that of train and val and that of test."""
    found = Findings()
    for table in tables:
        points = [text for one in table.columns if (text := one.may_be_thousands)]
        found.add("warning", POINTS, points, "target whose points may separate thousands")
        points = [text for one in table.columns if (text := one.all_may_be_thousands)]
        found.add("note", POINTS, points, "target whose numbers all have three decimals, as thousands would")
    ids = [identity for table in tables for identity in table.ids]
    found.add(
        "warning",
        "alike-ids",
        [told_apart(some) for some in alike(ids, zeros=False)],
        "group of ids that differ in case, blanks, dashes or the alphabet of a letter alone",
    )
    groups = [group for table in tables for group in table.groups]
    found.add(
        "warning",
        "alike-groups",
        [told_apart(some) for some in alike(groups, zeros=True)],
        f"group of values of {quoted(group_column or '')} that differ in case, blanks, dashes, leading zeros "
        "or the alphabet of a letter alone: they count as different",
    )
    vague = Counter(group for group in groups if is_vague(group))
    found.add(
        "warning",
        "vague-groups",
        [f"{quoted(group)} in {plural(n, 'row')}" for group, n in vague.most_common()],
        f"value of {quoted(group_column or '')} that may stand for no group; its rows stay together",
    )
    found.add(
        "warning",
        UNLABELLED,
        [f"row {line} ({identity})" for one in tables for line, (identity, _) in one.unlabelled.items()],
        "row without any target, which is left out",
    )
    if len(tables) == 1:
        found.add(
            "note",
            OWN_SPLIT,
            list(tables[0].divisions.values()),
            "column of the table that seems to divide the images, and is not used",
        )
    if group_column is None:
        found.add(
            "note",
            GROUP_COLUMN,
            _repeating(tables[0]),
            "column whose values repeat: if the images of one value belong together (one patient, one site), "
            "name it with `group_column`, which keeps them on one side or, with a split of your own, counts "
            "those that are not",
        )
    return found.sorted()


def _repeating(table: TableRows) -> list[str]:
    """Return the columns that may say what belongs together; of many those that are named so, or finest."""
    n = len(table.ids)
    suggested: list[tuple[bool, int, str]] = []
    for name, counts in table.repeated.items():
        if folded(name) in ROLES or name in table.divisions:
            continue
        several = sum(count for value, count in counts.items() if count > 1 and value)
        if n < _FEWEST_ROWS or len(counts) < _FEWEST or several < _REPEATED * n:
            continue
        if not all(number(value) % 1 == 0 for value in counts if number(value) == number(value)):
            continue  # measurements
        text = f"{name}: {len(counts):,} values in {plural(n, 'row')}"
        suggested.append((belongs_together(name), len(counts), text))
    return [text for *_, text in sorted(suggested, reverse=True)[:_MOST_SUGGESTED]]
