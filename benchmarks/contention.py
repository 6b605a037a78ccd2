"""What does a busy neighbour cost, and what helps? Images a second of training steps, by turns.

    python benchmarks/contention.py

For each backbone and each way in which threads wait, at 32 x 208 pixels and in batches of 32, alone and
beside one other process that computes without end: two threads as they are, two that sleep at once
(OMP_WAIT_POLICY=PASSIVE), two that spin a three-hundredth of the time (GOMP_SPINCOUNT=1000, which quadzoo
takes where it starts on a busy machine), and one thread. Each cell is a process of its own; all cells of a
round come one after the other. It writes benchmarks/results/contention.json and benchmarks/CONTENTION.md.
Nothing else should run at the same time; the load is in the JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from turns import positive, where

HERE = Path(__file__).parent
SIZE, BATCH = (32, 208), 32
NEIGHBOUR = [sys.executable, "-c", "while True: pass"]
SETTINGS: dict[str, tuple[int, dict[str, str]]] = {
    "two threads": (2, {}),
    "two, PASSIVE": (2, {"OMP_WAIT_POLICY": "PASSIVE"}),
    "two, SPINCOUNT 1000": (2, {"GOMP_SPINCOUNT": "1000"}),
    "one thread": (1, {}),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbones", default="tiny_cnn,efficientnet_b0")
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--seconds", type=positive, default=10, help="of training in each cell")
    parser.add_argument("--to", type=Path, default=HERE, help="folder of results/ and CONTENTION.md")
    parser.add_argument("--cell", nargs=2, metavar=("BACKBONE", "THREADS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.cell:
        print(images_per_second(arguments.cell[0], int(arguments.cell[1]), arguments.seconds))
        return
    figures = []
    for number in range(arguments.rounds):
        for backbone in arguments.backbones.split(","):
            for setting, (threads, environment) in SETTINGS.items():
                for busy in (False, True):
                    with neighbour(busy):
                        speed = cell(backbone, threads, environment, arguments.seconds)
                    figures.append({"round": number, "backbone": backbone, "setting": setting,
                                    "neighbour": busy, "images_per_second": speed})  # fmt: skip
                    print(json.dumps(figures[-1]), flush=True)
    result = {**where(), "size": SIZE, "batch": BATCH, "seconds": arguments.seconds, "figures": figures}
    (arguments.to / "results").mkdir(parents=True, exist_ok=True)
    (arguments.to / "results" / "contention.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.to / "CONTENTION.md").write_text(page(result), encoding="utf-8")


@contextmanager
def neighbour(busy: bool) -> Iterator[None]:
    """Have another process compute meanwhile."""
    if not busy:
        yield
        return
    process = subprocess.Popen(NEIGHBOUR)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def cell(backbone: str, threads: int, environment: dict[str, str], seconds: float) -> float:
    """Return the images a second of a process of its own."""
    command = [sys.executable, __file__, "--cell", backbone, str(threads), "--seconds", str(seconds)]
    own = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=own | environment)
    return float(done.stdout.splitlines()[-1])


def images_per_second(backbone: str, threads: int, seconds: float) -> float:
    """Train on random images for some seconds; return images a second, over all steps but the first three."""
    import torch

    from quadzoo.registry import catalogue

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    spec = catalogue.load().backbones[backbone].spec
    network = spec.build(pretrained=False, in_channels=3, image_size=SIZE)
    network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    images = torch.rand(BATCH, 3, *SIZE).to(memory_format=torch.channels_last)

    def step() -> None:
        optimizer.zero_grad()
        network(images).square().mean().backward()
        optimizer.step()

    for _ in range(3):
        step()
    clock, steps = time.perf_counter(), 0
    while (taken := time.perf_counter() - clock) < seconds or not steps:
        step()
        steps += 1
    return steps * BATCH / taken


def page(result: dict[str, Any]) -> str:
    """Return the figures as Markdown, medians of the rounds."""
    figures = result["figures"]
    lines = [
        "# A busy neighbour",
        "",
        f"`{' '.join(result['command'])}`: training steps on {BATCH} images of {SIZE[0]}x{SIZE[1]}, "
        f"float32, images a second, medians of {1 + max(one['round'] for one in figures)} rounds by turns. "
        f"{result['device']}, {result['cpus']} CPUs, load {result['load']:.1f}, torch "
        f"{result['versions']['torch']}. The neighbour is one process that computes without end.",
        "",
        "| backbone | threads | alone | with a neighbour | share that is left |",
        "| --- | --- | --- | --- | --- |",
    ]
    for backbone in dict.fromkeys(one["backbone"] for one in figures):
        for setting in SETTINGS:
            alone, beside = (speed(figures, backbone, setting, busy) for busy in (False, True))
            lines.append(f"| {backbone} | {setting} | {alone:,.0f} | {beside:,.0f} | {beside / alone:.2f} |")
    return "\n".join(lines) + "\n"


def speed(figures: Sequence[dict[str, Any]], backbone: str, setting: str, busy: bool) -> float:
    """Return the median of a cell."""
    wanted = (backbone, setting, busy)
    chosen = [one for one in figures if (one["backbone"], one["setting"], one["neighbour"]) == wanted]
    return statistics.median(one["images_per_second"] for one in chosen)


if __name__ == "__main__":
    main()
