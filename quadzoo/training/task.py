"""A run, before it runs:

what is computed (the task) and where (the placement). Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from quadzoo.executors.base import Needs
from quadzoo.model.recipe import Recipe
from quadzoo.records.facts import DataFacts, SplitFacts
from quadzoo.records.keys import Identity, Originals
from quadzoo.records.record import Compiled, DeviceKind, Found, Initial, Metrics, Precision
from quadzoo.targets import TargetInfo

CHECKPOINT = "checkpoint.ckpt"
"""What an unfinished run goes on from, in its folder."""
TRIALS = "trials"
"""The folder, in the results folder, where short trainings have their checkpoints while they are not over."""
LOGS = "logs"
"""The folder, in the results folder, where loggers write."""
FROM_FILE = "file"
"""What `Identity.weights` says of weights that `weights` FILE brought."""


@dataclass(frozen=True)
class Device:
    """Where runs train: ``bf16`` says whether it multiplies bf16 natively.

    ``gpu`` is how CUDA_VISIBLE_DEVICES names it; None leaves that variable as it is. ``memory`` are the bytes
    of its memory that a run may take; None for all that are free when it asks.
    """

    kind: DeviceKind
    name: str
    bf16: bool
    gpu: str | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Task:
    """What is computed. It can be sent to another machine: it holds no path, thread count or array.

    ``identity`` has all that can change a score, and so the key. ``targets`` are those of the data, whose
    unit the scores are given in; ``unit`` is that of the network, which differs where the run starts from a
    trained model. The notes say why weights and precision are what they are; ``flags`` repeat the run.
    ``found`` is what came of requests in the recipe, and is no part of the key, nor are ``originals``, what
    the images were before they were brought to one size. ``closed_form`` says that the head takes no training
    steps. ``network`` is `BackboneSpec.network`.
    """

    identity: Identity
    backbone: str
    head: str
    data: DataFacts
    split: SplitFacts
    targets: TargetInfo
    unit: TargetInfo
    weights_note: str
    initial: Initial | None
    precision_note: str
    baselines: dict[str, Metrics] = field(repr=False)
    flags: dict[str, str] = field(repr=False)
    found: Found = field(default_factory=Found)
    originals: Originals | None = None
    closed_form: bool = False
    network: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def key(self) -> str:
        """The name of the run's folder."""
        return self.identity.key

    @property
    def curve(self) -> str:
        """What all seeds and folds share, and all shares of the training images; records have it, too."""
        return replace(self.identity, split=self.split.whole).combination

    @property
    def recipe(self) -> Recipe:
        """The hyper-parameters that were asked for."""
        return self.identity.recipe

    @property
    def epochs(self) -> int:
        """The number of epochs."""
        return self.recipe.epochs_for(self.split.n_train)

    @property
    def trained_recipe(self) -> Recipe:
        """The hyper-parameters with what was found in the place of requests."""
        found = {} if self.found.lr is None else {"lr": self.found.lr, "tune": None}
        return self.recipe.model_copy(update=found)

    @property
    def seed(self) -> int:
        """The seed."""
        return self.identity.seed

    @property
    def precision(self) -> Precision:
        """The precision of the backbone's arithmetic."""
        return self.identity.precision

    @property
    def pixels(self) -> int:
        """How many pixels of training images its epochs have, height times width."""
        height, width = self.identity.image.size
        return self.epochs * self.split.n_train * height * width

    @property
    def title(self) -> str:
        """The run's name for people."""
        return f"{self.backbone} · {self.head} · seed {self.seed}{self.part}"

    @property
    def part(self) -> str:
        """Which fold of the data and which share of its training images, where there are several."""
        fold = f" · fold {self.split.fold}" if self.split.folds > 1 else ""
        share = f" · share {self.split.train_share:g}" if self.split.train_share < 1 else ""
        return fold + share


@dataclass(frozen=True)
class Placement:
    """Where a task is computed; made on the machine that computes it.

    ``images`` is the ``.npy`` of decoded images and ``fold`` the file of `quadzoo.data.fold.Fold`;
    ``initial`` is the folder of the trained model that the run starts from, ``weights`` the file of the
    weights that its backbone starts from; ``out`` the results folder; ``loggers`` show how it goes. A run
    writes a checkpoint about every ``checkpoint_minutes``. ``device_shared_by`` is how many runs are on the
    device at the same time, at most; with ``deterministic`` a GPU may use deterministic kernels alone. With
    ``replay`` a GPU replays training steps where it can, see `quadzoo.model.replay`.
    ``machine`` is that of the record's environment.
    """

    device: Device
    threads: int
    compiled: Compiled
    images: Path
    fold: Path
    initial: Path | None
    out: Path
    checkpoint_minutes: float
    weights: Path | None = None
    loggers: tuple[str, ...] = ()
    device_shared_by: int = 1
    deterministic: bool = False
    replay: bool = True
    machine: str = ""

    @property
    def needs(self) -> Needs:
        """What a job with this placement needs."""
        return Needs(cpus=self.threads, gpus=int(self.device.kind == "cuda"), writes=self.out)
