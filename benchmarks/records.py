"""How long do plan, report and verify take with very many records?

    python benchmarks/records.py

`made_up.py` writes 2,000 and 10,000 records, of rows × 5 seeds, each with predictions of about 360 images
(val and test of 1,000 equations); nothing is trained. Then come the real commands: `quadzoo bench --dry-run`
with all runs done, `quadzoo report`, `quadzoo verify --no-weights`. CPU seconds are those of the command and
of the processes that it waits for, memory the largest resident size of a process. It writes
results/records.json and, from that and other files, SCALING.md. With 10,000 records it takes some minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from made_up import as_flags, flags_of, plan_of, write_results
from scaling_page import plot, write_page

HERE = Path(__file__).parent
SEEDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", default="2000,10000", help="what the file has of others stays there")
    parser.add_argument("--to", type=Path, default=HERE, help="folder of results/ and SCALING.md")
    arguments = parser.parse_args()
    file = arguments.to / "results" / "records.json"
    before = json.loads(file.read_text())["records"] if file.exists() else {}
    measured = before | {n: measure(int(n) // SEEDS) for n in arguments.records.split(",")}
    result = {
        "command": ["python", "benchmarks/records.py"],
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": processor(),
        "cpus": os.cpu_count(),
        "python": sys.version.split()[0],
        "versions": {name: version(name) for name in ("quadzoo", "pandas", "numpy", "pydantic")},
        "records": dict(sorted(measured.items(), key=lambda one: int(one[0]))),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=1) + "\n")
    write_page(arguments.to)


def processor() -> str:
    """Return the name of the CPU."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(line.split(": ")[1] for line in lines if line.startswith("model name"))


def measure(rows: int) -> dict[str, dict[str, float]]:
    """Return seconds, CPU seconds and MiB of each command over so many rows, and the sizes of the tables."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        os.environ["QUADZOO_CACHE_DIR"] = f"{scratch}/cache"
        plan = plan_of(scratch, rows, SEEDS)
        write_results(plan)
        out = str(plan.config.out)
        flags = as_flags(flags_of(scratch, rows, SEEDS))
        found = {
            "plan": timed("bench", *flags, "--out", out, "--dry-run", "--json"),
            "report": timed("report", out),
            "verify": timed("verify", out, "--no-weights"),
        }
        sizes = {path.suffix[1:]: path.stat().st_size / 1e6 for path in plan.config.out.glob("leaderboard.*")}
        return {**found, "megabytes": sizes}


def timed(*command: str) -> dict[str, float]:
    """Run a command of quadzoo and return what it took."""
    clock = time.perf_counter()
    words = [sys.executable, "-c", "from quadzoo.cli import main; main()", *command]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"quadzoo {command[0]}: exit status {process.returncode}")
    return {
        "seconds": time.perf_counter() - clock,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "mib": usage.ru_maxrss / 1024,
    }


def page(result: dict[str, Any]) -> list[str]:
    """Return tables and plots as lines of Markdown."""
    records = result["records"]
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    lines = [
        "## With the records",
        "",
        f"`{' '.join(result['command'])}`, once, nothing trained: 5 seeds a row, predictions of about 360 "
        f"images a run. {result['device']}, {result['cpus']} CPUs, Python {result['python']}, {versions}. "
        "CPU seconds of the whole command, with imports, and its largest resident size. The page shows the "
        "best 200 rows and says where all are.",
        "",
        "| records | plan (`bench --dry-run`) | `report` | `verify` | page | csv | json |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for n, one in records.items():
        cells = [
            f"{one[name]['cpu_seconds']:.1f} s, {one[name]['mib']:,.0f} MiB"
            for name in ("plan", "report", "verify")
        ]
        cells += [f"{one['megabytes'][kind]:.1f} MB" for kind in ("html", "csv", "json")]
        lines.append(f"| {int(n):,} | " + " | ".join(cells) + " |")
    for name in ("plan", "report", "verify"):
        bars = {f"{int(n):,}": one[name]["cpu_seconds"] for n, one in records.items()}
        lines += ["", *plot(f"CPU seconds of {name}, by records", "s", bars)]
    return lines


if __name__ == "__main__":
    main()
