"""The training loop of the tutorial that this project grew from, unchanged, for comparison.

    python benchmarks/tutorial_loop.py --data FOLDER --split grouped --minutes 15

Per image cv2.imread, cv2.resize to 100 x 100, 1 - x/256 and a reshape (not a transpose) to three channels;
batches of 32 without workers, float32; torchvision's ResNet-50, here without pretrained weights, whose last
layer is replaced by six linear layers with LeakyReLU(0.2); mean squared error of targets scaled by the
published ranges; Adam at 0.001, halved every ten epochs; the epoch with the best validation loss is tested.

It trains until the minutes are over, or the epochs, and writes benchmarks/results/tutorial_loop.json: the
scores, training images a second, hashes of data and split.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
import torchvision
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from quadzoo.data.cache import prepare
from quadzoo.data.sources import DataRequest, Source, open_source
from quadzoo.data.splits import make_splits
from quadzoo.executors.local import LocalExecutor
from quadzoo.grid.devices import find_device
from quadzoo.metrics import scores_of
from quadzoo.targets import scale, target_info, unscale

HERE = Path(__file__).parent
SIDE = 100


class ImageSet(Dataset[tuple[Tensor, Tensor]]):
    """Some of the source's images, read anew each time: float32 (3, 100, 100) and targets (3,)."""

    def __init__(self, source: Source, rows: np.ndarray, targets: np.ndarray) -> None:
        self.source, self.rows, self.targets = source, rows, targets

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        row = self.rows[index]
        image = cv2.resize(cv2.imread(str(self.source.path(row))), (SIDE, SIDE))
        scaled = (1 - image / 256).reshape(3, SIDE, SIDE)
        return torch.from_numpy(scaled).float(), torch.from_numpy(self.targets[row]).float()


def network() -> nn.Module:
    """Return ResNet-50 with the tutorial's last layers."""
    net = torchvision.models.resnet50()
    widths = (net.fc.in_features, 1024, 512, 256, 100, 10)
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(widths):
        layers += [nn.Linear(width_in, width_out), nn.LeakyReLU(0.2)]
    net.fc = nn.Sequential(*layers[:-1], nn.Linear(10, 3))
    return net


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", default="grouped")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--limit", type=int, help="so many training images alone, to try this script")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--to", type=Path, default=HERE / "results" / "tutorial_loop.json")
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    source = open_source(DataRequest(arguments.data))
    prepared = prepare(source, "auto")
    (split,) = make_splits(arguments.split, source.ids, prepared.content_ids)
    info = target_info(source.target_names, source.targets[split.train], source.low, source.high)
    targets = scale(source.targets, info)
    train = ImageSet(source, split.train[: arguments.limit], targets)
    loader = DataLoader(train, batch_size=32, shuffle=True)
    val, test = (
        DataLoader(ImageSet(source, side, targets), batch_size=32) for side in (split.val, split.test)
    )

    net, loss_of = network(), nn.MSELoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 10, 0.5)
    best, weights, history = float("inf"), {}, []
    clock, trained = time.perf_counter(), 0.0
    for _ in range(arguments.epochs):
        start = time.perf_counter()
        net.train()
        for images, target in loader:
            optimizer.zero_grad()
            loss_of(net(images), target).backward()
            optimizer.step()
        schedule.step()
        trained += time.perf_counter() - start
        score = float(np.mean((predict(net, val) - targets[split.val]) ** 2))
        history.append(score)
        if score < best:
            best, weights = score, copy.deepcopy(net.state_dict())
        print(f"epoch {len(history)}: val MSE {score:.4g}, {time.perf_counter() - clock:.0f} s", flush=True)
        # No epoch is begun that would end after the minutes are over.
        if (time.perf_counter() - clock) * (1 + 1 / len(history)) > 60 * arguments.minutes:
            break
    seconds = time.perf_counter() - clock
    net.load_state_dict(weights)
    scores = {
        side: scores_of(unscale(predict(net, rows), info), source.targets[positions], info)
        for side, rows, positions in (("val", val, split.val), ("test", test, split.test))
    }
    result = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": find_device(LocalExecutor(), "cpu").name,
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__, "torchvision": torchvision.__version__},
        "data": {"name": source.name, "hash": prepared.hash},
        "split": {"name": split.name, "hash": split.hash, "leaky": split.leaky},
        "seed": arguments.seed,
        "epochs": len(history),
        "best_epoch": int(np.argmin(history)) + 1,
        "seconds": seconds,
        "train_images_per_second": len(history) * len(train) / trained,
        "val_history": history,
        "scores": scores,
    }
    arguments.to.parent.mkdir(parents=True, exist_ok=True)
    arguments.to.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(scores, indent=1))


@torch.no_grad()
def predict(net: nn.Module, loader: DataLoader[tuple[Tensor, Tensor]]) -> np.ndarray:
    """Return predictions (N, 3) in the scaled unit."""
    net.eval()
    return torch.cat([net(images) for images, _ in loader]).double().numpy()


if __name__ == "__main__":
    main()
