"""What answers without a network of the bench leave behind: a record and predictions, as a run does."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from quadzoo.model.weights import LoadedWeights
from quadzoo.records.facts import DataFacts, FileName, Key, Name, Sha256, SplitFacts
from quadzoo.records.keys import ImageFacts, hash_of
from quadzoo.records.record import PREDICTIONS, Metrics, NotNegative, sha256_of
from quadzoo.storage import read_regular, write_atomically

BASELINE = "baseline.json"
MEAN, LOOKUP, RIDGE_PIXELS = "mean-of-train", "pixel-lookup", "ridge-pixels"
RIDGE_FEATURES = "ridge-features:"  # and the name of a backbone
_MOST_BYTES = 64 << 20


class BaselineRecord(BaseModel):
    """One baseline on one fold: its scores, the penalty that was chosen for each target, and what it took.

    ``alphas`` are ridge regression's, chosen by leave-one-out on train; other baselines have none.
    ``n_fitted`` is how many training images it was fitted to.
    """

    model_config = ConfigDict(extra="forbid")

    key: Key
    name: Name
    data: DataFacts
    split: SplitFacts
    targets: list[Name]
    metrics: Metrics
    alphas: dict[str, NotNegative]
    n_fitted: int = Field(ge=1)
    seconds: NotNegative
    files: dict[FileName, Sha256]


def baseline_key(
    name: str, data: str, image: ImageFacts, split: tuple[str, int], loaded: LoadedWeights | None = None
) -> str:
    """Return what identifies a baseline: a hash of the data, that of a split and a fold, weights if any."""
    weights = {"tag": loaded.tag, "sha256": loaded.sha256} if loaded else None
    return hash_of(
        {
            "baseline": name,
            "data": data,
            "image": image.ingredients,
            "split": split[0],
            "fold": split[1],
            "weights": weights,
        }
    )


def baseline_folder(out: Path, key: str) -> Path:
    """Return OUT/baselines/<key>."""
    return out / "baselines" / key


def baseline_keys(out: Path) -> list[str]:
    """Return the names of the folders of baselines that have a record, sorted."""
    return sorted(path.parent.name for path in (out / "baselines").glob(f"*/{BASELINE}"))


def write_baseline(out: Path, record: BaselineRecord, predictions: bytes) -> None:
    """Write predictions.csv and, last, the record. Raises OSError where that cannot be done."""
    folder = baseline_folder(out, record.key)
    write_atomically(folder / PREDICTIONS, predictions)
    record.files = {PREDICTIONS: sha256_of(folder / PREDICTIONS)}
    text = json.dumps(record.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(folder / BASELINE, text.encode() + b"\n")


def read_baseline(out: Path, key: str) -> BaselineRecord | None:
    """Return the record of a baseline; None where there is none that can be read: it is then made anew."""
    folder = baseline_folder(out, key)
    try:
        record = BaselineRecord.model_validate_json(read_regular(folder / BASELINE, _MOST_BYTES))
        whole = record.files.get(PREDICTIONS) == sha256_of(folder / PREDICTIONS)
        return record if whole and record.key == key else None
    except (OSError, ValidationError):
        return None
