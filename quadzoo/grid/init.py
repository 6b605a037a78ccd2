"""Start from a trained model: find it, see that it fits what was asked for. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from quadzoo.errors import ConfigError, NameNotFound
from quadzoo.grid.config import BenchConfig, flag_of, written
from quadzoo.grid.plan import FoldData, Model
from quadzoo.records.record import RECORD, WEIGHTS, Initial, read_record_file, sha256_of
from quadzoo.registry.catalogue import Catalogue


def find_model(name: str, names: Catalogue) -> Model:
    """Return the registered model of that name, or the run in that folder.

    Raises NameNotFound where there is neither, DataError or ConfigError for one that cannot be used.
    """
    folder, registered = Path(name), True
    try:
        folder = names.models[name].spec.folder
    except NameNotFound as error:
        registered = False
        if not (folder / RECORD).exists():
            raise NameNotFound(f"--init {name}: {error}; nor is it the folder of a run") from None
    record = read_record_file(folder / RECORD)
    if record.status != "ok":
        raise ConfigError(f"--init {name}: that run has status {record.status}; start from one that is ok")
    try:
        sha256 = sha256_of(folder / WEIGHTS)
    except OSError as error:
        raise ConfigError(f"--init {name}: its weights cannot be read ({error})") from error
    if sha256 != record.files.get(WEIGHTS):
        raise ConfigError(
            f"--init {name}: {WEIGHTS} has SHA-256 {sha256}, its record says {record.files.get(WEIGHTS)}; "
            "the file was changed or cut off"
        )
    initial = Initial(key=record.key, sha256=sha256)
    if registered:
        return Model(name, name, folder, record, initial)
    return Model(f"run {record.key}", f"./{folder.name}", folder, record, initial)


def fixed_by(model: Model, config: BenchConfig) -> BenchConfig:
    """Return the config with the model's backbone, head and image size. Raises ConfigError for others."""
    record = model.record
    height, width = record.image["size"]
    fixed = {
        "backbones": (record.backbone,),
        "heads": (record.head,),
        "image_size": f"{height}x{width}",
        "resize": record.image["resize"],
    }
    for field, value in fixed.items():
        asked = getattr(config, field)
        if field in config.model_fields_set and asked != value:
            flag, has = flag_of(field), written(field, value)
            raise ConfigError(
                f"{flag} {written(field, asked)}: --init {config.init} fixes it to {has}; leave {flag} out"
            )
    return config.model_copy(update=fixed)


def check_fit(model: Model, folds: Iterable[FoldData]) -> None:
    """Raise ConfigError where the model predicts other targets, or may have been trained on test images."""
    record = model.record
    for data in folds:
        if list(data.info.names) != record.targets:
            raise ConfigError(
                f"--init {model.name}: it predicts {', '.join(record.targets)}, the targets are "
                f"{', '.join(data.info.names)}; choose a model for these"
            )
        split = data.split
        same_split = (split.hash, split.fold) == (record.split.hash, record.split.fold)
        if data.images.hash == record.data.hash and not same_split:
            raise ConfigError(
                f"--init {model.name}: it was trained on these images with split {record.split.name} fold "
                f"{record.split.fold}, so it may have seen what {split.name} fold {split.fold} tests; "
                "use its own split"
            )
