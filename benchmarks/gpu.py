"""What benchmarks/gpu.sh runs; see there."""

from __future__ import annotations

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

ROOT = Path(__file__).resolve().parent.parent
FLAGS = ["--backbones", "resnet50,efficientnet_b0", "--weights", "none", "--device", "cuda"]
PACKAGES = ("torch", "torchvision", "timm", "pytorch-lightning", "numpy", "opencv-python-headless")


def main() -> None:
    arguments = sys.argv[1:]
    named = bool(arguments) and not arguments[0].startswith("-")
    to = Path(arguments.pop(0)) if named else ROOT / "benchmarks" / "results" / "gpu.json"
    with tempfile.TemporaryDirectory() as scratch:
        result = measure(Path(scratch), [*FLAGS, *arguments])
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["runs"], indent=1))
    print(f"wrote {to}")


def measure(scratch: Path, flags: list[str]) -> dict[str, object]:
    """Run the bench with an empty cache, as a new user would, and return its figures."""
    paths = [str(ROOT), str(metadata(scratch)), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "QUADZOO_CACHE_DIR": str(scratch / "cache"),
    }
    command = [sys.executable, "-c", "from quadzoo.cli import main; main()", "bench", *flags]
    clock = time.perf_counter()
    subprocess.run([*command, "--out", str(scratch / "out")], check=True, env=environment)
    seconds = time.perf_counter() - clock
    records = [json.loads(path.read_text()) for path in sorted((scratch / "out").glob("runs/*/record.json"))]
    return {
        "command": ["quadzoo", "bench", *flags],
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": records[0]["environment"]["device_name"],
        "python": records[0]["environment"]["python"],
        "versions": {name: installed(name) for name in PACKAGES},
        "whole_command_seconds": round(seconds, 2),
        "data": records[0]["data"],
        "image": records[0]["image"],
        "runs": [
            {
                "backbone": record["backbone"],
                "head": record["head"],
                "seed": record["seed"],
                "precision": record["precision"],
                "epochs": record["recipe"]["epochs"],
                "batch_size": record["recipe"]["batch_size"],
                **record["cost"],
                "val_mse": record["metrics"]["val_mse"],
                "test_mse": record["metrics"]["test_mse"],
            }
            for record in records
        ],
    }


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
