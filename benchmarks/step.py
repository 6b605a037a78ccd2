"""Where does the time of a training step on the CPU go? torch's profiler, operator by operator.

    python benchmarks/step.py

For each backbone, at 100 x 100 pixels and in the precision that `--precision auto` takes: the median time of
augmenting a batch of 32, of forward and backward, of clipping, of the optimizer, and the slowest
operators. The step is that of quadzoo without Lightning. It writes benchmarks/PROFILE.md.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import profile

from quadzoo import api
from quadzoo.data.datamodule import ArrayFile
from quadzoo.data.equations import write_folder
from quadzoo.model.augment import augment
from quadzoo.training.run import build_module, make_trainer
from quadzoo.training.task import Placement, Task

HERE = Path(__file__).parent
PROFILED = 3  # steps
SHOWN = 12  # operators


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbones", default="resnet50,efficientnet_b0,tiny_cnn")
    parser.add_argument("--image-size", default="100x100")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--to", type=Path, default=HERE / "PROFILE.md")
    arguments = parser.parse_args()
    known = dict(os.environ)
    api.start()
    if known != dict(os.environ):  # start() sets the allocator's variables, which are read when Python starts
        os.execv(sys.executable, [sys.executable, *sys.argv])
    with tempfile.TemporaryDirectory() as scratch:
        write_folder(Path(scratch) / "data", 64, seed=0)
        plan = api.plan(
            backbones=arguments.backbones.split(","), data=f"{scratch}/data", weights="none",
            image_size=arguments.image_size, resize="stretch", device="cpu", progress=True,
        )  # fmt: skip
        first = plan.tasks[0]
        lines = [
            "# Where a training step goes",
            "",
            f"`{' '.join(['python', 'benchmarks/step.py', *sys.argv[1:]])}`: batches of "
            f"{first.recipe.batch_size}, {arguments.image_size}, medians of {arguments.repeats}. "
            f"{plan.device.name}, {plan.placement(first).threads} threads, torch {torch.__version__}.",
        ]
        for task in plan.tasks:
            lines += section(task, plan.placement(task), arguments.repeats)
    arguments.to.write_text("\n".join(lines) + "\n")


def section(task: Task, placement: Placement, repeats: int) -> list[str]:
    """Return the parts of a step of one backbone, and its most expensive operators."""
    torch.set_num_threads(placement.threads)
    module, trainer = build_module(task, placement), make_trainer(task, placement, [])
    module.train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=task.recipe.lr, fused=True)
    n = task.recipe.batch_size
    images = ArrayFile(placement.images)[torch.arange(n)].permute(0, 3, 1, 2)
    target = torch.rand(n, len(task.targets))

    def change() -> torch.Tensor:
        return augment(images, task.recipe.augment)

    changed = change()

    def forward_backward() -> None:
        optimizer.zero_grad()
        with trainer.precision_plugin.forward_context():
            raw = module(changed)
        module.head.loss(raw, target).backward()

    def clip() -> None:
        torch.nn.utils.clip_grad_norm_(module.parameters(), task.recipe.gradient_clip or 1.0)

    def whole() -> None:
        change()
        forward_backward()
        clip()
        optimizer.step()

    forward_backward()
    parts = {"augment": change, "forward and backward": forward_backward, "clip": clip,
             "optimizer": optimizer.step, "all": whole}  # fmt: skip
    taken = {name: 1000 * seconds(part, repeats) for name, part in parts.items()}
    with profile() as profiler:
        for _ in range(PROFILED):
            whole()
    operators = profiler.key_averages().table(
        sort_by="self_cpu_time_total", row_limit=SHOWN, max_name_column_width=40
    )  # fmt: skip
    return [
        "",
        f"## {task.backbone}, precision {task.precision} ({task.precision_note})",
        "",
        "| part | ms |",
        "| --- | --- |",
        *(f"| {name} | {value:.1f} |" for name, value in taken.items()),
        "",
        f"{1000 * n / taken['all']:,.0f} images a second. The operators of {PROFILED} steps:",
        "",
        "```",
        *(line.rstrip() for line in operators.splitlines() if line.strip()),
        "```",
    ]


def seconds(part: Callable[[], object], repeats: int) -> float:
    """Return the median time of a call, after two to warm up."""
    taken = []
    for _ in range(2 + repeats):
        clock = time.perf_counter()
        part()
        taken.append(time.perf_counter() - clock)
    return statistics.median(taken[2:])


if __name__ == "__main__":
    main()
