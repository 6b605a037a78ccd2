"""The result of an audit, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel

from quadzoo.data.texts import printable

Severity = Literal["error", "warning", "note"]
KEPT = 1000
"""Examples of a finding; its count is exact."""


class Finding(BaseModel):
    """One kind of finding: how often, and where. An error ends a bench or makes its scores wrong.

    ``examples`` are the first 1,000 at most.
    """

    severity: Severity
    code: str
    count: int
    text: str
    examples: list[str]


class Findings:
    """Collects findings."""

    def __init__(self) -> None:
        self._all: list[Finding] = []

    def add(self, severity: Severity, code: str, examples: Sequence[str], text: str) -> None:
        """Add a finding, with a text about one of its examples; without examples there is none."""
        if examples:
            shown = [printable(one) for one in examples[:KEPT]]
            self.take(Finding(severity=severity, code=code, count=len(examples), text=text, examples=shown))

    def take(self, *findings: Finding) -> None:
        """Add findings that are made already."""
        self._all += findings

    def sorted(self) -> list[Finding]:
        """Return errors first, then warnings, then notes."""
        return sorted(self._all, key=lambda one: ("error", "warning", "note").index(one.severity))


class TargetFacts(BaseModel):
    """One target over the usable rows; ``outliers`` are beyond Tukey's outer fences.

    ``missing`` counts the rows that lack it; the other figures are of those that have it.
    """

    name: str
    min: float
    max: float
    mean: float
    std: float
    distinct: int
    integer: bool
    outliers: int
    missing: int = 0


class DuplicateFacts(BaseModel):
    """Images identical, pixel for pixel, to an earlier one, and the groups that they form."""

    images: int
    groups: int
    largest: int
    disagreeing: int


class NearFacts(BaseModel):
    """Pairs of different images whose perceptual hashes differ in at most ``threshold`` of ``bits``."""

    pairs: int
    threshold: int
    bits: int
    across_sides: int | None


class SplitFacts(BaseModel):
    """A split, how many of its test images are also in train or val, and how many val images in train."""

    name: str
    train: int
    val: int
    test: int
    leaked: int
    val_in_train: int


class PixelFacts(BaseModel):
    """The values of the usable images: how many have so many bands, and are of each type.

    ``low`` and ``high`` are the smallest and the largest value, ``value_range`` those that become 0 and 1,
    and ``clipped`` is the share of values beyond. ``levels`` counts the values there are; of 32 bits and
    more, those of the image that has most. ``transparent`` counts images laid on white, ``stacked`` those
    with further pages or frames.
    """

    bands: dict[int, int]
    types: dict[str, int]
    low: float
    high: float
    levels: int
    value_range: tuple[float, float]
    clipped: float
    transparent: int
    stacked: int


class EquationFacts(BaseModel):
    """How many labels differ from the text of their equation; ``opposite_b`` of ``wrong_b`` have -b."""

    read: int
    unreadable: int
    wrong_a: int
    wrong_b: int
    wrong_c: int
    opposite_b: int
    wrong_roots: int


class Audit(BaseModel):
    """The result of an audit; ``rows`` are those of the table, ``usable`` those that a bench could use.

    ``unlabelled`` counts the rows that are left out since they lack every target, where rows may lack some.
    ``guessed`` says what was found of what the request left out; ``image_size`` is empty without images.
    """

    name: str
    table: str
    images: str
    guessed: list[str]
    rows: int
    usable: int
    unlabelled: int
    kinds: dict[str, int]
    pixels: PixelFacts | None
    sizes: dict[str, int]
    image_size: str
    missing_images: int
    unreadable_images: int
    images_without_row: int
    targets: list[TargetFacts]
    duplicates: DuplicateFacts
    near_duplicates: NearFacts
    splits: list[SplitFacts]
    equations: EquationFacts | None
    findings: list[Finding]
    errors: int
    warnings: int
