"""Run what benchmarks/gpu.sh describes."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PACKAGES = ("torch", "torchvision", "timm", "pytorch-lightning", "numpy", "opencv-python-headless")
MINUTES = 8.5  # for everything
SIDE_BY_SIDE = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("to", nargs="?", type=Path, default=HERE / "results" / "gpu.json")
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        measure(Path(scratch), arguments.to, small=arguments.small)
    print(arguments.to.read_text())
    print(f"wrote {arguments.to}")


def measure(scratch: Path, to: Path, *, small: bool) -> None:
    """Measure one thing after the other, with an empty cache, as a new user would.

    Every figure is written as soon as it is measured: where a part fails, or the machine's time ends, the
    others' figures are kept.
    """
    started = time.monotonic()
    known = [str(ROOT), str(metadata(scratch)), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ |= {"PYTHONPATH": os.pathsep.join(known), "QUADZOO_CACHE_DIR": str(scratch / "cache")}
    data = str(scratch / "data")
    call("data", "make", data, "--n", "60" if small else "2000")
    backbones = ["tiny_cnn"] if small else ["resnet50", "efficientnet_b0"]
    shared = [*([] if small else ["--device", "cuda"]), "--data", data, "--weights", "none"]
    shared += ["--epochs", "2"] if small else []
    many = ",".join(map(str, range(SIDE_BY_SIDE)))
    several = [*shared, "--backbones", "tiny_cnn" if small else "resnet18", "--seeds", many]

    def side_by_side() -> object:
        return {n: bench(scratch / f"jobs{n}", *several, "--jobs", str(n)) for n in (1, SIDE_BY_SIDE)}

    def in_what_is_left() -> object:
        return matrix(scratch / "matrix.json", MINUTES - (time.monotonic() - started) / 60, small=small)

    parts: dict[str, Callable[[], object]] = {
        "main job": lambda: bench(scratch / "main", *shared, "--backbones", ",".join(backbones)),
        "the tutorial's loop, images per second of each epoch": lambda: {
            name: peer(name, data) for name in backbones
        },
        "several runs, by --jobs": side_by_side,
        "matrix": in_what_is_left,
    }
    result: dict[str, object] = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": sys.version.split()[0],
        "versions": {name: installed(name) for name in PACKAGES},
    }
    to.parent.mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        try:
            result[name] = part()
        except subprocess.CalledProcessError as error:
            result[name] = {"failed": str(error)}
        result["minutes"] = (time.monotonic() - started) / 60
        to.write_text(json.dumps(result, indent=1) + "\n")


def call(*arguments: str) -> None:
    """Call quadzoo, which need not be installed."""
    subprocess.run([sys.executable, "-c", "from quadzoo.cli import main; main()", *arguments], check=True)


def bench(out: Path, *flags: str) -> dict[str, object]:
    """Return what a whole command takes, and its runs' figures."""
    clock = time.perf_counter()
    call("bench", *flags, "--out", str(out))
    seconds = time.perf_counter() - clock
    records = [json.loads(path.read_text()) for path in sorted(out.glob("runs/*/record.json"))]
    return {
        "command": ["quadzoo", "bench", *flags],
        "device": records[0]["environment"]["device_name"],
        "whole_command_seconds": round(seconds, 2),
        "data": records[0]["data"],
        "image": records[0]["image"],
        "runs": [
            {
                "backbone": record["backbone"],
                "head": record["head"],
                "seed": record["seed"],
                "precision": record["precision"],
                "precision_note": record["precision_note"],
                "epochs": record["recipe"]["epochs"],
                "batch_size": record["recipe"]["batch_size"],
                **record["cost"],
                "val_mse": record["metrics"]["val_mse"],
                "test_mse": record["metrics"]["test_mse"],
            }
            for record in records
        ],
    }


def peer(backbone: str, data: str) -> list[float]:
    """Return the speed of the tutorial's loop in each of two epochs."""
    command = [sys.executable, str(HERE / "peers.py"), "tutorial", "--backbone", backbone, "--data", data]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    speeds: list[float] = json.loads(done.stdout.splitlines()[-1])["images_per_second"]
    return speeds


def matrix(file: Path, minutes: float, *, small: bool) -> object:
    """Return what benchmarks/matrix.py finds in so many minutes, even where it ends before."""
    command = [sys.executable, str(HERE / "matrix.py"), "--to", str(file), "--minutes", f"{minutes:.2f}"]
    quick = ["--backbones", "tiny_cnn", "--sizes", "24x64", "--batches", "8", "--images", "60"]
    done = subprocess.run([*command, *(quick if small else [])], check=False)
    return json.loads(file.read_text()) if file.exists() else {"failed": f"exit status {done.returncode}"}


def metadata(scratch: Path) -> Path:
    """Return a folder that makes this checkout's entry points known where it is not installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    info = scratch / "site" / f"quadzoo-{project['version']}.dist-info"
    if installed("quadzoo") is None:
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: quadzoo\nVersion: {project['version']}\n"
        )
        points = "\n".join(
            f"{name} = {module}" for name, module in project["entry-points"]["quadzoo"].items()
        )
        (info / "entry_points.txt").write_text(f"[quadzoo]\n{points}\n")
    return info.parent


def installed(package: str) -> str | None:
    """Return a package's version, None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
