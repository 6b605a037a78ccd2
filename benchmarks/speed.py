"""How much faster is quadzoo than the loops a user would otherwise write? Ratios, measured side by side.

    python benchmarks/speed.py
    python benchmarks/speed.py --rounds 0    writes the page anew from the JSONs, measures nothing

It draws equations and, round by round, lets every contender of benchmarks/peers.py and `quadzoo bench` train
the same backbone for two epochs on the same number of images, one after the other, each in a process of its
own. `quadzoo` has the peers' 100 x 100 pixels, `quadzoo, 32` their precision, too, and `quadzoo, auto` the
size that it chooses (32 x 208 here, which is two thirds of the pixels); all begin with an empty cache, so
they decode, and the last two choose a precision. `script` alone of the peers validates and tests, as the
tutorial's own script does; the others train and print their speed. fastai takes part where it is installed.
Nothing else should run at the same time.

It writes benchmarks/results/speed.json (every figure, device, versions) and benchmarks/SPEED.md: training
images a second in the second epoch, seconds of the whole command, and the ratios to the tutorial's loop and
to its script. A ratio is the median of the rounds' own ratios, with the lowest and the highest. The page
ends with what startup.py and predict.py measured.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from quadzoo.data.equations import write_folder
from quadzoo.executors.local import LocalExecutor
from quadzoo.grid.devices import find_device
from quadzoo.records.record import read_records

HERE = Path(__file__).parent
PEERS = ("tutorial", "script", "lightning", "timm", "torchvision")
PEERS += ("fastai",) if find_spec("fastai") else ()
SAME = ["--image-size", "100x100", "--resize", "stretch"]
OURS = {"quadzoo, 32": [*SAME, "--precision", "32"], "quadzoo": SAME, "quadzoo, auto": []}
EPOCHS = 2
_ENDS = ("fit_seconds", "run_seconds", "whole_seconds")  # one after the other
PACKAGES = ("torch", "torchvision", "timm", "pytorch-lightning", "opencv-python-headless", "pillow")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbones", default="resnet50,efficientnet_b0,tiny_cnn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--n", type=int, default=1000, help="images to draw; 64 %% of them are trained on")
    parser.add_argument("--to", type=Path, default=HERE, help="folder of results/speed.json and SPEED.md")
    arguments = parser.parse_args()
    if not arguments.rounds:
        result = json.loads((arguments.to / "results" / "speed.json").read_text())
        (arguments.to / "SPEED.md").write_text(page(result, arguments.to / "results"))
        return
    backbones = arguments.backbones.split(",")
    figures = []
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        write_folder(data, arguments.n, seed=0)
        for number in range(arguments.rounds):
            for backbone in backbones:
                sizes = [0, 0, 0]
                for contender in (*OURS, *PEERS):
                    if contender in OURS:
                        figure, sizes = ours(backbone, data, OURS[contender])
                    else:
                        figure = peer(contender, backbone, data, sizes)
                    figures.append({"round": number, "backbone": backbone, "contender": contender, **figure})
                    print(json.dumps(figures[-1]), flush=True)
    device = find_device(LocalExecutor(), "auto")
    result = {
        "command": ["python", "benchmarks/speed.py", *sys.argv[1:]],
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device.name,
        "cpus": os.cpu_count(),
        "python": sys.version.split()[0],
        "versions": {name: version(name) for name in PACKAGES},
        "images": arguments.n,
        "train": sizes[0],
        "val": sizes[1],
        "test": sizes[2],
        "epochs": EPOCHS,
        "figures": figures,
    }
    (arguments.to / "results").mkdir(parents=True, exist_ok=True)
    (arguments.to / "results" / "speed.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.to / "SPEED.md").write_text(page(result, arguments.to / "results"))


def ours(backbone: str, data: Path, flags: Sequence[str]) -> tuple[dict[str, object], list[int]]:
    """Return the figures of `quadzoo bench`, and how many images it trained on, validated and tested."""
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["QUADZOO_CACHE_DIR"] = f"{scratch}/cache"
        command = [sys.executable, "-c", "from quadzoo.start import main; main()", "bench",
                   "--data", str(data), "--backbones", backbone, "--weights", "none",
                   "--epochs", str(EPOCHS), *flags, "--out", f"{scratch}/out"]  # fmt: skip
        seconds, _ = timed(command)
        (record,) = read_records(Path(scratch) / "out")
    figure: dict[str, object] = {
        "precision": record.precision,
        "precision_note": record.precision_note,
        "image_size": record.image.size,
        "images_per_second": record.cost.train_images_per_second,
        "fit_seconds": record.cost.fit_seconds,
        "run_seconds": (record.finished - record.started).total_seconds(),
        "whole_seconds": seconds,
    }
    return figure, [record.split.n_train, record.split.n_val, record.split.n_test]


def peer(name: str, backbone: str, data: Path, sizes: Sequence[int]) -> dict[str, object]:
    """Return the figures of one of benchmarks/peers.py."""
    command = [sys.executable, str(HERE / "peers.py"), name, "--backbone", backbone, "--data", str(data),
               "--epochs", str(EPOCHS), "--limit", str(sizes[0]),
               "--held-out", *map(str, sizes[1:])]  # fmt: skip
    seconds, output = timed(command)
    speeds = json.loads(output.splitlines()[-1])["images_per_second"]
    return {"precision": "32", "images_per_second": speeds[-1], "whole_seconds": seconds}


def timed(command: list[str]) -> tuple[float, str]:
    """Return how many seconds a command took, and what it printed."""
    clock = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return time.perf_counter() - clock, done.stdout


def ratio(
    figures: Sequence[dict[str, float]],
    backbone: str,
    contender: str,
    *,
    key: str,
    to: str = "tutorial",
    inverse: bool = False,
) -> str:
    """Return the median of the rounds' ratios to another contender, with the lowest and the highest."""

    def by_round(name: str) -> dict[float, float]:
        chosen = (one for one in figures if (one["backbone"], one["contender"]) == (backbone, name))
        return {one["round"]: one[key] for one in chosen}

    theirs = by_round(to)
    ratios = [value / theirs[number] for number, value in by_round(contender).items()]
    ratios = sorted(1 / one for one in ratios) if inverse else sorted(ratios)
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} – {ratios[-1]:.2f})"


def page(result: dict, results: Path) -> str:
    """Return the figures, and what other scripts measured, as Markdown."""
    file = results / "startup.json"
    short = bounds(result, json.loads(file.read_text())) if file.exists() else ""
    return table(result) + short + beside(results)


def table(result: dict) -> str:
    """Return the figures as Markdown, a table for each backbone."""
    figures = result["figures"]
    rounds = len({one["round"] for one in figures})
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    lines = [
        "# Speed",
        "",
        f"`{' '.join(result['command'])}`: {result['train']} training images, {result['epochs']} epochs, "
        f"batches of 32, {rounds} rounds of all contenders by turns. {result['device']}, {result['cpus']} "
        f"CPUs, Python {result['python']}, {versions}. Medians; ratios are medians of the rounds' own "
        "(lowest – highest): of speed to the tutorial's loop, of the whole command to that loop alone, which "
        "neither validates nor tests, and to the tutorial's script, which does. All figures: "
        "results/speed.json; peers.py has contenders.",
    ]
    for backbone in dict.fromkeys(one["backbone"] for one in figures):
        lines += [
            "",
            f"## {backbone}",
            "",
            "| contender | precision | size | images/s | × loop | whole command, s | × loop | × script |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        for contender in dict.fromkeys(one["contender"] for one in figures):
            own = [one for one in figures if (one["backbone"], one["contender"]) == (backbone, contender)]
            speed, whole = (
                statistics.median(one[key] for one in own) for key in ("images_per_second", "whole_seconds")
            )
            precisions = ", ".join(sorted({one["precision"] for one in own}))
            size = "x".join(map(str, own[0].get("image_size", (100, 100))))
            cells = [
                contender, precisions, size, f"{speed:,.1f}",
                ratio(figures, backbone, contender, key="images_per_second"), f"{whole:.1f}",
                ratio(figures, backbone, contender, key="whole_seconds", inverse=True),
                ratio(figures, backbone, contender, key="whole_seconds", to="script", inverse=True),
            ]  # fmt: skip
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def bounds(result: dict, startup: dict) -> str:
    """Return what a short command spends its time on, as Markdown."""
    imports = statistics.median(times["imports"] for times in startup["seconds"])
    lines = [
        "",
        "## What bounds a short command",
        "",
        "Training is the images of both epochs at the speed above. What else `fit` does is validation and, "
        "before it, batch norm's statistics anew from the training images, moving averages and checkpoints. "
        "The rest of the run builds the network, tests it, and measures its latency. The rest of the command "
        "is imports, processes, decoding, baselines and tables; importing torch, timm and pytorch_lightning "
        f"alone took {imports:.1f} s (`benchmarks/startup.py`). Seconds, medians.",
        "",
        "| backbone | training | rest of fit | rest of run | rest of command | script: training | its rest |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for backbone in dict.fromkeys(one["backbone"] for one in result["figures"]):
        cells = []
        for contender in ("quadzoo", "script"):
            own = [
                one
                for one in result["figures"]
                if (one["backbone"], one["contender"]) == (backbone, contender)
            ]
            images = result["epochs"] * result["train"]
            ends = [
                [images / one["images_per_second"], *(one[key] for key in _ENDS if key in one)] for one in own
            ]
            cells += [
                f"{statistics.median(parts):.1f}"
                for parts in zip(*(np.diff([0.0, *times]) for times in ends), strict=True)
            ]
        lines.append(f"| {backbone} | {' | '.join(cells)} |")
    return "".join(f"{line}\n" for line in lines)


def beside(results: Path) -> str:
    """Return what other scripts measured, as Markdown: how long a command takes to start, and predictions."""
    lines: list[str] = []
    if (file := results / "startup.json").exists():
        one = json.loads(file.read_text())
        cells = [
            f"| {name} | {statistics.median(times[name] for times in one['seconds']):.1f} "
            f"| {found['median']:.2f} ({found['lowest']:.2f} – {found['highest']:.2f}) |"
            for name, found in one["ratios to the imports"].items()
        ]
        lines += [
            "",
            "## Start",
            "",
            f"`{' '.join(one['command'])}`, {len(one['seconds'])} rounds: importing torch, timm and "
            "pytorch_lightning beside `quadzoo bench --dry-run` of resnet50 and efficientnet_b0, and beside "
            f"a whole bench of tiny_cnn, {one['images']} images, one epoch. {one['device']}, {one['cpus']} "
            f"CPUs, torch {one['versions']['torch']}. At most 1.5 times the imports is wanted.",
            "",
            "| command | seconds | × imports |",
            "| --- | --- | --- |",
            *cells,
        ]
    if (file := results / "predict.json").exists():
        one = json.loads(file.read_text())
        ours, test = (statistics.median(one[f"{name}_seconds"]) for name in ("predict", "test"))
        lines += [
            "",
            "## Predictions",
            "",
            f"`{one['command']}`: `predict` reads {one['images']:,} images in {ours:.2f} s, "
            f"{one['ratio']:.2f} times as long as the test pass of a bench on decoded images takes "
            f"({test:.2f} s); at most {one['at_most']} is wanted. Decoding alone takes "
            f"{one['decode_seconds']:.2f} s. {one['device']}, {one['threads']} threads.",
        ]
    if (file := results / "gpu.json").exists():
        lines += on_a_gpu(json.loads(file.read_text()))
    return "".join(f"{line}\n" for line in lines)


def on_a_gpu(one: dict) -> list[str]:
    """Return what gpu.sh measured, and what it could not, as lines of Markdown."""
    versions = ", ".join(
        f"{name} {one['imports']['versions'][name]}" for name in ("torch", "torchvision", "timm")
    )
    lines = [
        "", "## On a GPU", "",
        f"`{' '.join(one['command'])}`: {one['device']['gpu']['name']}, Python {one['python']}, {versions}, "
        "bf16, images of 100x100. All figures: results/gpu.json.", "",
        *(f"- {note}" for note in one.get("notes", ())),
    ]  # fmt: skip
    if ceilings := one.get("ceilings"):
        known = "; ".join(f"{name}: {value:,.0f}" for name, value in ceilings.items())
        lines += ["", f"Ceilings: {known}."]
    trained = {
        name: told for name, told in one["training, replayed and not"].items() if isinstance(told, dict)
    }
    lines += ["", "| training | images/s | peak MiB | train MSE of each epoch |", "| --- | --- | --- | --- |"]
    for name, told in trained.items():
        curve = ", ".join(f"{value:.3g}" for value in told["train MSE"])
        lines.append(f"| {name} | {told['images a second']:,.0f} | {told['peak MiB']:,.0f} | {curve} |")
    if bare := one.get("a step as one CUDA graph"):
        lines += [
            "",
            "| bare step, batches of 32 | eager, ms | one graph, ms | eager / graph |",
            "| --- | --- | --- | --- |",
        ]
        for name, told in bare.items():
            if isinstance(told, dict):
                network = name.split(",")[0]
                lines.append(f"| {network} | {bare[f'{network}, eager, ms']:.1f} | {told['ms']:.2f} "
                             f"| {told['eager / graph']:.1f} |")  # fmt: skip
    lines += ["", "| eager step | kernels, ms | to issue, ms | step, ms | launches | longest kernel |",
              "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for name, told in one.get("launches a step", {}).items():
        if isinstance(told, dict):
            kernel, ms = max(told["ms of the longest kernels"].items(), key=lambda pair: pair[1])
            short = kernel.removeprefix("void at::native::").split("<")[0]
            lines.append(f"| {name} | {told['ms of all kernels']:.1f} | {told['ms to issue']:.1f} "
                         f"| {told['ms']:.1f} | {told['launches']} | {short}, {ms:.1f} ms |")  # fmt: skip
    if starts := one.get("starts"):
        lines += ["", "| kernels | first step, s | replayed, ms |", "| --- | --- | --- |"]
        for name, told in starts.items():
            if isinstance(told, dict):
                first, later = told["seconds of the first step"], told["ms, replayed, without optimizer"]
                lines.append(f"| {name} | {first:.1f} | {later:.1f} |")
    if runs := one.get("main job", {}).get("runs"):
        each = "; ".join(
            f"{run['backbone']} {run['fit_seconds']:.1f} s of training, "
            f"{run['train_images_per_second']:,.0f} images/s"
            for run in runs
        )
        whole = one["main job"]["whole_command_seconds"]
        lines += [
            "",
            f"`quadzoo bench --weights none` with two backbones and an empty cache: {whole:.0f} s; {each}.",
        ]
    loop = one.get("the tutorial's loop, images per second of each epoch", {})
    speeds = ", ".join(f"{name} {values[-1]:,.0f}" for name, values in loop.items())
    lines += ["", f"The tutorial's loop there, second epoch, images/s: {speeds}."]
    lines += others_on_a_gpu(one)
    failed = [
        f"{name} ({part['failed']})"
        for name, part in one.items()
        if isinstance(part, dict) and "failed" in part
    ]
    return [*lines, "", f"Not finished: {'; '.join(failed)}."] if failed else lines


def others_on_a_gpu(one: dict) -> list[str]:
    """Return what is measured after the main job, as lines of Markdown."""
    lines: list[str] = []
    units = {
        "images that do not fit": "images/s of an epoch",
        "TF32 and bf16, cudnn.benchmark on and off": "bare eager step, images/s",
    }
    for part, unit in units.items():
        figures = {name: value for name, value in one.get(part, {}).items() if isinstance(value, float)}
        if figures:
            lines += ["", f"| {part} | {unit} |", "| --- | --- |"]
            lines += [f"| {name} | {value:,.0f} |" for name, value in figures.items()]
    commands = {
        name: part
        for name, part in one.items()
        if isinstance(part, dict) and "whole_command_seconds" in part and name != "main job"
    }
    if commands:
        lines += [
            "",
            "| command | whole, s | training of each run, s | images/s | val MSE of each run, by seed |",
            "| --- | --- | --- | --- | --- |",
        ]
    for name, part in commands.items():
        runs = sorted((run for run in part["runs"] if run["status"] == "ok"), key=lambda run: run["seed"])
        fit = ", ".join(f"{run['fit_seconds']:.1f}" for run in runs)
        speed = ", ".join(f"{run['train_images_per_second']:,.0f}" for run in runs)
        val = ", ".join(f"{run['val_mse']:.6g}" for run in runs)
        lines.append(f"| {name} | {part['whole_command_seconds']:.0f} | {fit} | {speed} | {val} |")
    cells = [
        cell
        for part in ("first cells", "other cells")
        for cell in one.get(part, {}).get("cells", ())
        if "failed" not in cell
    ]
    if cells:
        lines += ["", "| matrix.py | batch | way | images/s | peak MB |", "| --- | --- | --- | --- | --- |"]
        lines += [
            f"| {cell['backbone']} | {cell['batch']} | {cell['way']} | {cell['images_per_second']:,.0f} "
            f"| {cell['peak_memory_mb']:,.0f} |"
            for cell in cells
        ]
    return lines


if __name__ == "__main__":
    main()
