"""What a run leaves behind: one record, as JSON, written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from quadzoo.errors import DataError
from quadzoo.metrics import Scores
from quadzoo.model.recipe import Recipe
from quadzoo.model.weights import LoadedWeights
from quadzoo.records.facts import Count, DataFacts, FileName, Halved, Key, Name, Sha256, SplitFacts
from quadzoo.records.keys import NEUTRAL_RECIPE, Identity, ImageFacts, Originals, Provenance
from quadzoo.storage import open_regular, read_regular, write_atomically
from quadzoo.targets import LEAST_RANGE

SCHEMA = 2
RECORD = "record.json"
WEIGHTS = "model.safetensors"
PREDICTIONS = "predictions.csv"
WORST = "worst.webp"
SEEN = "seen_images.npy"
N_WORST = 24  # images in worst.webp, at most
_RECORD_BYTES = 64 << 20
_FILE_BYTES = 64 << 30

Compiled = Literal["no", "kernels", "graphs"]  # graphs: of earlier versions
DeviceKind = Literal["cpu", "cuda", "mps"]
Precision = Literal["32", "bf16"]
_MOST_PARAMS = 10**13
_MOST = 1e30  # larger numbers are no scores, and their squares and sums overflow
Finite = Annotated[float, Field(ge=-_MOST, le=_MOST, allow_inf_nan=False, strict=True)]
NotNegative = Annotated[float, Field(ge=0, le=_MOST, allow_inf_nan=False, strict=True)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Metrics(_Part):
    """Scores of the weights with the best val MSE; every field is null in a failed run."""

    val_mse: NotNegative | None = None
    test_mse: NotNegative | None = None
    test_exact: Annotated[float, Field(ge=0, le=1)] | None = None
    test_rmse: dict[str, NotNegative] | None = None
    test_r2: dict[str, Annotated[Finite, Field(le=1)] | None] | None = None

    @classmethod
    def of(cls, val: Scores, test: Scores) -> Metrics:
        """Return the metrics of a run that scores so on its val and test images.

        Raises ValidationError, a ValueError, for a score that is not finite.
        """
        return cls(
            val_mse=val["mse"],
            test_mse=test["mse"],
            test_exact=test["exact"],
            test_rmse=test["rmse"],
            test_r2=test["r2"],
        )


class Cost(_Part):
    """What the run took; docs/metrics.md defines each figure. Null where it could not be measured."""

    params: Annotated[Count, Field(le=_MOST_PARAMS)] | None = None
    gmacs: NotNegative | None = None
    train_images_per_second: NotNegative | None = None
    fit_seconds: NotNegative | None = None
    fit_energy_joules: NotNegative | None = None
    cpu_share: Annotated[float, Field(ge=0, le=1)] | None = None
    latency_ms: NotNegative | None = None
    latency_p95_ms: NotNegative | None = None
    images_per_second: NotNegative | None = None
    inference_batch: Count | None = None
    peak_memory_mb: NotNegative | None = None


class Initial(_Part):
    """The trained model a run started from: the key of the run that made it, and the SHA-256 of its weights.

    ``overlap`` counts the test images that the model had been trained or selected on, ``overlap_val`` the
    validation images that it had been trained on; null where the model does not say which images it has seen.
    """

    key: str
    sha256: str
    overlap: Count | None = None
    overlap_val: Count | None = None


class Found(_Part):
    """What was found for requests of the recipe that left something open.

    ``epochs`` is the number that `epochs` auto came to; ``lr`` is the learning rate that ``tune`` chose, and
    that the run was trained with. ``halved`` says where a bench with `halving` stopped, and did not run it.
    """

    epochs: Count | None = None
    lr: Annotated[float, Field(gt=0, le=_MOST, allow_inf_nan=False)] | None = None
    halved: Halved | None = None


class Epoch(BaseModel):
    """The errors after one epoch, in the unit of the scores, and further losses by name.

    A record of quadzoo 0.1 has them in the network's ``unit``; val is missing where it was not validated.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Finite] = Field(init=False)

    train_mse: NotNegative | None = None
    val_mse: NotNegative | None = None


class Ranges(_Part):
    """What 0 and 1 of a scaled unit stand for, target by target, and whether it is whole numbers."""

    low: list[Finite]
    high: list[Finite]
    integer: list[bool]

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        if not len(self.low) == len(self.high) == len(self.integer):
            raise ValueError("low, high and integer differ in length")
        if any(high - low < LEAST_RANGE for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError("low must be below high, target by target")
        return self


class Failure(_Part):
    """Why a run failed."""

    type: str
    message: str
    traceback: str


class Code(_Part):
    """Where the code of backbone and head comes from."""

    backbone: Provenance
    head: Provenance


class Environment(_Part):
    """Where it ran; ``plugins`` maps the distributions of backbone and head to their versions.

    ``libraries`` does the same for what the built-in backbones and the training come from. ``compiled`` says
    whether the backbone was compiled for training, ``replayed`` whether a GPU replayed whole training steps.
    ``resumed`` are epochs after which it went on from a checkpoint, ``deterministic``: only such kernels of a
    GPU. ``gpu`` tells GPUs of one name apart by a hash of their own; ``machine`` is one of a node's name.
    """

    quadzoo: str
    torch: str
    python: str
    device: DeviceKind
    device_name: str
    threads: Annotated[int, Field(ge=1)]
    compiled: Compiled = "no"
    replayed: bool = False
    resumed: list[Count] = []
    deterministic: bool = False
    gpu: str = ""
    machine: str = ""
    plugins: dict[str, str]
    libraries: dict[str, str]


class RunRecord(_Part):
    """One run: a combination of backbone and head, a seed, a data set, a split and a fold.

    ``network`` describes a backbone that is in no list. ``weights`` names what training started from:
    pretrained or file (``loaded`` says which weights), none, or a trained model, of which ``initial`` says
    more. ``unit`` is the network's scaled unit where that model, or the recipe, has another than that of the
    ``target_`` fields, in which scores are given. ``prediction_mode`` is how the head predicts, where it has
    several ways. ``found`` is what came of requests that left something to be found. ``worst`` are the ids of
    the images in worst.webp, largest error first; ``flags`` repeat the run, paths by their last part.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    record_schema: Annotated[int, Field(ge=1, strict=True)] = Field(default=SCHEMA, alias="schema")
    key: Key
    status: Literal["ok", "failed"]
    backbone: Name
    head: Name
    network: dict[str, JsonValue] | None = None
    seed: Count
    weights: str
    weights_note: str
    loaded: LoadedWeights | None = None
    initial: Initial | None = None
    provenance: Code
    data: DataFacts
    image: ImageFacts
    originals: Originals | None = None
    split: SplitFacts
    targets: Annotated[list[Name], Field(min_length=1)]
    target_low: list[Finite]
    target_high: list[Finite]
    target_integer: list[bool]
    unit: Ranges | None = None
    metrics: Metrics
    baselines: dict[str, Metrics]
    cost: Cost
    recipe: Recipe
    found: Found = Found()
    precision: Precision
    precision_note: str = ""
    best_epoch: Count | None
    prediction_mode: str | None = None
    history: list[Epoch]
    worst: list[str] = []
    flags: dict[str, str] = {}
    environment: Environment
    files: dict[FileName, Sha256]
    error: Failure | None
    started: AwareDatetime
    finished: AwareDatetime

    @property
    def identity(self) -> Identity:
        """All that could change the score; it has the key and the combination."""
        return Identity(
            data=self.data.hash,
            image=self.image,
            split=self.split.hash,
            fold=self.split.fold,
            backbone=self.provenance.backbone,
            head=self.provenance.head,
            weights=self.weights,
            loaded=self.loaded,
            initial=self.initial.sha256 if self.initial else None,
            unit=(self.unit or self.own_ranges).model_dump() if self.initial else None,
            precision=self.precision,
            recipe=self.recipe,
            seed=self.seed,
        )

    @property
    def epochs(self) -> int | None:
        """The number of epochs; None where it was to be found and the run failed before."""
        return self.found.epochs if self.recipe.epochs == "auto" else self.recipe.epochs

    @property
    def own_ranges(self) -> Ranges:
        """The unit that scores are given in."""
        return Ranges(low=self.target_low, high=self.target_high, integer=self.target_integer)

    @property
    def combination(self) -> str:
        """What all seeds and folds of this combination share."""
        return self.identity.combination

    @property
    def curve(self) -> str:
        """What the combination would be on all training images: the same for all its shares of them."""
        return replace(self.identity, split=self.split.whole).combination

    @model_validator(mode="before")
    @classmethod
    def _from_older_schemas(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        schema = given.get("schema", SCHEMA)
        if isinstance(schema, int) and schema > SCHEMA:
            raise ValueError(f"has schema {schema}, this version of quadzoo reads up to {SCHEMA}")
        given = dict(given)
        given.pop("combination", None)  # stored until schema 2, now derived
        if "decoding" in given:
            given["prediction_mode"] = given.pop("decoding")
        if isinstance(given.get("recipe"), dict):  # fields that are missing did what their neutral values do
            given["recipe"] = {**NEUTRAL_RECIPE, **given["recipe"]}
        elif not isinstance(given.get("recipe"), Recipe):
            raise ValueError("recipe is no mapping")
        return given

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len({*self.targets}) < len(self.targets):
            raise ValueError("targets has a name twice")
        for ranges in (self.own_ranges, self.unit or self.own_ranges):
            if len(ranges.low) != len(self.targets):
                raise ValueError("targets and their ranges differ in number")
        self.split.check(self.targets, self.data.n)
        metrics = self.metrics
        if self.best_epoch is not None and self.epochs is not None and self.best_epoch > self.epochs:
            raise ValueError(f"best_epoch is {self.best_epoch}, of {self.epochs} epochs")
        if self.status == "failed" and metrics != Metrics():
            raise ValueError("status is failed, but metrics has scores")
        if self.status == "ok":
            if metrics.val_mse is None or metrics.test_mse is None:
                raise ValueError("status is ok, but val_mse or test_mse is missing")
            if {*(metrics.test_rmse or {})} ^ {*self.targets} or {*(metrics.test_r2 or {})} ^ {*self.targets}:
                raise ValueError("test_rmse or test_r2 has other targets than the record")
            if not (self.split.n_val and self.split.n_test):
                raise ValueError("status is ok, but the split has no val or no test images")
            if (self.recipe.tune is None) != (self.found.lr is None):
                raise ValueError(f"recipe.tune is {self.recipe.tune}, but found.lr is {self.found.lr}")
        if self.found.halved and self.status == "ok":
            raise ValueError("status is ok, but found.halved says that it was not run")
        if (self.status == "failed") != (self.error is not None):
            raise ValueError(f"status is {self.status}, but error is {'set' if self.error else 'null'}")
        return self


def run_folder(out: Path, key: str) -> Path:
    """Return OUT/runs/<key>."""
    return out / "runs" / key


def write_record(out: Path, record: RunRecord) -> None:
    """Write OUT/runs/<key>/record.json. Raises OSError where that cannot be written."""
    write_atomically(run_folder(out, record.key) / RECORD, json_of(record))


def json_of(record: RunRecord) -> bytes:
    """Return a record as the JSON of its file."""
    fields = record.model_dump(mode="json", by_alias=True)
    text = json.dumps(fields, indent=2, ensure_ascii=False, allow_nan=False)
    return text.encode(errors="replace") + b"\n"  # names of files may be no UTF-8


def read_record(out: Path, key: str) -> RunRecord | None:
    """Return the record of a key, None where there is none.

    Raises DataError for one that is no record, or is that of another run.
    """
    if not os.path.lexists(path := run_folder(out, key) / RECORD):
        return None
    record = read_record_file(path)
    if record.key != key:
        raise DataError(f"{path}: it is the record of run {record.key[:20]}, its folder is {key}")
    return record


def read_record_file(path: Path) -> RunRecord:
    """Return the record in a file. Raises DataError for a file that cannot be read, or is no record."""
    try:
        return RunRecord.model_validate_json(read_regular(path, _RECORD_BYTES))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        found = f"{where}: {message}" if where else message
        raise DataError(f"{path}: not a record that this version reads ({found})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def read_records(out: Path) -> list[RunRecord]:
    """Return all records of a results folder, in the order of their keys. Raises DataError for a bad one."""
    return [record for key in keys_in(out) if (record := read_record(out, key))]


def keys_in(out: Path) -> list[str]:
    """Return the names of the run folders that have a record, sorted."""
    try:
        folders = list(os.scandir(out / "runs"))
    except OSError:
        return []
    return sorted(folder.name for folder in folders if os.path.lexists(Path(folder.path) / RECORD))


def is_done(out: Path, key: str) -> bool:
    """Say whether a key has a record with status ok; one that cannot be read is run again."""
    try:
        record = read_record(out, key)
    except DataError:
        return False
    return record is not None and counts_as_done(record)


def counts_as_done(record: RunRecord) -> bool:
    """Say whether a run need not run again: it has finished, and its key is that of what was run."""
    return record.status == "ok" and record.identity.key == record.key


def sha256_of(path: Path, *, follow: bool = False) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal.

    Raises OSError where it cannot be read, or is larger than any network's weights; ``follow`` as for
    `quadzoo.storage.read_regular`.
    """
    with open_regular(path, follow=follow) as file:
        if (size := os.fstat(file.fileno()).st_size) > _FILE_BYTES:
            raise OSError(errno.EFBIG, f"it has {size:,} bytes, at most {_FILE_BYTES:,} are read", str(path))
        return hashlib.file_digest(file, "sha256").hexdigest()
