"""Start from a trained model: find it, see that it fits what was asked for. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from quadzoo.data.fold import Fold
from quadzoo.data.geometry import Geometry
from quadzoo.errors import ConfigError, NameNotFound
from quadzoo.grid.config import BenchConfig, written
from quadzoo.inference.view import View
from quadzoo.records import seen
from quadzoo.records.record import Initial
from quadzoo.records.trained import Trained, read_trained, record_file
from quadzoo.registry import additions
from quadzoo.registry.additions import Network
from quadzoo.registry.catalogue import Catalogue
from quadzoo.targets import TargetInfo


@dataclass(frozen=True)
class Model(Trained):
    """A trained model to start from; ``flag`` asks for it."""

    name: str
    flag: str

    @property
    def geometry(self) -> Geometry:
        """What was done to the images that it was trained on. Raises DataError where that makes no sense."""
        return View.of(self.record, f"`init` {self.name}").geometry

    def initial_for(self, fold: Fold) -> Initial:
        """Return what a run on this fold starts from, and how many of its images the model has seen."""
        table = seen.read(self.folder)
        known = None if table is None else seen.overlap(table, fold.digests, fold.split.val, fold.split.test)
        return Initial(
            key=self.record.key,
            sha256=self.sha256,
            overlap=known.test if known else None,
            overlap_val=known.val if known else None,
        )


def find_model(name: str, names: Catalogue) -> Model:
    """Return the registered model of that name, or the run in that folder.

    Raises NameNotFound where there is neither, DataError or ConfigError for one that cannot be used.
    """
    folder, registered = Path(name), True
    try:
        folder = names.models[name].spec.folder
    except NameNotFound as error:
        registered = False
        if record_file(folder) is None:
            told = f"{error}; nor is it the folder of a run"
            if name == "best":  # what it means changes with each run in the folder
                told = "write it to a folder, `quadzoo export best FOLDER --out RESULTS`, and name FOLDER"
            raise NameNotFound(f"`init` {name}: {told}") from None
    found = read_trained(folder, f"`init` {name}")
    files, record_code = (found.folder, found.record, found.sha256), found.record.provenance
    if found.record.network is not None:  # its backbone is in no list, and what it was found in may be gone
        network = Network(found.record.backbone, found.record.network)
        additions.use_network(found.record.backbone, network)
    for kind, code in (("backbone", record_code.backbone), ("head", record_code.head)):
        if code.is_given:
            additions.use_remembered(kind, code.name, code.ingredients["version"])
    if registered:
        return Model(*files, name, name)
    return Model(*files, f"run {found.record.key}", f"./{folder.name}")


def fixed_by(model: Model, config: BenchConfig) -> BenchConfig:
    """Return the config with the model's backbone, head and image size. Raises ConfigError for others."""
    record = model.record
    height, width = record.image.size
    fixed = {
        "backbones": (record.backbone,),
        "heads": (record.head,),
        "image_size": f"{height}x{width}",
        "resize": record.image.resize,
        "bands": record.image.bands,
        "value_range": record.image.value_range,
    }
    fixed = {name: value for name, value in fixed.items() if value is not None}
    for name, value in fixed.items():
        asked = getattr(config, name)
        if name in config.model_fields_set and asked != value:
            raise ConfigError(
                f"`{name}` {written(name, asked)}: `init` {config.init} fixes it to {written(name, value)}; "
                f"leave `{name}` out"
            )
    return config.model_copy(update=fixed)


def check_targets(model: Model, targets: TargetInfo) -> None:
    """Check that the model predicts these targets. Raises ConfigError where it predicts others."""
    if list(targets.names) != model.record.targets:
        raise ConfigError(
            f"`init` {model.name}: it predicts {', '.join(model.record.targets)}, the targets are "
            f"{', '.join(targets.names)}; choose a model for these"
        )
