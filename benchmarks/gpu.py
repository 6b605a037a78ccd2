"""What benchmarks/gpu.sh runs; see there."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
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
        result = measure(Path(scratch), small=arguments.small)
    arguments.to.parent.mkdir(parents=True, exist_ok=True)
    arguments.to.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    print(f"wrote {arguments.to}")


def measure(scratch: Path, *, small: bool) -> dict[str, object]:
    """Measure one thing after the other, with an empty cache, as a new user would; return all figures."""
    started = time.monotonic()
    known = [str(ROOT), str(metadata(scratch)), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ |= {"PYTHONPATH": os.pathsep.join(known), "QUADZOO_CACHE_DIR": str(scratch / "cache")}
    data = str(scratch / "data")
    quadzoo("data", "make", data, "--n", "60" if small else "2000")
    device = [] if small else ["--device", "cuda"]
    backbones = ["tiny_cnn"] if small else ["resnet50", "efficientnet_b0"]
    shared = [*device, "--data", data, "--weights", "none"]

    main_job = bench(scratch / "main", *shared, "--backbones", ",".join(backbones), *short(small))
    tutorial = {name: peer(name, data) for name in backbones}
    many = ",".join(map(str, range(SIDE_BY_SIDE)))
    several = [*shared, "--backbones", "tiny_cnn" if small else "resnet18", "--seeds", many, *short(small)]
    jobs = {n: bench(scratch / f"jobs{n}", *several, "--jobs", str(n)) for n in (1, SIDE_BY_SIDE)}

    # First of what is left, since all that is above is told even where this fails.
    left = MINUTES - (time.monotonic() - started) / 60
    file = scratch / "matrix.json"
    quick = ["--backbones", "tiny_cnn", "--sizes", "24x64", "--batches", "8", "--pictures", "60"]
    matrix = [
        str(HERE / "matrix.py"),
        "--to",
        str(file),
        "--minutes",
        f"{left:.2f}",
        *(quick if small else []),
    ]
    done = subprocess.run([sys.executable, *matrix], check=False)
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": sys.version.split()[0],
        "versions": {name: installed(name) for name in PACKAGES},
        "main job": main_job,
        "the tutorial's loop, images per second of each epoch": tutorial,
        "several runs, by --jobs": jobs,
        "matrix": json.loads(file.read_text()) if file.exists() else f"exit status {done.returncode}",
        "minutes": (time.monotonic() - started) / 60,
    }


def short(small: bool) -> list[str]:
    return ["--epochs", "2"] if small else []


def quadzoo(*arguments: str) -> None:
    subprocess.run([sys.executable, "-c", "from quadzoo.cli import main; main()", *arguments], check=True)


def bench(out: Path, *flags: str) -> dict[str, object]:
    """Return what a whole command takes, and its runs' figures."""
    clock = time.perf_counter()
    quadzoo("bench", *flags, "--out", str(out))
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
