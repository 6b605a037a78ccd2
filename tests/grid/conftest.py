from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def records(out: Path) -> list[dict[str, Any]]:
    """All records of a results folder, as an outside reader would read them."""
    return [json.loads(path.read_text()) for path in sorted(out.glob("runs/*/record.json"))]


def loaded(discs: Path, folder: Path) -> tuple[Any, Any]:
    """The plan that starts from a run on the discs, and its module, ready to predict."""
    from quadzoo.cli.display import Display
    from quadzoo.executors.local import Executor
    from quadzoo.grid.config import BenchConfig
    from quadzoo.grid.runner import plan_bench
    from quadzoo.training.run import build_module

    config = BenchConfig(
        data=str(discs / "discs.csv"), images=discs / "photos", targets=("radius", "x"), id_column="file",
        init=str(folder), recipe={"epochs": 0},
    )  # fmt: skip
    with Display() as display:
        (run,) = plan_bench(config, Executor(), display).runs
    return run, build_module(run).eval()
