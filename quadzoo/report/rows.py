"""The parts of a leaderboard; docs/metrics.md defines every figure."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from quadzoo.records.facts import DataFacts, Halved, SplitFacts
from quadzoo.records.record import Cost, Metrics
from quadzoo.report.baselines import by_strength, is_name_of_baseline
from quadzoo.report.law import Law

# Verdicts, each the first that holds.
INCOMPLETE, NO_EVIDENCE, BEST = "incomplete", "no evidence", "best"
DOES_NOT_BEAT = "does not beat"  # and a baseline's name
NOT_WORSE, WORSE = "not significantly worse", "worse"
ENSEMBLE = "ensemble"  # of networks

Evidence = Literal["smoke", "screen", "publish"]


class FailedRun(BaseModel):
    """A run that failed, and why, in one line."""

    key: str
    seed: int
    fold: int
    error: str


class RowCost(Cost):
    """The cost of a combination on one device: medians over the runs made there.

    ``spread`` is the lowest and the highest of each figure in which the runs differ; ``side_by_side`` counts
    the runs that were under way at the same time as another one of the table.
    """

    device: str
    runs: int
    spread: dict[str, tuple[float, float]] = Field(default_factory=dict)
    side_by_side: int = 0


class Curve(BaseModel):
    """A run's errors after each epoch, None where not validated; the best epoch is 0 before the first."""

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
    truth: dict[str, float | None]
    prediction: dict[str, float]
    run: str
    position: int


class Fit(BaseModel):
    """How well a target is predicted on the test images of one seed, in the target's unit.

    ``bias`` is the mean of prediction minus truth, ``near`` the share of images whose prediction is within a
    tenth of the target's range; ``r2`` is None where the truth does not vary.
    """

    n: int
    rmse: float
    r2: float | None
    bias: float
    near: float


class Group(BaseModel):
    """The scores of the test images of one group, over all seeds."""

    name: str
    n: int
    test_mse: float
    test_rmse: dict[str, float | None]


class Groups(BaseModel):
    """The groups of several test images with the largest and the smallest errors, largest first.

    ``best`` is empty where ``worst`` holds all of them. ``left_out`` counts those in between, ``alone`` the
    groups of one test image, which are in neither.
    """

    worst: list[Group]
    best: list[Group]
    left_out: int
    alone: int


class Details(BaseModel):
    """The details of a row: learning curves, and the errors on the test images.

    ``fits`` and ``worst`` are of the seed with the best val MSE, ``worst_seed``; ``runs`` are its keys, one
    for each fold. ``groups`` is None unless at least half of the test images share a group with others.
    """

    curves: list[Curve] = []
    kinds: list[Kind] = []
    bins: dict[str, list[Bin]] = {}
    fits: dict[str, Fit] = {}
    groups: Groups | None = None
    worst: list[Worst] = []
    worst_seed: int | None = None
    runs: list[str] = []


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


class Unread(BaseModel):
    """A target that a row reads no better than a baseline, or, ``open``, that a test leaves so; its R²."""

    target: str
    r2: float | None
    baseline: str
    open: bool = False


class Member(BaseModel):
    """A run of an ensemble, and its weight in the mean of the fold: ``picks`` of all picks of the fold."""

    key: str
    backbone: str
    head: str
    seed: int
    fold: int
    picks: int
    weight: float


class Outside(BaseModel):
    """The file of an outside predictor, how many of the test images it answers, and its error on these."""

    file: str
    sha256: str
    answered: int
    n_test: int
    mse: float | None = None


class PredictionIntervals(BaseModel):
    """How the intervals that a row's models predict did on the test images: means over its runs.

    ``coverage`` is the share of test images inside, ``width`` the mean width of the intervals, for each
    target singly and in its unit; ``share_of_range`` is the mean over targets of width by range. Those that
    begin with ``joint`` are of the intervals for all targets at once, None where there are none.
    """

    level: float
    coverage: dict[str, float]
    width: dict[str, float]
    share_of_range: float
    joint_coverage: float | None
    joint_width: dict[str, float] | None
    joint_share_of_range: float | None


class Row(Metrics):
    """One combination, or one answer without a model (head ``-``); scores are means over its runs.

    ``rank`` is the place by val MSE among the rows with a model whose runs have all finished. ``verdict`` is
    one of those that docs/metrics.md lists; ``times_best`` is the test MSE as a multiple of that of the best
    row. ``p_value`` is of the same test MSE as the best row's, ``p_baseline`` of none lower than that of the
    best baseline. ``covers`` says what the interval of the test MSE accounts for, or why there is none.
    ``settings`` are what may differ between rows, ``origin`` is where weights and code come from, and
    ``variant`` those of them that tell the row from others with the same backbone and head.
    ``ensemble_val_mse`` and ``ensemble_test_mse`` are of the mean prediction of its seeds; ``members`` are
    the runs that the row ``ensemble`` is made of. ``outside`` is set in the row of an outside predictor.
    ``intervals`` are None where val predictions are missing, or too few. ``halved`` says where `halving` has
    stopped runs of the row; these are not among those that ``failed``.
    """

    rank: int | None = None
    rank_low: int | None = None
    rank_high: int | None = None
    p_best: float | None = None
    verdict: str = ""
    times_best: float | None = None
    p_value: float | None = None
    p_baseline: float | None = None
    unread: list[Unread] = Field(default_factory=list)
    backbone: str
    head: str
    weights: str
    seeds: int
    failed: int
    test_mse_low: float | None = None
    test_mse_high: float | None = None
    covers: str = ""
    seed_spread: float | None = Field(default=None, exclude=True)  # of the logarithm of the test MSE
    closed_form: bool = Field(default=False, exclude=True)  # a fit to frozen features, without steps
    otherwise: dict[str, str] = Field(default={}, exclude=True)  # the verdict without the rows so named
    test_mae: dict[str, float] | None = None
    ensemble_val_mse: float | None = None
    ensemble_test_mse: float | None = None
    intervals: PredictionIntervals | None = None
    members: list[Member] = Field(default_factory=list)
    outside: Outside | None = None
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
    halved: Halved | None = None
    plugins: str = "-"
    combination: str = "-"
    recipe: dict[str, Any] | None = None
    settings: dict[str, str] = Field(default_factory=dict)
    origin: dict[str, str] = Field(default_factory=dict)
    variant: str = ""
    command: str | None = None
    costs: list[RowCost] = Field(default_factory=list)
    failures: list[FailedRun] = Field(default_factory=list)
    details: Details = Details()

    @classmethod
    def without_model(cls, name: str, **fields: Any) -> Row:
        """Return a row that the bench has not trained: a baseline, an ensemble, somebody's reader."""
        return cls(backbone=name, head="-", weights="-", seeds=0, failed=0, **fields)

    @property
    def name(self) -> str:
        """Backbone and head, and what tells the row from others that have the same."""
        name = self.backbone if self.head == "-" else f"{self.backbone} + {self.head}"
        return f"{name} ({self.variant})" if self.variant else name

    @property
    def start(self) -> str:
        """What training started from, and whether that was left as it is; nothing without a model."""
        return "" if self.weights == "-" else f"{self.weights}, frozen" if self.frozen else self.weights

    @property
    def share(self) -> str:
        """ ", share 0.25" of a row that was trained on one, else nothing."""
        return f", share {self.train_share:.3g}" if self.train_share < 1 else ""

    @property
    def complete(self) -> bool:
        """Whether it has a model and all its runs have finished."""
        return self.head != "-" and self.val_mse is not None and self.verdict != INCOMPLETE

    @property
    def beats_baselines(self) -> bool:
        """Whether nothing is known against it being better than every answer without a model."""
        return not self.verdict.startswith(DOES_NOT_BEAT)

    @property
    def cost(self) -> RowCost:
        """The cost on the leaderboard's device, or on the row's own where it never ran there."""
        return self.costs[0] if self.costs else RowCost(device="", runs=0)


def is_baseline(row: Row) -> bool:
    """Whether a row is what every network has to beat; other rows without a model are none."""
    return row.head == "-" and is_name_of_baseline(row.backbone)


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
    """A run that could not be read, and why, in one line; ``combination`` is that of its row, where known."""

    folder: str
    key: str
    reason: str
    combination: str = ""


class Leaderboard(BaseModel):
    """The rows for one data set and one split, best mean val MSE first.

    ``targets`` are their names, ``low`` and ``high`` the ranges that count as 0 to 1, of the first fold. All
    rows were trained on the same images, the largest share that there are runs of. Where there are smaller
    ones, ``shares`` has each row on all of its shares. ``unreadable`` are runs of the same folders that could
    not be read, of whatever data; ``partial`` the baselines not known for all folds, which have no row.
    ``apart`` tells the table from one whose data and split have the same names.
    """

    data: DataFacts
    split: SplitFacts
    targets: list[str] = []
    low: list[float] = []
    high: list[float] = []
    evidence: Evidence | None
    devices: list[str]
    versions: dict[str, str]
    rows: list[Row]
    shares: list[ShareCurve] = []
    unreadable: list[Unreadable] = []
    partial: list[str] = []
    apart: dict[str, str] = {}
    sizes: dict[str, tuple[int, int]] = Field(default={}, exclude=True)  # least and most of a fold

    @property
    def title(self) -> str:
        """The names of data and split, and what tells them from others of these names."""
        apart = [f"{name} {text}" for name, text in self.apart.items()]
        return ", ".join([self.data.name, f"split {self.split.name}", *apart])

    @property
    def failed(self) -> int:
        """How many runs failed."""
        return sum(row.failed for row in self.every_row)

    @property
    def every_row(self) -> list[Row]:
        """The rows, then those of smaller shares of the training images."""
        largest = self.split.train_share
        return [*self.rows, *(one for of in self.shares for one in of.rows if one.train_share != largest)]

    @property
    def best(self) -> Row | None:
        """The row with the best mean val MSE: of those that are complete, or of all where none is."""
        trained = [row for row in self.rows if row.head != "-" and row.val_mse is not None]
        return next((row for row in trained if row.complete), trained[0] if trained else None)

    @property
    def best_baseline(self) -> Row | None:
        """The baseline with the best val MSE."""
        rows = [row for row in self.rows if is_baseline(row) and row.val_mse is not None]
        return min(rows, key=lambda row: by_strength(row.backbone, row.val_mse), default=None)


class Conflict(BaseModel):
    """Two finished runs with one key and different scores; the newer one was taken."""

    key: str
    backbone: str
    head: str
    seed: int
    taken_test_mse: float | None
    other_test_mse: float | None
