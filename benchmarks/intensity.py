"""Does what a backbone computes foretell whether bf16 pays on this CPU? Steps in both precisions, by turns.

    python benchmarks/intensity.py

For each backbone it counts the multiply-adds for each number that they give, as `--precision auto` does, and
takes steps in float32 and in bf16 by turns, forward and backward, on random images of 64 x 64 pixels in
batches of 32. It writes benchmarks/results/intensity.json: milliseconds of all steps, how many times as fast
bf16 is by their medians, and what `auto` chooses.
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

from quadzoo.grid.intensity import judge_on_cpu
from quadzoo.model.build import build_backbone, join
from quadzoo.model.operators import operators_of
from quadzoo.model.recipe import Recipe
from quadzoo.registry import catalogue
from quadzoo.threads import threads_of_a_run

RESULTS = Path(__file__).parent / "results" / "intensity.json"
SIZE, BATCH, WARM_UP = (64, 64), 32, 2
BACKBONES = (
    "resnet18,resnet50,densenet121,convnext_tiny,regnetx_032,swin_tiny_patch4_window7_224,"
    "vit_tiny_patch16_224,convnext_atto,tiny_cnn,mobilenetv4_conv_small,efficientnet_b0"
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbones", default=BACKBONES)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--to", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(threads_of_a_run(1))
    found = {}
    for backbone in arguments.backbones.split(","):
        spec = catalogue.load().backbones[backbone].spec
        counted = operators_of(spec, in_channels=3, image_size=SIZE)
        taken = milliseconds(backbone, arguments.steps)
        choice, _ = judge_on_cpu({"intensity": counted.intensity, "well_known": True}, dry=False)
        found[backbone] = {
            "intensity": counted.intensity,
            "bf16 is times as fast": statistics.median(taken["32"]) / statistics.median(taken["bf16"]),
            "auto": choice.kind,
            "milliseconds": taken,
        }
        print(backbone, {name: value for name, value in found[backbone].items() if name != "milliseconds"})
    result = {**where(), "threads": torch.get_num_threads(), "size": SIZE, "batch": BATCH, "backbones": found}
    arguments.to.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def milliseconds(backbone: str, steps: int) -> dict[str, list[float]]:
    """Return the time of each step, by precision."""
    spec = catalogue.load().backbones[backbone].spec
    torch.manual_seed(0)
    network = build_backbone(spec, pretrained=False, in_channels=3, image_size=SIZE)
    module = join(spec, network, nn.Identity(), Recipe(), 3).train()
    images = torch.rand(BATCH, 3, *SIZE).mul(255).to(memory_format=torch.channels_last)
    taken: dict[str, list[float]] = {"32": [], "bf16": []}
    for _ in range(WARM_UP + steps):
        for name, times in taken.items():
            clock = time.perf_counter()
            module.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=name == "bf16"):
                features = module.features(images).float()
            torch.autograd.backward(features.square().mean())
            times.append(1000 * (time.perf_counter() - clock))
    return {name: times[WARM_UP:] for name, times in taken.items()}


if __name__ == "__main__":
    main()
