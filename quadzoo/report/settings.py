"""What rows were made with, and in what they differ: recipe, images, precision, versions, device."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from quadzoo.records.recipes import nearest, says_nothing_of_features
from quadzoo.records.record import RunRecord
from quadzoo.report.caveats import conditions_of
from quadzoo.report.rows import Row

_DIGITS = 12  # of a hash
_SPEAK_FOR_THEMSELVES = ("weights", "plugins")
_SHOWN_ELSEWHERE = ("freeze", "tune")  # in the columns of weights and of tuning


def settings_of(records: Sequence[RunRecord]) -> dict[str, str]:
    """Return what the runs of a row were made with, in words; of several values, all."""
    first = records[0]
    found = {name: _text(value) for name, value in first.recipe.model_dump().items()}
    if says_nothing_of_features(first.recipe):
        del found["frozen_features"]
    epochs = sorted({record.epochs for record in records if record.epochs is not None})
    found["epochs"] = ", ".join(map(str, epochs)) or found["epochs"]
    rates = sorted({record.found.lr for record in records if record.found.lr})
    found["lr"] = ", ".join(f"{lr:g}" for lr in rates) or found["lr"]
    images = first.image.model_dump()
    found["size"] = "x".join(map(str, images.pop("size")))
    found |= {name: _text(value) for name, value in images.items()}
    return found | conditions_of(records)


def origin_of(record: RunRecord) -> dict[str, str]:
    """Return where weights and code of a run come from, which differs from one backbone to the next."""
    code = record.provenance.backbone, record.provenance.head
    found = {
        f"{part} code": one.ingredients["version"][:_DIGITS]
        for part, one in zip(("backbone", "head"), code, strict=True)
    }
    if record.loaded:
        found["loaded"] = f"{record.loaded.tag} {(record.loaded.sha256 or '')[:_DIGITS]}".strip()
    return found


def set_variants(rows: Sequence[Row]) -> None:
    """Set of each row what tells it from others with the same backbone and head."""
    same: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if row.head != "-":
            same[row.backbone, row.head].append(row)
    for members in same.values():
        facts = [
            {"weights": row.weights, **row.settings, "plugins": row.plugins, **row.origin} for row in members
        ]
        # That of a tuned row was found: it was not asked for.
        rates = {row.settings.get("lr") for row in members if not row.tuned}
        differ = [name for name in differ_in(facts) if name != "tune" and (name != "lr" or len(rates) > 1)]
        for row, one in zip(members, facts, strict=True):
            told = ["tuned"] if row.tuned else []
            told += [
                one.get(name, "") if name in _SPEAK_FOR_THEMSELVES else f"{name} {one.get(name, '-')}"
                for name in differ
                if not (row.tuned and name == "lr")
            ]
            row.variant = ", ".join(told)


def differing(rows: Sequence[Row]) -> list[str]:
    """Return the names of the settings in which rows with a model differ, without those of other columns."""
    facts = [row.settings for row in rows if row.settings]
    return [name for name in differ_in(facts) if name not in _SHOWN_ELSEWHERE]


def differ_in(facts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names under which mappings hold different values, in the order in which they are met."""
    names = dict.fromkeys(name for one in facts for name in one)
    return [name for name in names if any(one.get(name) != facts[0].get(name) for one in facts)]


def recipe_in_words(rows: Sequence[Row]) -> str:
    """Return the name of the recipe that is nearest to what the rows share, and what differs from it."""
    recipes = [row.recipe for row in rows if row.recipe]
    if not recipes:
        return ""
    name, differ = nearest(
        {field: value for field, value in recipes[0].items() if all(one[field] == value for one in recipes)}
    )
    told = ", ".join(f"{field} {_text(value)}" for field, value in differ.items())
    return f"recipe {name} with {told}" if told else f"recipe {name}"


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
