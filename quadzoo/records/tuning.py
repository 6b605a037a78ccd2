"""What the search for a learning rate leaves behind: the trials of one combination on one fold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from quadzoo.errors import DataError
from quadzoo.records.facts import Count
from quadzoo.records.keys import Identity, hash_of
from quadzoo.records.record import NotNegative, Precision
from quadzoo.storage import read_regular, write_atomically

_MOST_BYTES = 1 << 20
_ERROR = 1000  # characters


class Trial(BaseModel):
    """One learning rate: the val MSE that a short training reached, or why it has none.

    ``diverged`` tells a training that went to infinity from one that broke off.
    """

    model_config = ConfigDict(extra="forbid")

    lr: Annotated[NotNegative, Field(gt=0)]
    val_mse: NotNegative | None = None
    error: Annotated[str, Field(max_length=_ERROR)] | None = None
    diverged: bool = False

    @property
    def is_final(self) -> bool:
        """Whether another trial would come to the same."""
        return self.val_mse is not None or self.diverged

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.val_mse is None) == (self.error is None):
            raise ValueError("a trial has either a val_mse or an error")
        return self


class Kept(BaseModel):
    """What is kept in a file that has the name of its key."""

    model_config = ConfigDict(extra="forbid")

    key: str


KeptT = TypeVar("KeptT", bound=Kept)


class TuningRecord(Kept):
    """The trials of one combination on one fold, lowest learning rate first.

    All are of one seed and take the same number of epochs. ``backbone`` and ``head`` are for readers: the key
    says more.
    """

    backbone: str
    head: str
    fold: Count
    precision: Precision
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    epochs: Annotated[int, Field(ge=1)]
    trials: list[Trial] = []

    @property
    def best(self) -> float | None:
        """The learning rate with the lowest val MSE, of equals the lowest; None where no trial has one."""
        scored = [(one.val_mse, one.lr) for one in self.trials if one.val_mse is not None]
        return min(scored)[1] if scored else None


def tuning_key(identity: Identity) -> str:
    """Return what names the search that a run belongs to: all that its key holds, but for the seed.

    So all seeds of a combination share one learning rate, and seeds that are added later take it over.
    """
    return hash_of({"tuning": identity.combination, "fold": identity.fold, "precision": identity.precision})


def tuning_path(out: Path, key: str) -> Path:
    """Return OUT/tuning/<key>.json."""
    return out / "tuning" / f"{key}.json"


def write_tuning(out: Path, record: TuningRecord) -> None:
    """Write OUT/tuning/<key>.json. Raises OSError where that cannot be written."""
    text = record.model_dump_json(indent=1)
    write_atomically(tuning_path(out, record.key), text.encode() + b"\n")


def read_tuning(out: Path, key: str) -> TuningRecord | None:
    """Return the trials of a key, None where there are none. Raises DataError for a file that is no such."""
    return read_kept(tuning_path(out, key), TuningRecord, "the trials of learning rates")


def read_kept(path: Path, kind: type[KeptT], what: str) -> KeptT | None:
    """Return what a file named after its key holds, None where there is none; ``what`` says what it is.

    Raises DataError for a file that is no such.
    """
    try:
        record = kind.model_validate_json(read_regular(path, _MOST_BYTES))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"{path}: not {what} ({where}: {first['msg']})") from error
    if record.key != path.stem:
        raise DataError(f"{path}: it has the trials of {record.key[:20]}, not those of its name")
    return record
