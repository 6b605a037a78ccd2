"""Train the model reader-equations: the reader backbone and the integer head, on generated equations alone.

    python benchmarks/pretrain_reader.py --font HindSiliguri-Regular.ttf --font FONTS --to FOLDER

Every image is drawn once and none is real. Equations are of the four published forms: six of ten from the
ranges that the published ones were drawn from, the others with any labels in a 1 to 20, b -48 to 96, c -792
to 600; the factored form is labelled as published, b = r + s. Fonts are the given files and all that lie in
the given folders and have every sign; the first one given draws three of ten images. Size, place, grey
levels, weight and sharpness vary.

Beside the head's loss the columns learn to spell the equation: a linear layer, thrown away in the end, reads
its signs off them, trained by connectionist temporal classification (Graves et al. 2006, Connectionist
Temporal Classification: Labelling Unsegmented Sequence Data with Recurrent Neural Networks, section 4).

The folder whose name it prints last has what a run of `quadzoo bench` leaves; its val and test images come
from the same generator. Where a training is finished, a second call only tests its weights again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytorch_lightning as pl
import safetensors.torch
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader, IterableDataset

from quadzoo import TargetInfo
from quadzoo.data.cache import ImageSet
from quadzoo.data.datamodule import DataModule
from quadzoo.data.equations import HIGH, LOW, SIGNS, TARGETS, Equation, draw, factored, form, generate, terms
from quadzoo.data.fold import Fold
from quadzoo.data.geometry import Geometry
from quadzoo.data.splits import Split
from quadzoo.data.survey import Originals, content_ids_of
from quadzoo.errors import ConfigError
from quadzoo.executors.local import LocalExecutor
from quadzoo.grid.config import BenchConfig
from quadzoo.grid.devices import find_device
from quadzoo.grid.plan import BenchData, FoldPlan, PrecisionChoice, Weights, make_plan
from quadzoo.model.contract import backbone_width
from quadzoo.model.recipe import RECIPES
from quadzoo.model.regressor import RegressionModule
from quadzoo.records.record import SEEN, WEIGHTS, Cost, run_folder, write_record
from quadzoo.registry import catalogue
from quadzoo.storage import write_atomically
from quadzoo.targets import scale
from quadzoo.training.run import build_module, make_trainer, tested
from quadzoo.training.task import Placement, Task

HEIGHT, WIDTH = 32, 200
# What a published image is, and where its text lies: what is drawn here is as such an image is shown.
PUBLISHED, CROP = Originals((100, 100), (300, 300), (1,)), (28, 58, 60, 258)
LONGEST = 24  # signs
INFO = TargetInfo(names=TARGETS, low=LOW, high=HIGH, integer=(True, True, True))
CHUNK = 1000  # equations drawn from the published ranges at once
PROGRESS = "progress.json"


def wide(rng: random.Random) -> Equation:
    """Return an equation with any labels in the published ranges."""
    kind = rng.randrange(4)
    if kind == 3:
        while True:
            r, s = (rng.choice((-1, 1)) * rng.randint(1, 36) for _ in range(2))
            if LOW[1] <= r + s <= HIGH[1] and LOW[2] <= r * s <= HIGH[2]:
                break
        return factored(r, s)
    a, b = rng.randint(1, 20), rng.randint(-48, 96)
    c = rng.randint(-100, 100) if rng.random() < 0.5 else rng.randint(-792, 600)
    text = (
        f"{terms([(a, 'x²'), (b, 'x'), (c, '')])} = 0",
        f"{terms([(a, 'x²'), (b, 'x')])} = {-c}",
        f"{terms([(b, 'x'), (c, '')]) or '0'} = -{a if a > 1 else ''}x²",
    )[kind]
    return Equation(a, b, c, (0.0, 0.0), text)


def equations(seed: int) -> Iterator[Equation]:
    """Yield equations without end, the same for the same seed."""
    rng = random.Random(seed)
    while True:
        for published in generate(CHUNK, rng.randrange(2**62)):
            while rng.random() < 0.4:
                yield wide(rng)
            yield published


@lru_cache(maxsize=4096)
def font_of(path: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


def image(text: str, fonts: list[Path], rng: random.Random) -> np.ndarray:
    """Return the equation as uint8 (32, 200): anywhere in the image, in any of the fonts."""
    path = fonts[0] if rng.random() < 0.3 else rng.choice(fonts)
    scale = 1.0 if rng.random() < 0.5 else rng.uniform(1, 2)  # drawn larger, then shrunk, as images are
    # The size of the published ones, or any at which an 8 can still be read.
    size = 25 if rng.random() < 0.3 else rng.uniform(15, 28)
    font = font_of(path, round(size * scale))
    left, top, right, bottom = font.getbbox(text)
    canvas = Image.new("L", (int(right - left) + 4, int(bottom - top) + 4), 0)
    ImageDraw.Draw(canvas).text((2 - left, 2 - top), text, font=font, fill=255)
    ink = np.asarray(canvas)
    if rng.random() < 0.1:
        change = cv2.dilate if rng.random() < 0.5 or scale < 1.4 else cv2.erode
        ink = change(ink, np.ones((2, 2), np.uint8))
    height, width = ink.shape[0] / scale, ink.shape[1] / scale
    shrink = min(1.0, HEIGHT / height, WIDTH / width)
    height, width = min(HEIGHT, round(height * shrink)), min(WIDTH, round(width * shrink))
    if (height, width) != ink.shape:
        ink = cv2.resize(ink, (width, height), interpolation=cv2.INTER_AREA)
    whole = np.zeros((HEIGHT, WIDTH), np.uint8)
    y, x = rng.randint(0, HEIGHT - height), rng.randint(0, WIDTH - width)
    whole[y : y + height, x : x + width] = ink
    if rng.random() < 0.1:
        whole = cv2.GaussianBlur(whole, (3, 3), rng.uniform(0.3, 0.8))
    dark, light = (0, 255) if rng.random() < 0.6 else (rng.randint(0, 110), rng.randint(170, 255))
    return (light - whole.astype(np.float32) * ((light - dark) / 255)).round().astype(np.uint8)


Batch = tuple[Tensor, Tensor, Tensor, Tensor]


class Stream(IterableDataset[Batch]):
    """Batches: images uint8 (B, 1, 32, 200), scaled targets (B, 3), spelling (B, 24), its length (B,)."""

    def __init__(self, fonts: list[Path], batch_size: int, n_batches: int, seed: int) -> None:
        self.fonts, self.batch_size, self.n_batches, self.seed = fonts, batch_size, n_batches, seed

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[Batch]:
        worker = torch.utils.data.get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        # Each epoch goes on elsewhere: torch draws a new base seed for its workers.
        rng = random.Random(f"{self.seed} {worker.seed if worker else 0}")
        source = equations(rng.randrange(2**62))
        for _ in range(number, self.n_batches, workers):
            yield self.batch([next(source) for _ in range(self.batch_size)], rng)

    def batch(self, chosen: list[Equation], rng: random.Random) -> Batch:
        """Draw equations."""
        images = np.stack([image(one.text, self.fonts, rng) for one in chosen])
        targets = scale(np.array([one.labels("published") for one in chosen]), INFO)
        spelling = np.zeros((len(chosen), LONGEST), np.int64)
        lengths = []
        for row, one in zip(spelling, chosen, strict=True):
            signs = [SIGNS.index(sign) + 1 for sign in one.text.replace(" ", "")]
            row[: len(signs)] = signs
            lengths.append(len(signs))
        return (
            torch.from_numpy(images)[:, None].contiguous(memory_format=torch.channels_last),
            torch.from_numpy(targets).float(),
            torch.from_numpy(spelling),
            torch.tensor(lengths),
        )


class Pretraining(RegressionModule):
    """The run's module, whose backbone also learns to spell.

    Weights and scores of the last epoch are kept in the folder ``out``: there the learning rate has fallen to
    0, and they are the best.
    """

    def __init__(self, module: RegressionModule, out: Path) -> None:
        mean, std = (values.flatten().tolist() for values in (module.mean, module.std))
        super().__init__(module.backbone, module.head, module.recipe, mean, std, targets=module.targets)
        self.speller = nn.Linear(backbone_width(module.backbone) // 4, len(SIGNS) + 1)
        self.spelling_loss = torch.zeros(())
        self.out, self.start = out, time.perf_counter()

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:  # type: ignore[override]
        """Return the sum of both losses."""
        images, target, spelling, lengths = batch
        columns = self.backbone.read((images.float() / 255 - self.mean) / self.std)
        features = self.backbone.answer(columns)
        with torch.autocast("cpu", enabled=False):
            raw = self.head(features.float()[:, :, None, None])
            signs = self.speller(columns.float()).log_softmax(dim=2).transpose(0, 1)
            widths = torch.full_like(lengths, len(signs))
            spelling_loss = F.ctc_loss(signs, spelling, widths, lengths, zero_infinity=True)
            loss = self.head.loss(raw, target)
        self._metric("train").update(self.prediction_of(raw).detach(), target)
        self.spelling_loss = spelling_loss.detach()
        return {"loss": loss + spelling_loss}

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:  # type: ignore[override]
        """Return loss and prediction; spelling is not validated."""
        return self._evaluate(batch[:2], "val")

    def on_train_epoch_end(self) -> None:
        """Keep weights and scores."""
        super().on_train_epoch_end()
        scores, seconds = self.history[-1], time.perf_counter() - self.start
        scores["spelling_loss"] = float(self.spelling_loss)
        print(f"epoch {len(self.history)} {scores} {seconds:.0f} s", flush=True)
        state = {
            name: value.contiguous() for name, value in self.state_dict().items() if "speller" not in name
        }
        write_atomically(self.out / WEIGHTS, safetensors.torch.save(state))
        progress = {"seconds": seconds, "history": self.history}
        write_atomically(self.out / PROGRESS, json.dumps(progress).encode())


def fonts_of(paths: list[Path]) -> list[Path]:
    """Return the font files among files and folders that have every sign, in order, each once."""
    files = [file for path in paths for file in (sorted(path.rglob("*.[ot]tf")) if path.is_dir() else [path])]
    usable = []
    for file in dict.fromkeys(files):
        with suppress(ConfigError):
            draw(SIGNS, file)
            usable.append(file)
    return usable


def train(task: Task, placement: Placement, fonts: list[Path], epoch_images: int) -> None:
    """Train; leave weights and scores in the results folder."""
    pl.seed_everything(task.seed, workers=True, verbose=False)
    module = Pretraining(build_module(task, placement), placement.out)
    batch = task.recipe.batch_size
    training = DataLoader(Stream(fonts, batch, epoch_images // batch, task.seed), None, num_workers=1)
    validation = DataLoader(Stream(fonts, batch, 16, task.seed + 1), None)
    trainer = make_trainer(task, placement, [])
    with sdpa_kernel(SDPBackend.MATH):  # trains twice as fast on a CPU as the fused one
        trainer.fit(module, training, validation)


def held_out(fonts: list[Path], n: int, seed: int, file: Path) -> BenchData:
    """Draw n val and n test images to ``file``, and return them with their labels."""
    images, targets, kinds = [], [], []
    rng = random.Random(seed)
    for equation in islice(equations(seed), 2 * n):
        images.append(image(equation.text, fonts, rng))
        targets.append(equation.labels("published"))
        kinds.append(form(equation.text))
    array, truth = np.stack(images)[..., None], np.array(targets, float)
    np.save(file, array)
    geometry = Geometry((HEIGHT, WIDTH), 1, CROP, 1.0, (255, 255, 255))
    digests = np.stack([np.frombuffer(hashlib.sha256(one.tobytes()).digest(), np.uint8) for one in array])
    content = hashlib.sha256(array.tobytes() + truth.tobytes()).hexdigest()
    rows = np.arange(len(array))
    split = Split("generated", 0, 1, rows[:0], rows[:n], rows[n:], 0, content)
    ids = [f"generated {row}" for row in rows]
    fold = Fold(ids, content_ids_of(digests), kinds, truth, digests, split)
    prepared = ImageSet(file, geometry, digests, content, originals=PUBLISHED)
    return BenchData("generated equations", prepared, [FoldPlan(fold, INFO, INFO, {})])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--font", type=Path, action="append", required=True, help="a file or a folder of files"
    )
    parser.add_argument("--epochs", type=int, default=52)
    parser.add_argument("--epoch-images", type=int, default=25_600)
    parser.add_argument("--held-out", type=int, default=2000, help="images of val, and of test")
    parser.add_argument("--to", type=Path, default=Path("reader"))
    arguments = parser.parse_args()
    cv2.setNumThreads(1)  # before the first use: its threads would not survive the fork to a worker
    warnings.filterwarnings("ignore", message=".*(does not have many workers|__len__).*")
    started = datetime.now(UTC)
    fonts = fonts_of(arguments.font)
    print(f"{len(fonts)} fonts", flush=True)
    changes = {"epochs": arguments.epochs, "batch_size": 128, "lr": 1.5e-3, "augment": "none", "warmup": 0.1}
    recipe = RECIPES["first"].model_copy(update=changes)
    config = BenchConfig(
        backbones=("reader",), heads=("integer",), recipe=recipe, out=arguments.to, force=True
    )
    arguments.to.mkdir(parents=True, exist_ok=True)
    data = held_out(fonts, arguments.held_out, 1, arguments.to / "held-out.npy")
    device = find_device(LocalExecutor(), "cpu")
    weights = {"reader": Weights("none", "from scratch, on generated equations")}
    choice = PrecisionChoice("bf16" if device.bf16 else "32", "bf16 where it is native")
    plan = make_plan(
        config, catalogue.load(), data, [device], weights=weights, choose=lambda _: {"reader": choice}
    )
    (task,), fold = plan.tasks, data.folds[0].fold
    placement = plan.placement(task)
    torch.set_num_threads(placement.threads)

    progress = arguments.to / PROGRESS
    if not progress.exists() or len(json.loads(progress.read_text())["history"]) < recipe.epochs:
        train(task, placement, fonts, arguments.epoch_images)
    kept = json.loads(progress.read_text())
    module = build_module(task, placement)
    module.load_state_dict(safetensors.torch.load_file(arguments.to / WEIGHTS))
    module.history = kept["history"]
    drawn = recipe.epochs * arguments.epoch_images
    cost = Cost(fit_seconds=kept["seconds"], train_images_per_second=drawn / kept["seconds"])
    targets = scale(fold.targets, task.unit)
    datamodule = DataModule(placement.images, targets, fold.split, recipe.batch_size, task.seed)
    record = tested(
        task, placement, fold, module, datamodule,
        started=started, fitted=cost, best_epoch=recipe.epochs,
        resumed=(),
    )  # fmt: skip
    record.split.n_train = drawn
    folder = run_folder(placement.out, task.key)
    del record.files[SEEN]  # the training images were never kept, so nobody can say which they were
    (folder / SEEN).unlink()
    write_record(placement.out, record)
    print(f"{folder}: test exact {record.metrics.test_exact:.2%}")


if __name__ == "__main__":
    main()
