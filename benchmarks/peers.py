"""The loops that a user would otherwise write, training the same network; for benchmarks/speed.py.

    python benchmarks/peers.py PEER --backbone resnet50 --data FOLDER

Each reads the files of FOLDER (published layout) in every epoch, scales them to 100 x 100, and trains one of
quadzoo's backbones with its head `mlp` in float32, in batches of 32, on a GPU where there is one:

tutorial     per item cv2.imread, cv2.resize, reshape; no workers; Adam (see tutorial_loop.py)
script       that loop as the tutorial runs it: in Lightning's Trainer, with validation after each epoch, a
             ModelCheckpoint on its loss, and a test of the best weights, on ``--held-out`` further images
lightning    a plain LightningModule and Trainer; torchvision's transforms in two DataLoader workers; AdamW
timm         timm's transforms and loader with two workers, without augmentation; AdamW
torchvision  after its reference scripts: transforms in two workers, SGD, the loss read at every step
fastai       a DataBlock with its transforms in two workers, and a Learner; Adam. Where it is installed

All but `script` train alone: they neither validate nor test, and keep no weights. Each prints one line of
JSON: training images a second in each epoch, without validation.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from quadzoo.data.sources import DataRequest, Source, open_source
from quadzoo.registry import catalogue
from quadzoo.targets import TargetInfo, scale, target_info

BATCH, SIDE, WORKERS = 32, 100, 2
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Batches = Iterable[tuple[Tensor, Tensor]]


class Net(nn.Module):
    """A backbone and the head `mlp` as one network."""

    def __init__(self, backbone: str, info: TargetInfo) -> None:
        super().__init__()
        names = catalogue.load()
        spec = names.backbones[backbone].spec
        self.backbone = spec.build(pretrained=False, in_channels=3, image_size=(SIDE, SIDE))
        self.head: Any = names.heads["mlp"].spec.build(num_features=self.backbone.num_features, targets=info)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3, 100, 100) to the head's output."""
        features = self.backbone(images)
        raw: Tensor = self.head(features if features.ndim == 4 else features[..., None, None])
        return raw


class Files(Dataset[tuple[Any, Tensor]]):
    """Images opened with Pillow each time; ``transform`` is set by whoever loads them."""

    def __init__(self, source: Source, targets: np.ndarray, transform: Any = None) -> None:
        self.source, self.targets, self.transform = source, torch.from_numpy(targets).float(), transform

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> tuple[Any, Tensor]:
        from PIL import Image

        with Image.open(self.source.path(index)) as image:
            return self.transform(image.convert("RGB")), self.targets[index]


def torchvision_transform() -> Any:
    from torchvision.transforms import v2

    return v2.Compose(
        [
            v2.ToImage(),
            v2.Resize((SIDE, SIDE)),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )


def files_loader(source: Source, targets: np.ndarray) -> Batches:
    files = Files(source, targets, torchvision_transform())
    return DataLoader(
        files, BATCH, shuffle=True, drop_last=True, num_workers=WORKERS, persistent_workers=True,
        pin_memory=DEVICE == "cuda",
    )  # fmt: skip


def train(
    net: Net, optimizer: torch.optim.Optimizer, batches: Batches, epochs: int, *, watch: bool = False
) -> Iterator[float]:
    """Train so many epochs; yield the images a second of each. ``watch`` reads the loss at each step."""
    net.to(DEVICE).train()
    for _ in range(epochs):
        n, clock = 0, time.perf_counter()
        for images, target in batches:
            optimizer.zero_grad()
            loss = net.head.loss(net(images.to(DEVICE)), target.to(DEVICE))
            loss.backward()
            optimizer.step()
            n += len(target)
            if watch:
                loss.item()
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        yield n / (time.perf_counter() - clock)


def tutorial(net: Net, source: Source, targets: np.ndarray, epochs: int) -> Iterator[float]:
    from tutorial_loop import ImageSet

    rows = np.arange(len(source))
    loader = DataLoader(ImageSet(source, rows, targets), BATCH, shuffle=True)
    yield from train(net, torch.optim.Adam(net.parameters(), lr=1e-3), loader, epochs)


def script(
    net: Net, source: Source, targets: np.ndarray, epochs: int, held_out: tuple[int, int]
) -> Iterator[float]:
    """Train on all images but the last ones: so many for val and for test are ``held_out``."""
    import pytorch_lightning as pl
    from pytorch_lightning.callbacks import ModelCheckpoint
    from tutorial_loop import ImageSet

    class Tutorial(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.clock, self.seconds = net, 0.0, dict[int, float]()

        def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
            found: Tensor = self.net.head.loss(self.net(batch[0]), batch[1])
            return found

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            return self.loss(batch)

        def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
            self.log("val_loss", self.loss(batch))

        def test_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
            self.log("test_loss", self.loss(batch))

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 10, 0.5)]

        def on_train_epoch_start(self) -> None:
            self.clock = time.perf_counter()

        def on_train_batch_end(self, *_: object) -> None:
            self.seconds[self.current_epoch] = time.perf_counter() - self.clock

    ends = np.cumsum([len(source) - sum(held_out), *held_out])
    train_rows, val_rows, test_rows = np.split(np.arange(len(source)), ends[:-1])
    train_set, val_set, test_set = (
        ImageSet(source, rows, targets) for rows in (train_rows, val_rows, test_rows)
    )
    module = Tutorial()
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            max_epochs=epochs, devices=1, logger=False, enable_progress_bar=False, enable_model_summary=False,
            callbacks=[ModelCheckpoint(folder, monitor="val_loss")],
        )  # fmt: skip
        trainer.fit(module, DataLoader(train_set, BATCH, shuffle=True), DataLoader(val_set, BATCH))
        trainer.test(module, DataLoader(test_set, BATCH), ckpt_path="best", verbose=False)
    yield from (len(train_set) / taken for taken in module.seconds.values())


def timm(net: Net, source: Source, targets: np.ndarray, epochs: int) -> Iterator[float]:
    from timm.data import create_loader

    loader = create_loader(
        Files(source, targets), (3, SIDE, SIDE), BATCH, is_training=True, no_aug=True, num_workers=WORKERS,
        use_prefetcher=False, persistent_workers=True,
    )  # fmt: skip
    yield from train(net, torch.optim.AdamW(net.parameters(), lr=1e-3), loader, epochs)


def torchvision(net: Net, source: Source, targets: np.ndarray, epochs: int) -> Iterator[float]:
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)
    yield from train(net, optimizer, files_loader(source, targets), epochs, watch=True)


def lightning(net: Net, source: Source, targets: np.ndarray, epochs: int) -> Iterator[float]:
    import pytorch_lightning as pl

    class Plain(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.seconds, self.clock = net, [], 0.0

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            images, target = batch
            loss: Tensor = self.net.head.loss(self.net(images), target)
            self.log("train_loss", loss)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=1e-3)

        def on_train_epoch_start(self) -> None:
            self.clock = time.perf_counter()

        def on_train_epoch_end(self) -> None:
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            self.seconds.append(time.perf_counter() - self.clock)

    module = Plain()
    trainer = pl.Trainer(
        max_epochs=epochs, devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, files_loader(source, targets))
    yield from (len(source) // BATCH * BATCH / taken for taken in module.seconds)


def fastai(net: Net, source: Source, targets: np.ndarray, epochs: int) -> Iterator[float]:
    from fastai.vision.all import (
        Callback,
        DataBlock,
        ImageBlock,
        IndexSplitter,
        Learner,
        Normalize,
        RegressionBlock,
        Resize,
        ResizeMethod,
    )

    seconds: list[float] = []

    class Clock(Callback):  # type: ignore[misc]
        def before_train(self) -> None:
            self.begun = time.perf_counter()

        def after_train(self) -> None:
            if DEVICE == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - self.begun)

    def path(row: int) -> Path:  # a bound method is none of its transforms
        return source.path(row)

    block = DataBlock(
        (ImageBlock, RegressionBlock(n_out=targets.shape[1])),
        get_x=path, get_y=lambda row: targets[row].astype(np.float32), splitter=IndexSplitter([0]),
        item_tfms=Resize(SIDE, ResizeMethod.Squish), batch_tfms=Normalize.from_stats(MEAN, STD),
    )  # fmt: skip
    loaders = block.dataloaders(list(range(len(source))), bs=BATCH, num_workers=WORKERS, device=DEVICE)

    def loss(raw: Tensor, target: Tensor) -> Tensor:
        found: Tensor = net.head.loss(raw.as_subclass(Tensor), target.as_subclass(Tensor))
        return found

    learner = Learner(loaders, net.to(DEVICE), loss, cbs=Clock())
    with learner.no_bar(), learner.no_logging():
        learner.fit(epochs)
    yield from ((len(source) - 1) // BATCH * BATCH / taken for taken in seconds)


PEERS = {
    "tutorial": tutorial, "lightning": lightning, "timm": timm, "torchvision": torchvision, "fastai": fastai
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("peer", choices=[*PEERS, "script"])
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--limit", type=int, help="so many images to train on")
    parser.add_argument("--held-out", type=int, nargs=2, default=(32, 32), help="images of `script`")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    source = open_source(DataRequest(str(arguments.data)))
    held_out = tuple(arguments.held_out) if arguments.peer == "script" else (0, 0)
    n_train = arguments.limit or len(source) - sum(held_out)
    source = source.subset(range(n_train + sum(held_out)))
    info = target_info(source.target_names, source.targets, source.low, source.high)
    net, targets = Net(arguments.backbone, info), scale(source.targets, info)
    if arguments.peer == "script":
        speeds = list(script(net, source, targets, arguments.epochs, held_out))
    else:
        speeds = list(PEERS[arguments.peer](net, source, targets, arguments.epochs))
    print(json.dumps({"images_per_second": speeds}))


if __name__ == "__main__":
    main()
