"""Does `--halving` find what a full search finds, and at what cost? A grid of 12 combinations, both ways.

    python benchmarks/halving.py

Four backbones, from scratch, with three heads each, on drawn equations, three seeds, all on the CPU: once in
full, once with `--halving`. Runs of one key have the same digits, so that halving can only lose what it has
stopped. It has kept the best of the full search where the row that it ends with has a test MSE below the
upper end of the 95 % interval of the full search's best row. The cost is the time of the whole command, so
that nothing else should run. It writes results/halving.json and, from that and other files, SCALING.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from records import timed
from scaling_page import write_page

from quadzoo.data.equations import write_folder
from quadzoo.records.record import read_records

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbones", default="tiny_cnn,resnet10t,resnet18,mobilenetv3_small_050")
    parser.add_argument("--heads", default="mlp,linear,spatial")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--n", type=int, default=400, help="images")
    parser.add_argument("--to", type=Path, default=HERE, help="folder of results/ and SCALING.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["QUADZOO_CACHE_DIR"] = f"{scratch}/cache"
        write_folder(Path(scratch) / "data", arguments.n, seed=0)
        command = [
            "bench", "--data", f"{scratch}/data", "--weights", "none", "--device", "cpu", "--precision", "32",
            "--backbones", arguments.backbones, "--heads", arguments.heads, "--seeds", arguments.seeds,
            "--epochs", str(arguments.epochs),
        ]  # fmt: skip
        full = searched(Path(scratch) / "full", *command)
        halved = searched(Path(scratch) / "halved", *command, "--halving")
        record = read_records(Path(scratch) / "full")[0]
    best = full["rows"][0]
    found = next(row for row in full["rows"] if row["name"] == halved["rows"][0]["name"])
    result = {
        "command": ["python", "benchmarks/halving.py", *sys.argv[1:]],
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": record.environment.device_name,
        "threads": record.environment.threads,
        "python": sys.version.split()[0],
        "torch": version("torch"),
        "images": arguments.n,
        "epochs": arguments.epochs,
        "seeds": arguments.seeds.split(","),
        "full": full,
        "halved": halved,
        "cost": halved["seconds"] / full["seconds"],
        "found": found["name"],
        "place": full["rows"].index(found) + 1,
        "kept": best["test_mse_high"] is not None and found["test_mse"] <= best["test_mse_high"],
    }
    (arguments.to / "results").mkdir(parents=True, exist_ok=True)
    (arguments.to / "results" / "halving.json").write_text(json.dumps(result, indent=1) + "\n")
    write_page(arguments.to)


def searched(out: Path, *command: str) -> dict[str, Any]:
    """Run a bench; return what it took, and its rows with a rank, the best by val first."""
    took = timed(*command, "--out", str(out))
    board = json.loads((out / "leaderboard.json").read_text())
    rows = [
        {"name": f"{row['backbone']} + {row['head']}"}
        | {name: row[name] for name in ("val_mse", "test_mse", "test_mse_low", "test_mse_high")}
        for row in board["rows"]
        if row["rank"]
    ]
    stopped = sum(row["halved"] is not None for row in board["rows"])
    return {**took, "rows": rows, "stopped": stopped}


def page(result: dict[str, Any]) -> list[str]:
    """Return what was found as lines of Markdown."""
    full, halved = result["full"], result["halved"]
    best = full["rows"][0]
    lines = [
        "## Half of the search: `--halving`",
        "",
        f"`{' '.join(result['command'])}`, once: {len(full['rows'])} combinations, {len(result['seeds'])} "
        f"seeds, {result['epochs']} epochs, {result['images']} equations. {result['device']}, "
        f"{result['threads']} threads, Python {result['python']}, torch {result['torch']}. Time of the whole "
        "command.",
        "",
        "| search | trained in full | time | best by val | its val MSE | its test MSE |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, one in (("full", full), ("`--halving`", halved)):
        first = one["rows"][0]
        lines.append(
            f"| {name} | {len(one['rows'])} rows | {one['seconds']:,.0f} s | {first['name']} "
            f"| {first['val_mse']:.3g} | {first['test_mse']:.3g} |"
        )
    where = "within" if result["kept"] else "NOT within"
    high = "-" if best["test_mse_high"] is None else f"{best['test_mse_high']:.3g}"
    return [
        *lines,
        "",
        f"Halving ends with the row in place {result['place']} of the full search, at {result['cost']:.0%} "
        f"of its cost. Its test MSE is {where} the 95 % interval of the full search's best, whose upper end "
        f"is {high}.",
    ]


if __name__ == "__main__":
    main()
