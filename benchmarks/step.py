"""Where does the time of a training step on the CPU go? torch's profiler, operator by operator.

    python benchmarks/step.py

For each backbone, at 100 x 100 pixels and in the precision that `--precision auto` takes: the median time of
augmenting a batch of 32, of forward and backward, of clipping, of the optimizer, and the operators that take
most. The step is that of quadzoo without Lightning. It writes benchmarks/PROFILE.md.
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

from quadzoo.cli.display import Display
from quadzoo.data.datamodule import ArrayFile
from quadzoo.data.equations import write_folder
from quadzoo.executors.local import Executor
from quadzoo.grid.config import BenchConfig
from quadzoo.grid.plan import RunPlan
from quadzoo.grid.runner import plan_bench
from quadzoo.model.augment import augment
from quadzoo.training.run import build_module, make_trainer

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
    executor = Executor()
    if known != dict(os.environ):  # what it has set for the allocator is read when Python starts
        os.execv(sys.executable, [sys.executable, *sys.argv])
    with tempfile.TemporaryDirectory() as scratch:
        write_folder(Path(scratch) / "data", 64, seed=0)
        config = BenchConfig(
            backbones=tuple(arguments.backbones.split(",")), data=f"{scratch}/data", weights="none",
            image_size=arguments.image_size, resize="stretch", device="cpu",
        )  # fmt: skip
        with Display() as display:
            runs = plan_bench(config, executor, display).runs
        first = runs[0]
        lines = [
            "# Where a training step goes",
            "",
            f"`{' '.join(['python', 'benchmarks/step.py', *sys.argv[1:]])}`: batches of "
            f"{first.recipe.batch_size}, {arguments.image_size}, medians of {arguments.repeats}. "
            f"{first.device.name}, {first.threads} threads, torch {torch.__version__}.",
        ]
        for run in runs:
            lines += section(run, arguments.repeats)
    arguments.to.write_text("\n".join(lines) + "\n")


def section(run: RunPlan, repeats: int) -> list[str]:
    """Return the parts of a step of one backbone, and its most expensive operators."""
    torch.set_num_threads(run.threads)
    module, trainer = build_module(run), make_trainer(run, [])
    module.train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=run.recipe.lr, fused=True)
    n = run.recipe.batch_size
    images = ArrayFile(run.data.images.file)[torch.arange(n)].permute(0, 3, 1, 2)
    target = torch.rand(n, len(run.info.names))

    def change() -> torch.Tensor:
        return augment(images, run.recipe.augment)

    changed = change()

    def forward_backward() -> None:
        optimizer.zero_grad()
        with trainer.precision_plugin.forward_context():
            raw = module(changed)
        module.head.loss(raw, target).backward()

    def clip() -> None:
        torch.nn.utils.clip_grad_norm_(module.parameters(), run.recipe.gradient_clip or 1.0)

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
        f"## {run.backbone}, precision {run.precision} ({run.precision_note})",
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
