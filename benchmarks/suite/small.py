"""Two sets of the suite, small: does a network with the default recipe beat the rows without one?

    python benchmarks/suite/small.py

builds 400 of scikit-learn's digits and 300 of the tutorial's dials, for which nothing is downloaded, and
benches tiny_cnn on each by the command line. It exits with status 1 where the network's val MSE is not below
that of the best row without a network. About a minute on two cores.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import make
import sets

BENCHES = {
    "digits": (lambda: sets.digits(400), ["--targets", "digit"]),
    "dials": (lambda: sets.dials(300), ["--targets", "speed,fuel", "--image-size", "64x112"]),
}


def verdict(rows: list[dict[str, Any]]) -> tuple[bool, str]:
    """Return whether the best network by val beats the best row without a network, and both in words.

    ``rows`` are those of a leaderboard.json.
    """
    best = {}
    for kind, of_kind in (("network", [row for row in rows if row["seeds"]]),
                          ("baseline", [row for row in rows if not row["seeds"]])):  # fmt: skip
        scored = [row for row in of_kind if row["val_mse"] is not None]
        if not scored:
            return False, f"no {kind} has a val MSE"
        best[kind] = min(scored, key=lambda row: row["val_mse"])
    network, baseline = best["network"], best["baseline"]
    return network["val_mse"] < baseline["val_mse"], ", ".join(
        f"{row['backbone']} val MSE {row['val_mse']:.3g} (test {row['test_mse']:.3g})"
        for row in (network, baseline)
    )


def main() -> None:
    """Build, bench, compare."""
    lost = False
    with tempfile.TemporaryDirectory() as temporary:
        for name, (rows, flags) in BENCHES.items():
            folder = Path(temporary) / name
            make.write(folder, rows())
            command = [
                sys.executable, "-c", "from quadzoo.cli import main; main()", "bench",
                "--data", folder / "table.csv", "--images", folder / "images",
                "--backbones", "tiny_cnn", "--out", folder / "results", *flags,
            ]  # fmt: skip
            subprocess.run(list(map(str, command)), check=True, stdout=sys.stderr)
            board = json.loads((folder / "results" / "leaderboard.json").read_text(encoding="utf-8"))
            won, words = verdict(board["rows"])
            print(f"{name}: {'won' if won else 'LOST'}: {words}", flush=True)
            lost |= not won
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    main()
