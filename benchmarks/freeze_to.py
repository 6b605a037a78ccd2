"""How much faster is a training step with --freeze-to? Steps by turns, in one process.

    python benchmarks/freeze_to.py

For each backbone it builds the module of a run three times: trained as a whole, with the stem frozen, and
with the first stage frozen, too; and takes a step of each by turns, on random images of 32 x 208 pixels in
batches of 32, in float32. It writes benchmarks/results/freeze_to.json: milliseconds of all steps, and the
speed against training as a whole, medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
from torch import nn
from turns import where

from quadzoo.model.build import build_backbone, join
from quadzoo.model.optimizer import optimizer_of
from quadzoo.model.recipe import Recipe
from quadzoo.registry import catalogue
from quadzoo.threads import threads_of_a_run

RESULTS = Path(__file__).parent / "results" / "freeze_to.json"
SIZE, BATCH, WARM_UP = (32, 208), 32, 3
CHOICES = (None, "stem", "layer1")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbones", default="resnet18,resnet50,efficientnet_b0")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--to", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(threads_of_a_run(1))
    found = {}
    for backbone in arguments.backbones.split(","):
        taken = milliseconds(backbone, arguments.steps)
        whole = statistics.median(taken["whole"])
        ratios = {name: whole / statistics.median(times) for name, times in taken.items()}
        found[backbone] = {"speed against whole": ratios, "milliseconds": taken}
        print(json.dumps({backbone: ratios}), flush=True)
    result = {**where(), "threads": torch.get_num_threads(), "size": SIZE, "batch": BATCH, **found}
    arguments.to.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def milliseconds(backbone: str, steps: int) -> dict[str, list[float]]:
    """Return the time of each step, by what is frozen."""
    spec = catalogue.load().backbones[backbone].spec
    images = torch.rand(BATCH, 3, *SIZE).mul(255).to(memory_format=torch.channels_last)
    trained = {}
    for choice in CHOICES:
        torch.manual_seed(0)
        network = build_backbone(spec, pretrained=False, in_channels=3, image_size=SIZE)
        recipe = Recipe(freeze_to=choice)
        module = join(spec, network, nn.Identity(), recipe, 3).train()
        optimizer = optimizer_of(recipe, module.parameters(), fused=True)
        trained[choice or "whole"] = module, optimizer
    taken: dict[str, list[float]] = {name: [] for name in trained}
    for _ in range(WARM_UP + steps):
        for name, (module, optimizer) in trained.items():
            clock = time.perf_counter()
            optimizer.zero_grad()
            module.features(images).square().mean().backward()
            optimizer.step()
            taken[name].append(1000 * (time.perf_counter() - clock))
    return {name: times[WARM_UP:] for name, times in taken.items()}


if __name__ == "__main__":
    main()
