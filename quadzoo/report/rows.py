"""The parts of a leaderboard; docs/metrics.md defines every figure."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from quadzoo.records.record import Cost, DataFacts, Metrics, SplitFacts

Evidence = Literal["smoke", "screen", "publish"]


class FailedRun(BaseModel):
    """A run that failed, and why, in one line."""

    key: str
    seed: int
    fold: int
    error: str


class RowCost(Cost):
    """The cost of a combination on one device: means over the runs made there."""

    device: str
    runs: int


class Curve(BaseModel):
    """A run's errors after each epoch, and the epoch whose weights were kept: 0 is before the first.

    Both lists have an entry for every epoch, None where that was not validated.
    """

    seed: int
    fold: int
    best_epoch: int | None
    train_mse: list[float | None]
    val_mse: list[float | None]


class Kind(BaseModel):
    """The scores of one kind of image, such as one form of equation: means over seeds."""

    kind: str
    n: int
    test_mse: float
    test_exact: float | None


class Bin(BaseModel):
    """A part of a target's range, with the error of the test images in it, in the target's unit."""

    low: float
    high: float
    n: int
    rmse: float


class Worst(BaseModel):
    """An image with a large error, and where its thumbnail is: the key of a run, a position from the top."""

    id: str
    error: float
    truth: dict[str, float]
    prediction: dict[str, float]
    run: str
    position: int


class Details(BaseModel):
    """The details of a row: learning curves, and the errors on the test images.

    ``worst`` is of the seed with the best val MSE, ``worst_seed``.
    """

    curves: list[Curve] = []
    kinds: list[Kind] = []
    bins: dict[str, list[Bin]] = {}
    worst: list[Worst] = []
    worst_seed: int | None = None


class Tuned(BaseModel):
    """How the learning rate of a row was chosen: the request, the rates tried, and those that were taken.

    ``found`` has several where folds differ, and none where no run has finished.
    """

    request: str
    tried: list[float]
    found: list[float]


class Overlap(BaseModel):
    """Images that the model a row started from had been trained on, over all folds; None: unknown."""

    test: int | None
    val: int | None
    n_test: int
    n_val: int


class Row(Metrics):
    """One combination, or one answer without a model (head ``-``); scores are means over its runs."""

    rank: int | None = None
    tied: bool = False
    p_value: float | None = None
    backbone: str
    head: str
    weights: str
    seeds: int
    failed: int
    test_mse_low: float | None = None
    test_mse_high: float | None = None
    leaky: bool
    overlap: Overlap | None = None
    mixed: str = ""
    image_size: str = ""
    precision: str = ""
    epochs: int | None = None
    train_share: float = 1.0
    n_train: float | None = None
    frozen: bool = False
    tuned: Tuned | None = None
    plugins: str = "-"
    combination: str = "-"
    recipe: dict[str, Any] | None = None
    command: str | None = None
    costs: list[RowCost] = Field(default_factory=list)
    failures: list[FailedRun] = Field(default_factory=list)
    details: Details = Details()

    @property
    def name(self) -> str:
        """Backbone and head, and whether the row is tuned: the same two may have another row that is not."""
        name = self.backbone if self.head == "-" else f"{self.backbone} + {self.head}"
        return f"{name} (tuned)" if self.tuned else name

    @property
    def cost(self) -> RowCost:
        """The cost on the leaderboard's device, or on the row's own where it never ran there."""
        return self.costs[0] if self.costs else RowCost(device="", runs=0)


def share_of(row: Row) -> str:
    """Return ", share 0.25" for a row that was trained on one, else nothing."""
    return f", share {row.train_share:.3g}" if row.train_share < 1 else ""


class Level(BaseModel):
    """The test MSE that a power law gives for a number of training images, with its 95 % interval."""

    n_train: float
    test_mse: float
    low: float
    high: float


class Withheld(Level):
    """The largest share of a curve, predicted from the others: ``test_mse`` is that, ``seen`` what it was."""

    seen: float


class Law(BaseModel):
    """A power law of the test MSE, n_train to the power of -``exponent``.

    ``factor`` is what twice the training images multiply the test MSE by, with its 95 % interval; ``line``
    goes from the smallest share to twice the images of the largest.
    """

    exponent: float
    factor: float
    factor_low: float
    factor_high: float
    line: list[Level]
    withheld: Withheld | None


class ShareCurve(BaseModel):
    """What is a row of a leaderboard on each share of the training images, the smallest first.

    ``rows`` have no details. Where no ``law`` is fitted to them, ``reason`` says why.
    """

    rows: list[Row]
    law: Law | None = None
    reason: str = ""

    @property
    def name(self) -> str:
        """Backbone and head."""
        return self.rows[0].name


class Unreadable(BaseModel):
    """A run that could not be read, and why, in one line; it is in no row."""

    folder: str
    key: str
    reason: str


class Leaderboard(BaseModel):
    """The rows for one data set and one split, best mean val MSE first.

    All rows were trained on the same images, the largest share of the training images that there are runs of.
    Where there are smaller ones, ``shares`` has each row on all of its shares. ``unreadable`` are the runs of
    the same results folders that could not be read, of whatever data.
    """

    data: DataFacts
    split: SplitFacts
    evidence: Evidence | None
    devices: list[str]
    versions: dict[str, str]
    rows: list[Row]
    shares: list[ShareCurve] = []
    unreadable: list[Unreadable] = []

    @property
    def failed(self) -> int:
        """How many runs failed."""
        return sum(row.failed for row in self.every_row)

    @property
    def every_row(self) -> list[Row]:
        """The rows, then those of smaller shares of the training images."""
        largest = self.split.train_share
        smaller = [row for curve in self.shares for row in curve.rows if row.train_share != largest]
        return [*self.rows, *smaller]

    @property
    def best(self) -> Row | None:
        """The trained row with the best mean val MSE."""
        return next((row for row in self.rows if row.head != "-" and row.val_mse is not None), None)


class Conflict(BaseModel):
    """Two finished runs with one key and different scores; the newer one was taken."""

    key: str
    backbone: str
    head: str
    seed: int
    taken_test_mse: float | None
    other_test_mse: float | None
