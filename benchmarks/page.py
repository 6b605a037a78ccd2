"""How large is the page, and how soon can it be used? Leaderboards of 10, 100 and 500 rows × 5 seeds.

    python benchmarks/page.py

It needs Chromium on the path and quadzoo[test]. Records and predictions (400 test images a run) are made
up; seconds are from asking for the file to the table being sorted by another column. It writes
results/page.json and prints it.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, sync_playwright

from quadzoo.records import predictions
from quadzoo.records.record import PREDICTIONS, RunRecord, read_records, run_folder, write_record
from quadzoo.report.files import write_report
from quadzoo.report.leaderboard import leaderboards
from quadzoo.report.results import read_runs

HERE = Path(__file__).parent
SEEDS = 5
N_TEST = 400


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", default="10,100,500")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--to", type=Path, default=HERE, help="folder of results/page.json")
    arguments = parser.parse_args()
    (model,) = read_records(HERE / "results" / "leaderboard")[:1]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        sizes = [int(rows) for rows in arguments.rows.split(",")]
        measured = [measure(rows, arguments.repeats, model, browser) for rows in sizes]
        result = {
            "chromium": browser.version,
            "machine": platform.processor() or platform.machine(),
            "measured": datetime.now(UTC).isoformat(timespec="seconds"),
            "pages": measured,
        }
        browser.close()
    (arguments.to / "results").mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1) + "\n"
    (arguments.to / "results" / "page.json").write_text(text)
    print(text)


def measure(rows: int, repeats: int, model: RunRecord, browser: Browser) -> dict[str, float]:
    """Write a leaderboard, and open and sort its page several times."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        for row in range(rows):
            for seed in range(SEEDS):
                write(out, model, row, seed)
        clock = time.perf_counter()
        results = read_runs([out])
        write_report(out, leaderboards(results.runs, answers=results.answers), results)
        report_seconds = time.perf_counter() - clock
        page = out / "leaderboard.html"
        taken = [first_sort(page, browser) for _ in range(repeats)]
        return {
            "rows": rows,
            "seeds": SEEDS,
            "megabytes": page.stat().st_size / 1e6,
            "report_seconds": report_seconds,
            "first_sort_seconds": statistics.median(taken),
            "first_sort_seconds_highest": max(taken),
            "n": repeats,
        }


def write(out: Path, model: RunRecord, row: int, seed: int) -> None:
    """Write one run, with made-up predictions."""
    rng = np.random.default_rng([row, seed])
    record = model.model_copy(deep=True, update={"backbone": f"net_{row:03d}", "seed": seed})
    code = record.provenance
    code.backbone = code.backbone.model_copy(update={"name": record.backbone})
    record.split.n_test = N_TEST
    record.files = {}  # nor are its scores those of these predictions
    record.key = record.identity.key
    write_record(out, record)
    ids = [f"eqn_{number:04d}" for number in range(N_TEST)]
    truth = rng.integers(1, 20, (N_TEST, len(model.targets))).astype(float)
    table = predictions.to_csv(
        ["test"] * N_TEST,
        ids,
        truth,
        truth + rng.normal(0, 1 + row / 100, truth.shape),
        targets=model.targets,
        groups=ids,
        kinds=["ax² + bx + c = 0", "ax² + bx = c"] * (N_TEST // 2),
    )
    (run_folder(out, record.key) / PREDICTIONS).write_bytes(table)


def first_sort(page: Path, browser: Browser) -> float:
    """Return the seconds until the page is sorted by test MSE."""
    tab = browser.new_page()
    clock = time.perf_counter()
    tab.goto(page.as_uri())
    tab.get_by_role("button", name="test MSE", exact=True).click()
    tab.wait_for_selector("th[aria-sort]:has-text('test MSE')")
    seconds = time.perf_counter() - clock
    tab.close()
    return seconds


if __name__ == "__main__":
    main()
