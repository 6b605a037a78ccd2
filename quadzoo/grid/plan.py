"""Which runs there are, under which keys, and what is done already. Nothing here imports torch."""

from __future__ import annotations

import itertools
import math
import zipfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

import numpy as np

from quadzoo.data.cache import ImageSet
from quadzoo.data.fold import Fold
from quadzoo.data.shares import with_shares
from quadzoo.data.sources import Source
from quadzoo.data.splits import Split, grouping
from quadzoo.errors import DataError
from quadzoo.grid.baselines import scored, simple_answers
from quadzoo.grid.config import BenchConfig, written
from quadzoo.grid.models import Model
from quadzoo.grid.slots import slots_of
from quadzoo.model.weights import LoadedWeights
from quadzoo.records.facts import DataFacts, Known, SplitFacts
from quadzoo.records.keys import Identity, ImageFacts, Originals, Provenance
from quadzoo.records.record import Failure, Initial, Metrics, Precision
from quadzoo.registry.catalogue import Catalogue
from quadzoo.registry.specs import HeadSpec
from quadzoo.targets import TargetInfo, standardised, target_info
from quadzoo.threads import threads_of_a_run
from quadzoo.training.outcome import ranges_of
from quadzoo.training.task import FROM_FILE, Device, Placement, Task

_OTHER: Mapping[Precision, Precision] = {"32": "bf16", "bf16": "32"}


@dataclass(frozen=True)
class Weights:
    """What a backbone starts from, and why: ``pretrained``, ``file``, ``none``, or a trained model's name."""

    kind: str
    note: str
    loaded: LoadedWeights | None = None
    model: Model | None = None


@dataclass(frozen=True)
class PrecisionChoice:
    """In which precision a backbone runs, and why."""

    kind: Precision
    note: str


@dataclass(frozen=True)
class FoldPlan:
    """A fold, the ranges of its targets, and what answers without a model score on it.

    ``targets`` have the ranges of all training images, in which scores are given; ``own`` have those of the
    fold's own, which are fewer where it holds a share of them. ``known`` counts targets where some are
    missing.
    """

    fold: Fold
    targets: TargetInfo
    own: TargetInfo
    baselines: dict[str, Metrics]
    known: Known | None = None


@dataclass(frozen=True)
class BenchData:
    """The data of a bench: its name, the decoded images, and each fold with each share of its train.

    ``group_column`` names the column whose values stay together.
    """

    name: str
    images: ImageSet
    folds: list[FoldPlan]
    group_column: str | None = None

    @property
    def facts(self) -> DataFacts:
        """What a record says of the data."""
        images = self.images
        return DataFacts(
            name=self.name,
            hash=images.hash,
            n=len(images.content_ids),
            duplicates=images.duplicates,
            damaged=len(images.left_out),
        )

    @property
    def originals(self) -> Originals | None:
        """What a record says of the images before they were brought to one size."""
        known = self.images.originals
        return None if known is None else Originals(**asdict(known))

    def fold_of(self, task: Task) -> Fold:
        """Return the fold that a task is about."""
        wanted = task.split.hash, task.split.fold
        folds = (one.fold for one in self.folds)
        return next(fold for fold in folds if (fold.split.hash, fold.split.fold) == wanted)


@dataclass(frozen=True)
class Estimate:
    """How many seconds a bench will take, and in words; None where that cannot be said, and why.

    It is without the backbones that are ``untimed``: their networks could not take a step, or not in time.
    """

    seconds: float | None
    note: str
    untimed: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The estimate for people."""
        return f"no estimate: {self.note}" if self.seconds is None else self.note


@dataclass(frozen=True)
class Plan:
    """All runs of a bench, in order, the keys of those that need not run, and where the others will.

    ``devices`` are those of this machine that runs use; `slots` say which run at the same time.
    ``failures`` says of keys why they cannot be trained: what a request of the recipe asks for was not found.
    ``notes`` are what people should know of the data. ``estimate`` is None until somebody asks for it:
    `quadzoo.grid.estimate.with_estimate`. ``costs`` are then the seconds that each run to do will take, by
    key: those of most are started first. The order of ``tasks`` does not depend on them.
    """

    tasks: list[Task]
    done: frozenset[str]
    data: BenchData = field(repr=False)
    config: BenchConfig
    devices: tuple[Device, ...]
    model: Model | None
    failures: Mapping[str, Failure] = field(default_factory=dict)
    estimate: Estimate | None = None
    notes: tuple[str, ...] = ()
    costs: Mapping[str, float] = field(default_factory=dict)

    @property
    def to_do(self) -> list[Task]:
        """The tasks that have no record with status ok, or are forced."""
        return [task for task in self.tasks if task.key not in self.done]

    @property
    def weights(self) -> dict[str, Weights]:
        """What each backbone starts from, where that is no trained model."""
        return {
            task.backbone: Weights(task.identity.weights, task.weights_note, task.identity.loaded)
            for task in self.tasks
        }

    @cached_property
    def slots(self) -> tuple[Device, ...]:
        """The device of each run that may be under way at once."""
        return slots_of(self.devices, self.config.jobs)

    @property
    def device(self) -> Device:
        """The first device, on which is done what is done once for all runs."""
        return self.devices[0]

    def placement(self, task: Task, device: Device | None = None) -> Placement:
        """Return where a task runs on this machine, by default on the first device, alone there.

        The fold's labels are written to a file for it.
        """
        images = self.data.images.file
        fold = self.data.fold_of(task)
        labels = images.with_suffix(f".{fold.digest}.npz")
        if not zipfile.is_zipfile(labels):  # it is not there, or cut off
            fold.save(labels)
        return Placement(
            device=device or replace(self.device, memory=None),
            threads=threads_of_a_run(len(self.slots), self.config.threads),
            compiled="kernels" if self.config.compile else "no",
            images=images.absolute(),
            fold=labels.absolute(),
            initial=self.model.folder.absolute() if self.model else None,
            out=self.config.out.absolute(),
            checkpoint_minutes=self.config.checkpoint_minutes,
            weights=file.absolute() if (file := self.config.weights_file) else None,
            loggers=self.config.logger,
            device_shared_by=math.ceil(len(self.slots) / len(self.devices)),
            deterministic=self.config.deterministic,
        )


def longest_first(tasks: Iterable[Task], costs: Mapping[str, float]) -> list[Task]:
    """Return tasks in the order in which they are started: so no long run is left over for the end.

    Those whose cost is not known come first. Equal ones stay in their order (Graham 1969, Bounds on
    Multiprocessing Timing Anomalies, SIAM Journal on Applied Mathematics 17, p. 416: at most 4/3 of the
    shortest time).
    """
    return sorted(tasks, key=lambda task: -costs.get(task.key, math.inf))


def bench_data(
    source: Source, images: ImageSet, splits: list[Split], shares: Sequence[float] = (1.0,)
) -> BenchData:
    """Put together what the runs share: ``splits`` are one a fold, of which the ``shares`` are trained on.

    Raises DataError for a constant target, one that cannot be scored, or that too few images have, and
    SplitError for a share that the data cannot give.
    """
    groups = grouping(images.content_ids, source.group_values)
    names, folds = source.target_names, []
    try:
        for split in splits:  # before anything is made of targets that too few images have
            Known.of(names, source.targets, split)
        whole = {
            split.fold: target_info(names, source.targets[split.train], source.low, source.high)
            for split in splits
        }
        for split in with_shares(splits, shares, groups, source.names):
            targets, values = whole[split.fold], source.targets[split.train]
            known = Known.of(names, source.targets, split)
            own = targets if split.train_share == 1 else _own(source, values, split)
            fold = Fold(
                source.ids, groups, source.kinds, source.targets, images.digests, split, source.group_values
            )
            answers = simple_answers(source.targets, images.content_ids, split)
            scores = {name: scored(one, source.targets, split, targets) for name, one in answers.items()}
            folds.append(FoldPlan(fold, targets, own, scores, known))
    except DataError as error:
        raise DataError(f"{source.table}: {error}") from error
    return BenchData(source.name, images, folds, source.group_column)


def _own(source: Source, values: np.ndarray, split: Split) -> TargetInfo:
    """Return the targets with their ranges in a share, whose rows are ``values``, float64 (n, T)."""
    for name, column in zip(source.target_names, values.T, strict=True):
        known = column[~np.isnan(column)]
        if known.min() == known.max():
            raise DataError(
                f"`train_share` {split.train_share:g}: target {name!r} is {known[0]:g} in all "
                f"{len(known):,} of its training images; take a larger share"
            )
    return target_info(source.target_names, values, source.low, source.high)


def make_plan(
    config: BenchConfig,
    catalogue: Catalogue,
    data: BenchData,
    devices: Sequence[Device],
    *,
    weights: Mapping[str, Weights],
    choose: Callable[[Iterable[str]], Mapping[str, PrecisionChoice]],
    done: Collection[str] = (),
) -> Plan:
    """List every backbone × head × seed × fold with its key.

    ``done`` are the keys of finished runs in the results folder, ``weights`` those of each backbone.
    ``choose`` decides in which precision backbones run, and is asked for those alone that have something to
    run: with `precision` auto a run that is done in either precision is done.
    """
    tasks = []
    for backbone, head in itertools.product(config.backbones, config.heads):
        of_folds = [
            _task(config, catalogue, data, weights[backbone], names=(backbone, head), of_fold=fold)
            for fold in data.folds
        ]
        tasks += [_seeded(task, seed) for seed, task in itertools.product(config.seeds, of_folds)]
    precisions: tuple[Precision, ...] = ("32", "bf16") if config.precision == "auto" else (config.precision,)
    finished = {
        (task, precision)
        for task, precision in itertools.product(range(len(tasks)), precisions)
        if not config.force and _in(tasks[task], PrecisionChoice(precision, "")).key in done
    }
    some_open = [
        task.backbone
        for number, task in enumerate(tasks)
        if not any((number, precision) in finished for precision in precisions)
    ]
    choices = choose(dict.fromkeys(some_open))
    chosen, need_not_run = [], []
    for number, task in enumerate(tasks):
        choice = choices.get(task.backbone, PrecisionChoice(precisions[0], "as it was run"))
        if (number, choice.kind) not in finished and (number, _OTHER[choice.kind]) in finished:
            choice = PrecisionChoice(_OTHER[choice.kind], "as it was run")
        chosen.append(_in(task, choice))
        if (number, choice.kind) in finished:
            need_not_run.append(chosen[-1].key)
    model = next((one.model for one in weights.values() if one.model), None)
    return Plan(chosen, frozenset(need_not_run), data, config, tuple(devices), model)


def _task(
    config: BenchConfig,
    catalogue: Catalogue,
    data: BenchData,
    weights: Weights,
    *,
    names: tuple[str, str],
    of_fold: FoldPlan,
) -> Task:
    """Return a task of seed 0 in float32; `_seeded` and `_in` put others in their place.

    ``names`` are of backbone and head.
    """
    backbone, head = names
    split, model = of_fold.fold.split, weights.model
    initial: Initial | None = model.initial_for(of_fold.fold) if model else None
    return Task(
        identity=Identity(
            data=data.images.hash,
            image=ImageFacts(**asdict(data.images.geometry)),
            split=split.hash,
            fold=split.fold,
            backbone=Provenance(**catalogue.backbones[backbone].provenance),
            head=Provenance(**catalogue.heads[head].provenance),
            weights=weights.kind,
            loaded=weights.loaded,
            initial=initial.sha256 if initial else None,
            unit=ranges_of(model.unit).model_dump() if model else None,
            precision="32",
            recipe=config.recipe,
            seed=0,
        ),
        backbone=backbone,
        head=head,
        data=data.facts,
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
            train_share=split.train_share,
            whole_hash=split.whole_hash,
            known=of_fold.known,
            group_column=data.group_column,
        ),
        targets=of_fold.targets,
        unit=model.unit if model else _unit(of_fold, config, catalogue.heads[head].spec),
        weights_note=weights.note,
        initial=initial,
        precision_note="",
        baselines=of_fold.baselines,
        flags={
            **config.flags,
            **({"--init": model.flag} if model else {"--weights": _weights_flag(config, weights)}),
            **_plugin_flag(catalogue, *names),
            "--precision": "32",
            **({"--train-share": f"{split.train_share:g}"} if split.train_share < 1 else {}),
        },
        originals=data.originals,
        closed_form=catalogue.heads[head].spec.closed_form,
        network=catalogue.backbones[backbone].spec.network,
    )


def _weights_flag(config: BenchConfig, weights: Weights) -> str:
    return written("weights", config.weights) if weights.kind == FROM_FILE else weights.kind


def _plugin_flag(catalogue: Catalogue, backbone: str, head: str) -> dict[str, str]:
    """Return the flag that names the file which backbone and head come from, where one is a file."""
    plugins = catalogue.backbones[backbone].plugin, catalogue.heads[head].plugin
    files = dict.fromkeys(plugin.distribution for plugin in plugins if plugin.file_sha256)
    return {"--plugin": " --plugin ".join(files)} if files else {}


def _seeded(task: Task, seed: int) -> Task:
    return replace(task, identity=replace(task.identity, seed=seed))


def _in(task: Task, choice: PrecisionChoice) -> Task:
    """Return the task in a precision."""
    same = task.identity.precision == choice.kind  # whose key may be known already
    return replace(
        task,
        identity=task.identity if same else replace(task.identity, precision=choice.kind),
        precision_note=choice.note,
        flags={**task.flags, "--precision": choice.kind},
    )


def _unit(of_fold: FoldPlan, config: BenchConfig, head: HeadSpec) -> TargetInfo:
    """Return the targets in the unit that a network without a history learns in."""
    unit = head.unit if config.recipe.unit == "head" else config.recipe.unit
    if unit == "range":
        return of_fold.own
    return standardised(of_fold.fold.targets[of_fold.fold.split.train], of_fold.own)
