"""How does the cost of `quadzoo bench` grow with the images, and with the runs?

    python benchmarks/scaling.py

tiny_cnn, one epoch, on 2,000, 20,000 and 200,000 drawn equations, first with an empty cache, then with the
images decoded; and 1, 4 and 16 runs of two epochs on 2,000. Seconds are those of the whole command; memory
is the largest resident size of a run's process, and of the command's own. It writes results/scaling.json and,
from that and other files, SCALING.md. On two CPU cores it takes a quarter of an hour; nothing else should run
at the same time.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from data import timed
from scaling_page import plot, write_page

from quadzoo.data.cache import prepare
from quadzoo.data.equations import write_folder
from quadzoo.data.sources import DataRequest, open_source
from quadzoo.executors.local import LocalExecutor
from quadzoo.grid.devices import find_device
from quadzoo.records.record import read_records

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", default="2000,20000,200000")
    parser.add_argument("--runs", default="1,4,16")
    parser.add_argument("--to", type=Path, default=HERE, help="folder of results/scaling.json and SCALING.md")
    arguments = parser.parse_args()
    sizes = [int(n) for n in arguments.images.split(",")]
    result = {
        "command": ["python", "benchmarks/scaling.py", *sys.argv[1:]],
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": find_device(LocalExecutor(), "auto").name,
        "cpus": os.cpu_count(),
        "python": sys.version.split()[0],
        "torch": version("torch"),
        "images": {n: by_images(n) for n in sizes},
        "runs": by_runs(sizes[0], [int(n) for n in arguments.runs.split(",")]),
    }
    (arguments.to / "results").mkdir(parents=True, exist_ok=True)
    (arguments.to / "results" / "scaling.json").write_text(json.dumps(result, indent=1) + "\n")
    write_page(arguments.to)


def by_images(n: int) -> dict[str, dict[str, float]]:
    """Return the figures of one run on n images, with an empty cache and with a filled one."""
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["QUADZOO_CACHE_DIR"] = f"{scratch}/cache"
        write_folder(Path(scratch) / "data", n, seed=0)
        return {
            cache: bench(f"{scratch}/data", Path(scratch) / cache, "--epochs", "1")
            for cache in ("empty", "filled")
        }


def by_runs(n: int, counts: Sequence[int]) -> dict[int, dict[str, float]]:
    """Return the figures of so many runs on n decoded images."""
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["QUADZOO_CACHE_DIR"] = f"{scratch}/cache"
        data = f"{scratch}/data"
        write_folder(Path(data), n, seed=0)
        prepare(open_source(DataRequest(data)), "auto")
        return {
            count: bench(data, Path(scratch) / str(count), "--epochs", "2", "--seeds",
                         ",".join(map(str, range(count))))
            for count in counts
        }  # fmt: skip


def bench(data: str, out: Path, *flags: str) -> dict[str, float]:
    """Return seconds and MiB of a whole command, and the seconds in which its runs trained."""
    command = [sys.executable, "-c", "from quadzoo.cli import main; main()", "bench", "--data", data,
               "--backbones", "tiny_cnn", "--weights", "none", "--out", str(out), *flags]  # fmt: skip
    whole = timed(command)
    records = read_records(out)
    return {
        "seconds": whole["seconds"],
        "own_mib": whole["mib"],
        "run_mib": max(record.cost.peak_memory_mb or 0 for record in records),
        "fit_seconds": sum(record.cost.fit_seconds or 0 for record in records),
    }


def page(result: dict) -> list[str]:
    """Return tables and plots as lines of Markdown."""
    images, runs = ({int(n): one for n, one in result[name].items()} for name in ("images", "runs"))
    slope = (images[max(images)]["filled"]["seconds"] - images[min(images)]["filled"]["seconds"]) / (
        (max(images) - min(images)) / 1000
    )
    per_run = (runs[max(runs)]["seconds"] - runs[min(runs)]["seconds"]) / (max(runs) - min(runs))
    fits = (runs[max(runs)]["fit_seconds"] - runs[min(runs)]["fit_seconds"]) / (max(runs) - min(runs))
    lines = [
        f"`{' '.join(result['command'])}`, once: tiny_cnn with head mlp, {result['device']}, "
        f"{result['cpus']} CPUs, Python {result['python']}, torch {result['torch']}. Seconds of the whole "
        "command; memory is the largest resident size of a run's process, and of the command's own. Drawing "
        "the images is not counted.",
        "",
        "## With the images: one run, one epoch",
        "",
        "| images | empty cache | images decoded | of that training | run's memory | command's memory |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for n, one in images.items():
        empty, filled = one["empty"], one["filled"]
        lines.append(
            f"| {n:,} | {empty['seconds']:.1f} s | {filled['seconds']:.1f} s | {filled['fit_seconds']:.1f} s "
            f"| {filled['run_mib']:,.0f} MiB | {empty['own_mib']:,.0f} MiB |"
        )
    lines += [
        "",
        f"Once decoded, 1,000 more images cost {slope:.2f} s an epoch.",
        "",
        *plot("Memory of a run", "MiB", {f"{n:,}": one["filled"]["run_mib"] for n, one in images.items()}),
        "",
        *plot(
            "Training, seconds for 1,000 images", "s",
            {f"{n:,}": 1000 * one["filled"]["fit_seconds"] / n for n, one in images.items()},
        ),
        "",
        f"## With the runs: {min(images):,} images, two epochs",
        "",
        "| runs | whole command | of that training | run's memory |",
        "| --- | --- | --- | --- |",
    ]  # fmt: skip
    lines += [
        f"| {n} | {one['seconds']:.1f} s | {one['fit_seconds']:.1f} s | {one['run_mib']:,.0f} MiB |"
        for n, one in runs.items()
    ]
    lines += [
        "",
        f"One more run costs {per_run:.1f} s, {per_run - fits:.1f} s above its training.",
        "",
        *plot("Seconds of the whole command", "s", {str(n): one["seconds"] for n, one in runs.items()}),
    ]
    return lines


if __name__ == "__main__":
    main()
