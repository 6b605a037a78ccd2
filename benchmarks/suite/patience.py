"""Would stopping early help? From the committed runs of the suite, nothing is trained.

    python benchmarks/suite/patience.py

A run is stopped where its val MSE has not become lower for a share of its validations. For each share it says
how many of the runs stop, how much time that saves, and what it costs: the lowest val MSE before the stop,
divided by that of the whole run. It writes benchmarks/results/patience.json.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path

from quadzoo.records.record import read_records

RESULTS = Path(__file__).parents[1] / "results"
SHARES = (0.1, 0.2, 0.3, 0.4)
MUCH = 1.05  # times the val MSE


def main() -> None:
    text = json.dumps(found(), indent=1)
    (RESULTS / "patience.json").write_text(text + "\n", encoding="utf-8")
    print(text)


def found() -> dict[str, object]:
    """Return what the committed runs of the suite give."""
    curves = [
        [epoch.val_mse for epoch in record.history if epoch.val_mse is not None]
        for folder in sorted((RESULTS / "suite").iterdir())
        if (folder / "runs").is_dir()
        for record in read_records(folder)
        if record.status == "ok"
    ]
    return {"runs": len(curves), "patience": [stopped(curves, share) for share in SHARES]}


def stopped(curves: list[list[float]], share: float) -> dict[str, float]:
    """Return what becomes of val curves that are stopped after a share of their length without a gain."""
    costs, saved = [], []
    for curve in curves:
        patience, best, end = max(1, round(share * len(curve))), 0, len(curve)
        for at, value in enumerate(curve):
            if value < curve[best]:
                best = at
            elif at - best >= patience:
                end = at + 1
                break
        costs.append(curve[best] / min(curve))
        saved.append(1 - end / len(curve))
    return {
        "share": share,
        "stopped": sum(one > 0 for one in saved),
        "time saved": round(statistics.fmean(saved), 3),
        "val MSE, times": round(statistics.geometric_mean(costs), 3),
        "at worst": round(max(costs), 2),
        "worse by more than 5 %": sum(cost > MUCH for cost in costs),
    }


if __name__ == "__main__":
    main()
