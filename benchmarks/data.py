"""How do time and memory grow with the images? Draw, check and decode equations, and train one epoch.

    python benchmarks/data.py --n 2000,20000,200000

Each step is a process of its own, started one after the other; its time is that of the whole command, its
memory the largest resident size of the process or of any of its children. It writes
benchmarks/results/data.json (all figures, device and versions) and, from that file, benchmarks/DATA.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from quadzoo.system import cpu_name

HERE = Path(__file__).parent
STEPS = {
    "make": "quadzoo data make",
    "check": "quadzoo data check",
    "decode": "decode into the cache",
    "decoded": "find it in the cache",
    "train": "quadzoo bench, tiny_cnn, 1 epoch",
}
DECODE = """
import sys
from quadzoo.data.cache import prepare
from quadzoo.data.sources import DataRequest, open_source
prepare(open_source(DataRequest(sys.argv[1])), "auto")
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", default="2000,20000,200000", help="how many images, each time")
    parser.add_argument("--to", type=Path, default=HERE, help="folder of results/data.json and DATA.md")
    arguments = parser.parse_args()
    sizes = [int(n) for n in arguments.n.split(",")]
    results = {
        "device": f"{os.cpu_count()} cores, {cpu_name()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("quadzoo", "torch", "pillow", "numpy", "imagehash")},
        "sizes": {str(n): measure(n) for n in sizes},
    }
    (arguments.to / "results").mkdir(parents=True, exist_ok=True)
    (arguments.to / "results" / "data.json").write_text(json.dumps(results, indent=1) + "\n")
    (arguments.to / "DATA.md").write_text(table(results))


def measure(n: int) -> dict[str, dict[str, float]]:
    """Return seconds and MiB of each step over n images."""
    quadzoo = str(Path(sys.executable).parent / "quadzoo")
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["QUADZOO_CACHE_DIR"] = f"{scratch}/cache"
        data, out = f"{scratch}/data", f"{scratch}/out"
        decode = [sys.executable, "-c", DECODE, data]
        train = ["--backbones", "tiny_cnn", "--weights", "none", "--epochs", "1", "--out", out]
        return {
            "make": timed([quadzoo, "data", "make", data, "--n", str(n), "--labels", "true"]),
            "check": timed([quadzoo, "data", "check", data, "--json"]),
            "decode": timed(decode),
            "decoded": timed(decode),
            "train": timed([quadzoo, "bench", "--data", data, *train]),
        }


def timed(command: list[str]) -> dict[str, float]:
    """Run a command and return its seconds and its largest resident size in MiB."""
    clock = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit status {process.returncode}")
    return {"seconds": round(time.perf_counter() - clock, 1), "mib": round(usage.ru_maxrss / 1024)}


def table(results: dict) -> str:
    """Return one line a step and one column a size."""
    sizes = results["sizes"]
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    lines = [
        "# Time and memory, by the number of images",
        "",
        f"`python benchmarks/data.py`, once: seconds of the whole command and its largest resident size, on "
        f"{results['device']}. Python {results['python']}, {versions}. Equations of 300x100 pixels, RGBA.",
        "",
        "| step | " + " | ".join(f"{int(n):,} images" for n in sizes) + " |",
        "| --- |" + " --- |" * len(sizes),
    ]
    for step, name in STEPS.items():
        cells = [f"{one[step]['seconds']:,.1f} s, {one[step]['mib']:,} MiB" for one in sizes.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
