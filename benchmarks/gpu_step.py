"""What a GPU gives: is there one that computes, its ceilings, and the training step without a Trainer.

    python benchmarks/gpu_step.py --device | --ceilings | --launches | --training | --starts | --precisions |
                                  --streaming [--small]

benchmarks/gpu.sh runs these parts one by one. Each figure is printed as a line of JSON, {"name": value}, as
soon as it is known. Speeds are medians of several rounds of steps; a round ends when the GPU has computed
them. The step is that of `quadzoo bench`: augmentation, forward and backward, clipping, fused AdamW. With
--small everything is tiny, and computed on the CPU where there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from quadzoo.data.datamodule import DataModule
from quadzoo.data.splits import Split
from quadzoo.model.augment import augment
from quadzoo.model.build import build_backbone, build_head, join
from quadzoo.model.callbacks import AveragedWeights, BestWeights, PeakMemory, Throughput
from quadzoo.model.kernels import use_kernels_for, use_tf32
from quadzoo.model.optimizer import optimizer_of
from quadzoo.model.recipe import Recipe
from quadzoo.registry import catalogue
from quadzoo.targets import TargetInfo

TARGETS = TargetInfo(names=("a", "b", "c"), low=(0.0,) * 3, high=(1.0,) * 3, integer=(False,) * 3)
ROUNDS, WARM_UP = 5, 3
FEW, MANY = 0.0, 1e12  # pixels of training images, which kernels follow from
SHOWN, LONGEST = 12, 90  # kernels, and characters of their names
LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx",
            "cudaGraphLaunch", "cudaMemcpyAsync", "cudaMemsetAsync", "hipLaunchKernel",
            "hipModuleLaunchKernel", "hipExtModuleLaunchKernel")  # fmt: skip
GPU = torch.cuda.is_available()


def tell(name: str, value: object) -> None:
    print(json.dumps({name: value}), flush=True)


def wait() -> None:
    if GPU:
        torch.cuda.synchronize()


def seconds(work: Callable[[], object], times: int) -> float:
    """Return the seconds of one call: the median over rounds of so many."""
    for _ in range(WARM_UP):
        work()
    taken = []
    for _ in range(ROUNDS):
        wait()
        clock = time.perf_counter()
        for _ in range(times):
            work()
        wait()
        taken.append((time.perf_counter() - clock) / times)
    return statistics.median(taken)


class Step:
    """A training step of a backbone with the head mlp, on images that lie on the device."""

    def __init__(
        self, backbone: str, batch: int, size: int | tuple[int, int], device: str, *, bf16: bool
    ) -> None:
        torch.manual_seed(0)
        names = catalogue.load()
        spec, self.recipe, self.bf16 = names.backbones[backbone].spec, Recipe(), bf16
        height, width = (size, size) if isinstance(size, int) else size
        built = build_backbone(spec, pretrained=False, in_channels=3, image_size=(height, width))
        head = build_head(names.heads["mlp"].spec, num_features=built.num_features, targets=TARGETS)
        self.module = join(spec, built, head, self.recipe, 3).to(device).train()
        self.optimizer = optimizer_of(self.recipe, self.module.parameters(), fused=True)
        pixels = torch.randint(0, 256, (batch, height, width, 3), dtype=torch.uint8, device=device)
        self.images, self.target = pixels.permute(0, 3, 1, 2), torch.rand(batch, 3, device=device)

    def __call__(self, images: Tensor | None = None, target: Tensor | None = None) -> None:
        """Take the step, on the images given, uint8 (B, 3, H, W), or on its own."""
        images = self.images if images is None else images
        target = self.target if target is None else target
        self.optimizer.zero_grad()
        self.differentiate(images, target)
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.recipe.gradient_clip or 1.0)
        self.optimizer.step()

    def differentiate(self, images: Tensor, target: Tensor) -> None:
        """Pass forward and backward."""
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16, cache_enabled=False):
            raw = self.module(augment(images, self.recipe.augment))
        self.module.head.loss(raw, target).backward()


def describe_device(small: bool, device: str) -> None:
    """Say which GPU there is, and compute a convolution forward and backward on it."""
    driver = None
    try:
        asked = [
            "nvidia-smi",
            "--query-gpu=driver_version,power.limit,clocks.max.sm",
            "--format=csv,noheader",
        ]
        driver = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        driver = f"nvidia-smi: {error}"
    tell("torch", {"version": torch.__version__, "cuda": torch.version.cuda, "hip": torch.version.hip,
                   "cudnn": torch.backends.cudnn.version(), "driver": driver})  # fmt: skip
    if GPU:
        found = torch.cuda.get_device_properties(0)
        free, total = torch.cuda.mem_get_info()
        tell("gpu", {"name": found.name, "capability": f"{found.major}.{found.minor}", "free_bytes": free,
                     "total_bytes": total, "devices": torch.cuda.device_count(),
                     "bf16": torch.cuda.is_bf16_supported(including_emulation=False)})  # fmt: skip
    elif not small:
        torch.zeros(1, device="cuda")  # says why there is none
    layer = torch.nn.Conv2d(3, 8, 3).to(device)
    layer(torch.rand(2, 3, 16, 16, device=device)).sum().backward()
    assert layer.weight.grad is not None
    tell("a convolution, forward and backward", bool(layer.weight.grad.isfinite().all()))


def ceilings(small: bool, device: str) -> None:
    """Measure copies and products of matrices: nothing that trains can be faster."""
    n = 1 << (20 if small else 30)
    source = torch.empty(n, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    tell("copy on the device, GB/s, read and written", 2 * n / seconds(lambda: target.copy_(source), 5) / 1e9)
    for kind in ("pageable", "pinned"):
        if kind == "pinned" and not GPU:
            continue
        host = torch.empty(n // 4, dtype=torch.uint8, pin_memory=kind == "pinned")
        part = target[: n // 4]
        rate = n / 4 / seconds(lambda host=host, part=part: part.copy_(host, non_blocking=True), 3) / 1e9
        tell(f"copy to the device, {kind}, GB/s", rate)
    side = 128 if small else 8192
    for name, dtype, precision in (("bf16", torch.bfloat16, "highest"), ("TF32", torch.float32, "high"),
                                   ("float32", torch.float32, "highest")):  # fmt: skip
        torch.set_float32_matmul_precision(precision)
        one = torch.rand(side, side, device=device, dtype=dtype)
        rate = 2 * side**3 / seconds(lambda one=one: one @ one, 5) / 1e12
        tell(f"matmul {side}, {name}, TFLOP/s", rate)


def launches(small: bool, device: str) -> None:
    """Count what a step asks of the driver, how long that takes, and which kernels take the time."""
    use_tf32(GPU)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if GPU else [])]
    for backbone, batch, side in _networks(small, (32, 512)):
        use_kernels_for(FEW if batch == 32 else MANY)
        step = Step(backbone, batch, side, device, bf16=True)
        for _ in range(WARM_UP):
            step()
        wait()
        with profile(activities=activities, acc_events=True) as profiler:
            step()
            wait()
        events = Counter(event.name for event in profiler.events())
        asked = {name: events[name] for name in LAUNCHES if events[name]}
        # A kernel is an event of the GPU alone; an operator's time there is that of its kernels again.
        kernels = Counter({
            one.key: one.self_device_time_total / 1000
            for one in profiler.key_averages() if one.device_type == DeviceType.CUDA
        })  # fmt: skip
        wait()
        clock = time.perf_counter()
        for _ in range(10):
            step()
        issued = (time.perf_counter() - clock) / 10  # before the GPU has computed it
        wait()
        tell(f"{backbone}, batch {batch}", {
            "launches": sum(asked.values()), "by call": asked,
            "synchronisations": sum(n for name, n in events.items() if "Synchronize" in name) - 1 * GPU,
            "operators": sum(n for name, n in events.items() if name.startswith("aten::")),
            "ms to issue": 1000 * issued, "ms": 1000 * seconds(step, 5),
            "ms of all kernels": sum(kernels.values()),
            "ms of the longest kernels": {name[:LONGEST]: ms for name, ms in kernels.most_common(SHOWN)},
        })  # fmt: skip


def training(small: bool, device: str) -> None:
    """Measure quadzoo's own training in a Trainer, in images a second: steps as always, replayed, compiled.

    Cells are (backbone, images a batch, ways); each is three epochs of 30 steps, of which the first warms up.
    With 32 images a batch kernels are those of a short training, else those of a long one.
    """
    cells: list[tuple[str, int, tuple[str, ...]]] = [
        ("resnet50", 32, ("eager", "replayed")), ("efficientnet_b0", 32, ("eager", "replayed")),
        ("resnet50", 512, ("replayed", "compiled, replayed", "eager")),
        ("resnet18", 32, ("eager", "replayed")), ("tiny_cnn", 32, ("eager", "replayed")),
        ("efficientnet_b0", 512, ("replayed", "compiled, replayed", "eager")),
        ("resnet50", 1024, ("replayed",)), ("resnet50", 32, ("compiled, replayed",)),
    ]  # fmt: skip
    if small:
        cells = [("tiny_cnn", 4, ("eager", "replayed"))]
    side, steps = (24, 5) if small else (100, 30)
    for backbone, batch, ways in cells:
        for way in ways:
            told = trained(backbone, batch, way, side=side, steps=steps, device=device)
            tell(f"{backbone}, {side} x {side}, batch {batch}, {way}", told)


def trained(backbone: str, batch: int, way: str, *, side: int, steps: int, device: str) -> dict[str, object]:
    """Return images a second of a training in bf16, and what is to be said of it."""
    module = Step(backbone, batch, side, "cpu", bf16=True).module
    if "compiled" in way:
        module.compile_training()
    if "replayed" in way:
        module.replay_training()
    n = batch * steps + 2
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "images.npy"
        some = np.random.default_rng(0).integers(0, 256, (min(n, 2000), side, side, 3), dtype=np.uint8)
        np.save(file, np.resize(some, (n, side, side, 3)))
        rows = np.arange(n)
        split = Split("x", 0, 1, rows[:-2], rows[-2:], rows[-2:], 0, "")
        data = DataModule(file, np.random.default_rng(0).random((n, 3)), split, batch, seed=0)
        speed, memory = Throughput(), PeakMemory(lambda: data.resident_bytes)
        is_short = batch == 32
        use_tf32(GPU)
        use_kernels_for(FEW if is_short else MANY)
        logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
        pl.Trainer(
            accelerator=device, devices=1, precision="bf16-mixed", max_epochs=3,
            benchmark=GPU and not is_short,
            callbacks=[BestWeights(), AveragedWeights(0.98), speed, memory], num_sanity_val_steps=0,
            logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        ).fit(module, datamodule=data)  # fmt: skip
    replay = module.replay
    return {
        "images a second": speed.images_per_second, "peak MiB": memory.mib,
        "replayed": module.is_replayed, "why not": replay.why_not if replay else "",
        "train MSE": [epoch["train_mse"] for epoch in module.history],
    }  # fmt: skip


def starts(small: bool, device: str) -> None:
    """Measure the first step and later ones with each kind of kernels, each in a process of its own.

    These are torch's own for depthwise convolutions, cuDNN's, and cuDNN's fastest of those that it tried.
    """
    cells = [("efficientnet_b0", 32, (32, 208)), ("resnet50", 32, (32, 208)),
             ("efficientnet_b0", 512, (100, 100)), ("resnet50", 512, (100, 100))]  # fmt: skip
    if small:
        cells = [("efficientnet_b0", 2, (24, 32))]
    for backbone, batch, size in cells:
        for kernels in ("torch's own", "cuDNN's", "cuDNN's, tried"):
            if backbone == "resnet50" and kernels == "torch's own":  # it has no depthwise convolution
                continue
            given = backbone, batch, size, kernels, device
            process = multiprocessing.get_context("fork").Process(target=started, args=given)
            process.start()
            process.join()


def started(backbone: str, batch: int, size: tuple[int, int], kernels: str, device: str) -> None:
    """Tell how many seconds steps take, and milliseconds when forward and backward are replayed."""
    use_tf32(GPU)
    use_kernels_for(FEW if kernels == "torch's own" else MANY)
    torch.backends.cudnn.benchmark = GPU and "tried" in kernels
    step = Step(backbone, batch, size, device, bf16=True)
    wait()
    taken = []
    for _ in range(WARM_UP):
        clock = time.perf_counter()
        step()
        wait()
        taken.append(time.perf_counter() - clock)
    told: dict[str, object] = {"seconds of the first step": taken[0], "of the next": taken[-1]}
    if GPU:
        step.optimizer.zero_grad()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step.differentiate(step.images, step.target)
        told["ms, replayed, without optimizer"] = 1000 * seconds(graph.replay, 8)
    tell(f"{backbone}, {size[0]} x {size[1]}, batch {batch}, {kernels}", told)


def precisions(small: bool, device: str) -> None:
    """Measure TF32 against bf16, with and without cudnn.benchmark, in images a second."""
    use_tf32(GPU)
    for backbone, batch, side in _networks(small, (512, 32)):
        for benchmark in (True, False):
            torch.backends.cudnn.benchmark = benchmark and GPU
            for bf16 in (True, False):
                step = Step(backbone, batch, side, device, bf16=bf16)
                name = f"{backbone}, batch {batch}, {'bf16' if bf16 else 'TF32'}, benchmark {benchmark}"
                tell(name, batch / seconds(step, 2 if small else max(4, 512 // batch)))


def streaming(small: bool, device: str) -> None:
    """Measure an epoch's images a second: kept on the GPU, read ahead, and read synchronously as before.

    The file is in the operating system's cache; the network is small, so that reading can be seen.
    """
    n, batch, side = (64, 8, 24) if small else (16_384, 512, 100)
    use_tf32(GPU)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "images.npy"
        np.save(file, np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8))
        rows = np.arange(n)
        split = Split("x", 0, 1, rows, rows[:2], rows[:2], 0, "")
        for backbone in ("tiny_cnn",) if small else ("resnet18", "resnet50"):
            step = Step(backbone, batch, side, device, bf16=True)
            for way in ("on the device", "read ahead", "read synchronously"):
                data = DataModule(file, np.random.default_rng(0).random((n, 3)), split, batch, seed=0)
                if way != "read synchronously":
                    data.place(torch.device(device), resident=way == "on the device")

                def epoch(data: DataModule = data, step: Step = step) -> None:
                    for images, target in data.train_dataloader():
                        step(images.to(device), target.to(device))

                epoch()
                wait()
                clock = time.perf_counter()
                epoch()
                wait()
                tell(f"{backbone}, {way}", n / (time.perf_counter() - clock))


def _networks(small: bool, batches: tuple[int, ...]) -> list[tuple[str, int, int]]:
    """Return backbone, batch and side."""
    if small:
        return [("tiny_cnn", 4, 24)]
    return [(backbone, batch, 100) for backbone in ("resnet50", "efficientnet_b0") for batch in batches]


PARTS = {"device": describe_device, "ceilings": ceilings, "launches": launches, "training": training,
         "starts": starts, "precisions": precisions, "streaming": streaming}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    chosen = parser.add_mutually_exclusive_group(required=True)
    for name in PARTS:
        chosen.add_argument(f"--{name}", dest="part", action="store_const", const=name)
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    if not GPU and not arguments.small and arguments.part != "device":
        sys.exit("gpu_step: torch sees no GPU")
    PARTS[arguments.part](arguments.small, "cuda" if GPU else "cpu")


if __name__ == "__main__":
    main()
