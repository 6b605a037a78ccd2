"""Which runs there are, under which keys, and what is done already. Nothing here imports torch."""

from __future__ import annotations

import itertools
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np

import quadzoo
from quadzoo.data.cache import ImageSet
from quadzoo.data.parallel import cpus
from quadzoo.data.sources import Source
from quadzoo.data.splits import Split, grouping
from quadzoo.errors import DataError
from quadzoo.grid.baselines import baselines
from quadzoo.grid.config import BenchConfig
from quadzoo.model.recipe import Recipe
from quadzoo.records.record import (
    Compiled,
    Cost,
    DataFacts,
    Environment,
    Failure,
    Initial,
    Metrics,
    Ranges,
    RunRecord,
    SplitFacts,
    is_done,
    keys_of,
)
from quadzoo.registry.catalogue import Catalogue, Entry
from quadzoo.registry.specs import BackboneSpec, HeadSpec
from quadzoo.targets import TargetInfo, standardised, target_info

_LIBRARIES = ("torchvision", "timm", "pytorch-lightning")

_GRAPHS_BELOW = 96  # images a batch: more keep a GPU busy while the next kernels are launched

Precision = Literal["32", "bf16"]


@dataclass(frozen=True)
class Device:
    """Where runs train: ``kind`` is cpu or cuda, ``bf16`` whether it multiplies bf16 natively."""

    kind: Literal["cpu", "cuda"]
    name: str
    bf16: bool


@dataclass(frozen=True)
class Weights:
    """What a backbone starts from, and why: ``pretrained``, ``none``, or a trained model's name."""

    kind: str
    note: str
    model: Model | None = None


@dataclass(frozen=True)
class Arithmetic:
    """In which precision a backbone runs, and why."""

    kind: Precision
    note: str


@dataclass(frozen=True)
class Model:
    """A trained model: the record and the weights that a run left in ``folder``; ``flag`` asks for it."""

    name: str
    flag: str
    folder: Path
    record: RunRecord = field(repr=False)
    initial: Initial

    @property
    def weights(self) -> Weights:
        """What a run that starts from this model starts from."""
        return Weights(self.name, f"SHA-256 {self.initial.sha256}", self)

    @property
    def info(self) -> TargetInfo:
        """The targets in the network's own unit."""
        record = self.record
        unit = record.unit or Ranges(
            low=record.target_low, high=record.target_high, integer=record.target_integer
        )
        return TargetInfo(
            names=tuple(record.targets),
            low=tuple(unit.low),
            high=tuple(unit.high),
            integer=tuple(unit.integer),
        )


@dataclass(frozen=True)
class FoldData:
    """Everything that the runs of one fold share."""

    name: str
    ids: list[str] = field(repr=False)
    groups: np.ndarray = field(repr=False)
    kinds: list[str] | None = field(repr=False)
    targets: np.ndarray = field(repr=False)
    images: ImageSet
    split: Split
    info: TargetInfo
    baselines: dict[str, Metrics]


@dataclass(frozen=True)
class RunPlan:
    """One run: all that its process needs to know.

    ``info`` has the scaled unit of the network: that of the data or, where the run starts from a trained
    model, the model's. Scores are told in the data's.
    """

    key: str
    combination: str
    backbone: str
    head: str
    provenance: dict[str, dict[str, str]]
    seed: int
    weights: Weights
    info: TargetInfo
    precision: Precision
    precision_note: str
    device: Device
    threads: int
    compiled: Compiled
    recipe: Recipe
    flags: dict[str, str] = field(repr=False)
    data: FoldData = field(repr=False)
    out: Path

    @property
    def title(self) -> str:
        """The run's name for people."""
        fold = f" · fold {self.data.split.fold}" if self.data.split.folds > 1 else ""
        return f"{self.backbone} · {self.head} · seed {self.seed}{fold}"


@dataclass(frozen=True)
class Plan:
    """All runs of a bench, in order, and the keys of those that need not run."""

    runs: list[RunPlan]
    done: frozenset[str]

    @property
    def to_do(self) -> list[RunPlan]:
        """The runs that have no record with status ok, or are forced."""
        return [run for run in self.runs if run.key not in self.done]


def fold_data(source: Source, images: ImageSet, splits: list[Split]) -> list[FoldData]:
    """Put together what the runs of each fold share. Raises DataError for a constant target."""
    folds = []
    groups = grouping(images.pixels, source.group_values)
    for split in splits:
        info = target_info(source.target_names, source.targets[split.train], source.low, source.high)
        answers = baselines(source.targets, images.pixels, split, info)
        folds.append(
            FoldData(
                source.name, source.ids, groups, source.kinds, source.targets, images, split, info, answers
            )
        )
    return folds


def make_plan(
    config: BenchConfig,
    catalogue: Catalogue,
    folds: list[FoldData],
    device: Device,
    *,
    weights: Mapping[str, Weights],
    precisions: Mapping[str, Arithmetic],
) -> Plan:
    """List every backbone × head × seed × fold with its key; of each backbone weights and precision."""
    runs = []
    for backbone, head, seed, data in itertools.product(config.backbones, config.heads, config.seeds, folds):
        parts = _Parts(catalogue.backbones[backbone], catalogue.heads[head], weights[backbone])
        model, precision = parts.weights.model, precisions[backbone].kind
        combination, key = keys_of(
            data=data.images.hash,
            image=asdict(data.images.geometry),
            split=data.split.hash,
            provenance=parts.provenance,
            weights=parts.weights.kind,
            initial=model.initial if model else None,
            precision=precision,
            recipe=config.recipe.model_dump(),
            seed=seed,
            fold=data.split.fold,
        )
        run = RunPlan(
            key=key,
            combination=combination,
            backbone=backbone,
            head=head,
            provenance=parts.provenance,
            seed=seed,
            weights=parts.weights,
            info=model.info if model else _unit(data, config.recipe),
            precision=precision,
            precision_note=precisions[backbone].note,
            device=device,
            threads=max(1, cpus() // config.jobs),
            compiled=_compiled(config, device),
            recipe=config.recipe,
            flags={
                **config.flags,
                **({"--init": model.flag} if model else {"--weights": parts.weights.kind}),
                "--precision": precision,
            },
            data=data,
            out=config.out,
        )
        runs.append(run)
    done = () if config.force else (run.key for run in runs if has_finished(config.out, run.key))
    return Plan(runs, frozenset(done))


def has_finished(out: Path, key: str) -> bool:
    """Whether a key has a record with status ok; a run whose record cannot be read is done again."""
    try:
        return is_done(out, key)
    except DataError:
        return False


def _compiled(config: BenchConfig, device: Device) -> Compiled:
    if not config.compile:
        return "no"
    return "graphs" if device.kind == "cuda" and config.recipe.batch_size < _GRAPHS_BELOW else "kernels"


def _unit(data: FoldData, recipe: Recipe) -> TargetInfo:
    """Return the targets in the unit that a network without a history learns in."""
    if recipe.unit == "range":
        return data.info
    return standardised(data.targets[data.split.train], data.info)


@dataclass(frozen=True)
class _Parts:
    backbone: Entry[BackboneSpec]
    head: Entry[HeadSpec]
    weights: Weights

    @property
    def provenance(self) -> dict[str, dict[str, str]]:
        return {"backbone": self.backbone.provenance, "head": self.head.provenance}


def record_of(
    run: RunPlan,
    started: datetime,
    *,
    metrics: Metrics | None = None,
    cost: Cost | None = None,
    best_epoch: int | None = None,
    decoding: str | None = None,
    history: list[dict[str, float]] | None = None,
    worst: list[str] | None = None,
    files: dict[str, str] | None = None,
    error: Failure | None = None,
) -> RunRecord:
    """Return the record of a run that ended now; failed where there is an ``error``."""
    data, split, info = run.data, run.data.split, run.data.info
    return RunRecord(
        key=run.key,
        combination=run.combination,
        status="failed" if error else "ok",
        backbone=run.backbone,
        head=run.head,
        seed=run.seed,
        weights=run.weights.kind,
        weights_note=run.weights.note,
        initial=run.weights.model.initial if run.weights.model else None,
        provenance=run.provenance,
        data=DataFacts(
            name=data.name, hash=data.images.hash, n=len(data.ids), duplicates=data.images.duplicates
        ),
        image=asdict(data.images.geometry),
        split=SplitFacts(
            name=split.name,
            hash=split.hash,
            fold=split.fold,
            folds=split.folds,
            n_train=len(split.train),
            n_val=len(split.val),
            n_test=len(split.test),
            leaked=split.leaked,
            leaky=split.leaky,
        ),
        targets=list(info.names),
        target_low=list(info.low),
        target_high=list(info.high),
        target_integer=list(info.integer),
        unit=None
        if run.info == info
        else Ranges(low=list(run.info.low), high=list(run.info.high), integer=list(run.info.integer)),
        metrics=metrics or Metrics(),
        baselines=data.baselines,
        cost=cost or Cost(),
        recipe=run.recipe.model_dump(),
        precision=run.precision,
        precision_note=run.precision_note,
        best_epoch=best_epoch,
        decoding=decoding,
        history=history or [],
        worst=worst or [],
        flags=run.flags,
        environment=Environment(
            quadzoo=quadzoo.__version__,
            torch=version("torch"),
            python=platform.python_version(),
            device=run.device.kind,
            device_name=run.device.name,
            threads=run.threads,
            compiled=run.compiled,
            plugins={part["distribution"]: part["version"] for part in run.provenance.values()},
            libraries={name: version(name) for name in _LIBRARIES},
        ),
        files=files or {},
        error=error,
        started=started,
        finished=datetime.now(UTC),
    )
