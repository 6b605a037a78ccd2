"""What a run leaves behind: one record, as JSON, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from quadzoo.errors import DataError
from quadzoo.metrics import Scores
from quadzoo.storage import write_atomically

SCHEMA = 1
Compiled = Literal["no", "kernels", "graphs"]
RECORD = "record.json"
WEIGHTS = "model.safetensors"
PREDICTIONS = "predictions.csv"
WORST = "worst.webp"
N_WORST = 24  # images in it, at most


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Metrics(_Part):
    """Scores of the weights with the best val MSE; every field is null in a failed run."""

    val_mse: float | None = None
    test_mse: float | None = None
    test_exact: float | None = None
    test_rmse: dict[str, float] | None = None
    test_r2: dict[str, float | None] | None = None

    @classmethod
    def of(cls, val: Scores, test: Scores) -> Metrics:
        """Return the metrics of a run that scores so on its val and test images."""
        return cls(
            val_mse=val["mse"],
            test_mse=test["mse"],
            test_exact=test["exact"],
            test_rmse=test["rmse"],
            test_r2=test["r2"],
        )


class DataFacts(_Part):
    """The images and targets: n images, of which ``duplicates`` repeat an earlier one pixel for pixel."""

    name: str
    hash: str
    n: int
    duplicates: int


class SplitFacts(_Part):
    """The sides; ``leaked`` counts test images that also stand, pixel for pixel, in train or val."""

    name: str
    hash: str
    fold: int
    folds: int
    n_train: int
    n_val: int
    n_test: int
    leaked: int
    leaky: bool


class Cost(_Part):
    """What the run took; docs/metrics.md defines each figure. Null where it could not be measured."""

    params: int | None = None
    gmacs: float | None = None
    train_images_per_second: float | None = None
    fit_seconds: float | None = None
    fit_energy_joules: float | None = None
    latency_ms: float | None = None
    latency_p95_ms: float | None = None
    images_per_second: float | None = None
    inference_batch: int | None = None
    peak_memory_mb: float | None = None


class Initial(_Part):
    """The trained model a run started from: the key of the run that made it, and its weights' SHA-256."""

    key: str
    sha256: str


class Ranges(_Part):
    """What 0 and 1 of a scaled unit stand for, target by target, and whether it is whole numbers."""

    low: list[float]
    high: list[float]
    integer: list[bool]


class Failure(_Part):
    """Why a run failed."""

    type: str
    message: str
    traceback: str


class Environment(_Part):
    """Where it ran; ``plugins`` maps the distributions of backbone and head to their versions.

    ``libraries`` does the same for what the built-in backbones and the training come from. ``compiled`` says
    whether the backbone was compiled for training, to kernels, or to kernels replayed as CUDA graphs.
    """

    quadzoo: str
    torch: str
    python: str
    device: Literal["cpu", "cuda"]
    device_name: str
    threads: int
    compiled: Compiled = "no"
    plugins: dict[str, str]
    libraries: dict[str, str]


class RunRecord(_Part):
    """One run: a combination of backbone and head, a seed, a data set, a split and a fold.

    ``weights`` names what training started from: pretrained, none, or a trained model, of which ``initial``
    says more; ``unit`` is the network's scaled unit where that model, or the recipe, has another than that of
    the ``target_`` fields, which scores are told in. ``decoding`` is how the head predicts, where it has
    several ways. ``worst`` are the ids of the images in worst.webp, from top to bottom, worst first;
    ``flags`` are those of ``quadzoo bench`` that repeat the run, paths by their last part.
    """

    record_schema: int = Field(default=SCHEMA, alias="schema")
    key: str
    combination: str
    status: Literal["ok", "failed"]
    backbone: str
    head: str
    seed: int
    weights: str
    weights_note: str
    initial: Initial | None = None
    provenance: dict[str, dict[str, str]]
    data: DataFacts
    image: dict[str, Any]
    split: SplitFacts
    targets: list[str]
    target_low: list[float]
    target_high: list[float]
    target_integer: list[bool]
    unit: Ranges | None = None
    metrics: Metrics
    baselines: dict[str, Metrics]
    cost: Cost
    recipe: dict[str, Any]
    precision: Literal["32", "bf16"]
    precision_note: str = ""
    best_epoch: int | None
    decoding: str | None = None
    history: list[dict[str, float]]
    worst: list[str] = []
    flags: dict[str, str] = {}
    environment: Environment
    files: dict[str, str]
    error: Failure | None
    started: datetime
    finished: datetime

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


def hash_of(ingredients: dict[str, Any]) -> str:
    """Return 16 hexadecimal digits that stand for JSON-like data, whatever the order of its keys."""
    text = json.dumps(ingredients, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Keys(NamedTuple):
    """Of a run: ``combination`` is what all its seeds and folds share, ``run`` its own."""

    combination: str
    run: str


def keys_of(
    *,
    data: str,
    image: dict[str, Any],
    split: str,
    provenance: dict[str, dict[str, str]],
    weights: str,
    initial: Initial | None,
    precision: str,
    recipe: dict[str, Any],
    seed: int,
    fold: int,
) -> Keys:
    """Return the keys of a run: hashes of all that can change a score; ``data`` and ``split`` are hashes.

    Where nothing is trained, neither seed nor recipe can.
    """
    if recipe.get("epochs") == 0:
        recipe, seed = {"epochs": 0}, 0
    ingredients = {
        "data": data,
        "image": image,
        "split": split,
        "plugins": provenance,
        "weights": initial.model_dump() if initial else weights,
        "precision": precision,
        "recipe": recipe,
    }
    return Keys(hash_of(ingredients), hash_of({**ingredients, "seed": seed, "fold": fold}))


def run_folder(out: Path, key: str) -> Path:
    """Return OUT/runs/<key>."""
    return out / "runs" / key


def write_record(out: Path, record: RunRecord) -> None:
    """Write OUT/runs/<key>/record.json."""
    text = json.dumps(record.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False)
    write_atomically(run_folder(out, record.key) / RECORD, text.encode() + b"\n")


def read_record(out: Path, key: str) -> RunRecord | None:
    """Return the record of a key, None where there is none. Raises DataError for one that is no record."""
    path = run_folder(out, key) / RECORD
    return read_record_file(path) if path.exists() else None


def read_record_file(path: Path) -> RunRecord:
    """Return the record in a file. Raises DataError for a file that cannot be read, or is no record."""
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise DataError(f"{path}: not a record of schema {SCHEMA} ({error.error_count()} faults)") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})") from error


def read_records(out: Path) -> list[RunRecord]:
    """Return all records of a results folder, in the order of their keys."""
    keys = sorted(path.parent.name for path in (out / "runs").glob(f"*/{RECORD}"))
    return [record for key in keys if (record := read_record(out, key))]


def is_done(out: Path, key: str) -> bool:
    """Say whether a key has a record with status ok."""
    record = read_record(out, key)
    return record is not None and record.status == "ok"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
