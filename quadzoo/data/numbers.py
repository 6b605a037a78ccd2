"""Numbers as tables write them: what is read, and how to mend what is not."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field

from quadzoo.data.finder import is_image
from quadzoo.data.texts import quoted

LARGEST = 1e25  # of a target: squares and sums of larger ones are no scores
EXACT = 2**53  # from here on float64 does not hold every whole number

_MINUS = str.maketrans({"\u2212": "-", "\ufe63": "-", "\uff0d": "-", "\u2013": "-", "\uff0e": "."})
_DASHES = "-\u2013\u2014"
_MISSING = frozenset({
    "", "?", ".", "nan", "na", "n/a", "#n/a", "#na", "<na>", "null", "none", "nil", "missing",
    "#value!", "#ref!", "#div/0!", "#num!", "#name?", "#null!",
})  # fmt: skip
_BLANKS = re.compile(r"(?<=\d)[\s\u00a0\u2009\u202f'’](?=\d{3}(?!\d))")  # between groups of three digits
_KINDS = tuple(
    (kind, re.compile(pattern), mend)
    for kind, pattern, mend in (
        ("true or false", "true|false|yes|no|ja|nein|wahr|falsch|t|f|y|n", "write 1 and 0"),
        (
            "dates",
            r"\d{4}-\d{1,2}-\d{1,2}([t ].*)?|\d{1,4}[./]\d{1,2}[./]\d{2,4}( .*)?",
            "write a number, such as the days since a first date",
        ),
        ("times", r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?", "write a number, such as seconds"),
        ("infinite numbers", "[+-]?(inf|infinity|∞)", "delete the row"),
        ("bounds", "[<>~≈≤≥±].*", "write one number"),
    )
)
_NUMBER = r"[+-]?(?:\d[\d.,]*|[.,]\d+)(?:[eE][+-]?\d+)?"
_WITH_UNIT = re.compile(
    rf"(?P<before>([^\w.,+-]{{0,3}}|[A-Za-z]{{2,4}}\s+))(?P<number>{_NUMBER})(?P<after>[^\d]*)"
)
_IN_BRACKETS = re.compile(rf"[^\w.,+-]{{0,2}}\(\s*({_NUMBER})\s*\)")
_MINUS_BEHIND = re.compile(r"(\d[\d.,]*)\s*-")
_MULTIPLE = re.compile(  # what multiplies the number before it, or is a unit of that name
    r"([kKMGTB]|(?i:bn|mn|mio|mrd|tsd|mill|(m|b|tr)illion(en|s)?|thousand|lakh|crore))\.?\s*[€$£¥]?"
)
_COMMA_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")
_POINT_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+")

_MOST_UNITS = 8  # of a column
_DECIMALS_FROM_TO = 10, 100  # digits before the point differ in number
_CODE = 999.0
_APART = 3.0  # times: whole numbers of hundreds beside decimals

Kind = str
"""What a cell is, in the words of messages: ``number``, ``empty cells``, ``decimal commas``, ``text`` ..."""


def number(text: str) -> float:
    """Return the finite number that a text stands for; NaN where it is none.

    A minus may be any of Unicode's; digits may be those of any script.
    """
    try:
        value = float(text)
    except ValueError:
        if text.isascii():
            return math.nan
        try:
            value = float(text.translate(_MINUS).replace("\ufeff", ""))
        except ValueError:
            return math.nan
    # float() also takes 1_000 and inf, which no table means as a number.
    return value if math.isfinite(value) and "_" not in text else math.nan


def is_missing(text: str) -> bool:
    """Say whether a cell is empty, or says in one of the usual ways that there is no value."""
    return text.strip().strip(_DASHES).lower() in _MISSING


@dataclass(frozen=True)
class Spelling:
    """How a cell is written: its ``kind``, what to write instead, in words, and the unit that it has."""

    kind: Kind
    mend: str = ""
    unit: str = ""


def spelling(text: str) -> Spelling:
    """Say what a cell is that is no number, and how to mend it."""
    cell = text.strip().translate(_MINUS)
    if is_missing(cell):
        return Spelling("empty cells")
    for kind, pattern, mend in _KINDS:
        if pattern.fullmatch(cell.lower()):
            return Spelling(kind, mend)
    plain = _BLANKS.sub("", cell)
    found = None if is_image(cell) else _WITH_UNIT.fullmatch(plain)
    if not found:
        return Spelling("text")
    before, bare, after = (found[name].strip() for name in ("before", "number", "after"))
    if not before and not after:
        return _separated(bare, grouped=_BLANKS.search(cell) is not None)
    return _negative(plain) or _with_unit(before, bare, after)


def _negative(text: str) -> Spelling | None:
    """Say how a negative number is written whose minus is not before it; None for any other text."""
    for kind, pattern in (("numbers in brackets", _IN_BRACKETS), ("a minus behind", _MINUS_BEHIND)):
        if found := pattern.fullmatch(text):
            bare = f"-{found[1].lstrip('+-')}"
            bare = "a minus before it" if math.isnan(number(bare)) else bare
            return Spelling(kind, f"if it is negative, write {bare}")
    return None


def _with_unit(before: str, bare: str, after: str) -> Spelling:
    """Say how a number is written that has something before or after it."""
    if len(after) > 12:  # words after a number
        return Spelling("text")
    if after and unicodedata.numeric(after[0], None) is not None:  # 5½ is not 5, nor is 3²; cm² is a unit
        return Spelling("fractions and powers", "write it as a decimal number")
    unit = after or before
    if _MULTIPLE.fullmatch(after):
        return Spelling("units", f"write the number in full, without {quoted(after)}", unit)
    plain = bare if not math.isnan(number(bare)) else ""
    mend = f"write the number alone{f': {plain}' if plain else ''}"
    return Spelling("percent signs" if after == "%" else "units", mend, unit)


def _separated(bare: str, *, grouped: bool) -> Spelling:
    """Say how a text of digits, points and commas is written."""
    if "," in bare and "." in bare:
        decimal = max(",.", key=bare.rfind)
        plain = bare.replace("," if decimal == "." else ".", "").replace(",", ".")
    elif bare.count(".") > 1:
        plain = bare.replace(".", "") if _POINT_GROUPS.fullmatch(bare) else ""
    elif _COMMA_GROUPS.fullmatch(bare):
        plain = bare.replace(",", "") if bare.count(",") > 1 else ""
        if not plain:
            return Spelling("commas")
    elif _DECIMAL_COMMA.fullmatch(bare):
        point = bare.replace(",", ".")
        return Spelling("decimal commas", f"write decimals with a point: {point}")
    else:
        plain = bare if grouped else ""
    if not plain or math.isnan(number(plain)):
        return Spelling("text")
    return Spelling("thousands separators", f"write it without separators: {plain}")


@dataclass
class Column:
    """What the cells of a column of numbers are, as far as they have been read: counts by kind.

    ``first`` has the row and the text of the first cell of each kind, ``units`` some of the units of cells.
    Numbers with three decimals may be thousands: ``dotted`` counts those such as 1.234, of which
    ``smallest_dotted`` and ``largest_dotted`` are the ends, ``pointed`` all others with a point, ``hundreds``
    and ``large`` the whole numbers from 100 to 999, of which ``different`` are the values, and from 1000.
    """

    name: str
    kinds: Counter[Kind] = field(default_factory=Counter)
    first: dict[Kind, tuple[int, str]] = field(default_factory=dict)
    units: set[str] = field(default_factory=set)
    different: set[float] = field(default_factory=set)
    smallest_dotted: float = math.inf
    largest_dotted: float = 0
    hundreds: int = 0
    large: int = 0
    pointed: int = 0
    dotted: int = 0

    def see(self, row: int, text: str, value: float) -> None:
        """Count a cell, whose number is ``value``, NaN for none."""
        if math.isnan(value):
            found = spelling(text)
            self._count(found.kind, row, text)
            if found.unit and len(self.units) < _MOST_UNITS:
                self.units.add(found.unit)
            return
        self.kinds["number"] += 1
        if "." not in text:
            if 100 <= abs(value) < 1000:
                self.hundreds += 1
                self.different.add(abs(value))
            self.large += abs(value) >= 1000
        elif text.strip()[-4:-3] == "." and _POINT_GROUPS.fullmatch(text.strip()):
            self.dotted += 1
            self.smallest_dotted = min(self.smallest_dotted, abs(value))
            self.largest_dotted = max(self.largest_dotted, abs(value))
            self.first.setdefault("points", (row, text.strip()))
        else:
            self.pointed += 1

    def _count(self, kind: Kind, row: int, text: str) -> None:
        self.kinds[kind] += 1
        self.first.setdefault(kind, (row, text))

    @property
    def comma_is(self) -> str:
        """What the comma in a cell such as 1,234 separates: ``thousands``, ``decimals`` or ``either``."""
        if self.kinds["decimal commas"]:
            return "decimals"
        if self.kinds["thousands separators"] or (self.hundreds and not self.pointed and not self.large):
            return "thousands"
        return "either"

    def mend(self, text: str) -> str:
        """Say how to mend a cell of this column that is no number; empty where nobody can say."""
        found = spelling(text)
        if found.unit and len(self.units) > 1:
            shown = " and ".join(quoted(unit) for unit in sorted(self.units)[:2])
            return f"the column has several units, such as {shown}: write the numbers alone, all in one unit"
        if found.kind == "percent signs" and self.kinds["number"]:
            return "cells without % are beside it: write the numbers alone, all as percent or all as shares"
        if found.kind != "commas":
            return found.mend
        plain = text.strip().replace(",", "")
        return {
            "thousands": f"write thousands without a comma: {plain}",
            "decimals": f"write decimals with a point: {text.strip().replace(',', '.')}",
            "either": "write thousands without a comma, or decimals with a point, whichever it means",
        }[self.comma_is]

    @property
    def may_be_thousands(self) -> str:
        """Name both readings of points that stand where thousands would be separated; else empty.

        A column that goes 545, 691, 836, 982, 1.127, 1.273 means 1127 by its last two.
        """
        if not self.dotted or self.pointed or self.large:
            return ""
        # As decimals, the whole numbers would be of another size than all others.
        # One value in several rows is a code, and so is 999; one cell may be the only number below 1000.
        code = len(self.different) == 1 and (self.hundreds > 1 or _CODE in self.different)
        apart = not code and min(self.different, default=0) > _APART * self.largest_dotted
        if self.hundreds < self.dotted / 4 and not apart:
            return ""
        return self._both_readings

    @property
    def all_may_be_thousands(self) -> str:
        """Name both readings where every number has three decimals, from below 10 to above 100; else empty.

        Numbers that are printed with three decimals are written so, too; but as thousands they would fit.
        """
        low, high = _DECIMALS_FROM_TO
        spread = self.smallest_dotted < low and self.largest_dotted >= high
        return self._both_readings if spread and self.dotted == self.kinds["number"] else ""

    @property
    def _both_readings(self) -> str:
        row, text = self.first["points"]
        return (
            f"row {row}: {self.name} is {quoted(text)}, which is read as {number(text):g}; if the point "
            f"separates thousands, write {text.replace('.', '')}"
        )
