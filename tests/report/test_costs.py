"""What a row costs: medians, their spread, and runs that were made side by side."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from quadzoo.records.record import Cost, RunRecord
from quadzoo.report.costs import busy, costs_of, side_by_side
from quadzoo.report.results import read_runs
from tests.report.records import board_of, predict, record

Call = Callable[..., Any]
START = datetime(2026, 1, 1, tzinfo=UTC)


def timed(key: str, start: float, end: float, **changes: Any) -> RunRecord:
    """A run from one minute to another."""
    times = {"started": START + timedelta(minutes=start), "finished": START + timedelta(minutes=end)}
    return record(key, 0.01, seed=int(key), **times, **changes)


def test_one_slow_run_does_not_move_the_median() -> None:
    costs = [Cost(params=7, latency_ms=ms, fit_seconds=9.0) for ms in (2.0, 2.2, 40.0)]
    (cost,) = costs_of([record(str(n), 0.01, seed=n, cost=one) for n, one in enumerate(costs)], "", ())
    assert (cost.latency_ms, cost.fit_seconds, cost.params, cost.runs) == (2.2, 9.0, 7, 3)
    assert cost.spread == {"latency_ms": (2.0, 40.0)}  # nothing of figures that do not differ
    assert isinstance(cost.params, int)


def test_what_was_not_measured_in_some_runs_is_of_the_others() -> None:
    costs = [Cost(latency_ms=None), Cost(latency_ms=3.0, params=7), Cost(latency_ms=4.0, params=7)]
    (cost,) = costs_of([record(str(n), 0.01, seed=n, cost=one) for n, one in enumerate(costs)], "", ())
    assert (cost.latency_ms, cost.gmacs) == (3.5, None)
    assert cost.spread == {"latency_ms": (3.0, 4.0)}
    assert isinstance(cost.params, int)


def test_runs_beside_other_programs_are_named_unless_it_was_ours(tmp_path: Path) -> None:
    of_seeds = [1.0, 0.62, 0.9]
    board = board_of(
        tmp_path,
        *(
            timed(str(n), 2 * n, 2 * n + 1, cost=Cost(cpu_share=share), backbone="slow")
            for n, share in enumerate(of_seeds)
        ),
        timed("3", 10, 11, cost=Cost(cpu_share=0.95), backbone="fast"),
        timed("4", 20, 22, cost=Cost(cpu_share=0.4), backbone="beside"),
        timed("5", 21, 23, cost=Cost(cpu_share=0.4), backbone="beside"),
    )
    told = busy(board)
    assert "slow" in told
    assert "(62.0%)" in told
    assert "fast" not in told
    assert "beside" not in told  # side by side: another sentence says so


@pytest.mark.parametrize(
    ("times", "crowded"),
    [
        ([(0, 2), (2, 4), (4, 6)], ""),
        ([(0, 3), (2, 4), (4, 6)], "01"),
        ([(0, 9), (1, 2), (3, 4), (10, 11)], "012"),
        ([(5, 6), (0, 9), (9, 10)], "01"),
        ([(0, 5), (1, 6), (5.5, 7), (8, 9)], "012"),
        ([(0, 5), (0, 5)], "01"),
    ],
)
def test_runs_whose_times_overlap_are_found(
    times: list[tuple[float, float]], crowded: str, tmp_path: Path
) -> None:
    board_of(tmp_path, *(timed(str(number), *ends) for number, ends in enumerate(times)))
    assert side_by_side(read_runs([tmp_path]).runs) == {*crowded}


def test_other_devices_and_other_folders_are_no_neighbours(tmp_path: Path) -> None:
    elsewhere = timed("1", 0, 5)
    elsewhere.environment.device_name = "other"
    board_of(tmp_path / "a", timed("0", 0, 5), elsewhere)
    board_of(tmp_path / "b", timed("2", 0, 5))
    runs = read_runs([tmp_path / "a", tmp_path / "b"]).runs
    assert len(runs) == 3
    assert side_by_side(runs) == frozenset()
    # Of two GPUs of one name, each has its own runs.
    gpus = [timed(str(number), 0, 5) for number in range(3)]
    for one, gpu in zip(gpus, ("aa", "bb", "aa"), strict=True):
        one.environment.device, one.environment.device_name, one.environment.gpu = "cuda", "H100", gpu
    board_of(tmp_path / "gpus", *gpus)
    assert side_by_side(read_runs([tmp_path / "gpus"]).runs) == {"0", "2"}
    # Fewer threads are another row of costs, but the same CPU.
    fewer = timed("3", 1, 2)
    fewer.environment.threads = 2
    board_of(tmp_path / "a", fewer)
    assert side_by_side(read_runs([tmp_path / "a"]).runs) == {"0", "3"}


def test_other_nodes_of_a_cluster_are_no_neighbours(tmp_path: Path) -> None:
    runs = [timed(str(number), 0, 5) for number in range(3)]
    for run, machine in zip(runs, ("0a", "0b", "0b"), strict=True):
        run.environment.machine = machine
    board_of(tmp_path, *runs)
    assert side_by_side(read_runs([tmp_path]).runs) == {"1", "2"}


def test_every_output_has_spread_and_mark(tmp_path: Path, quadzoo: Call) -> None:
    for number, (start, latency) in enumerate(((0, 2.0), (1, 3.0), (7, 50.0))):
        cost = Cost(latency_ms=latency, fit_seconds=10.0 * latency, train_images_per_second=100 / latency)
        board_of(tmp_path, timed(str(number), start, start + 4, cost=cost))
        predict(tmp_path, str(number), [0.1, 0.2, 0.3])
    alone = timed("3", 20, 21, backbone="alone", cost=Cost(latency_ms=1.0))
    board_of(tmp_path, alone)
    result = quadzoo("report", tmp_path)
    assert result.status == 0
    told = "slower than they are alone: net + mlp (2 of 3 runs)."
    assert told in result.out
    for name in ("leaderboard.md", "leaderboard.html"):
        assert told in (tmp_path / name).read_text()
    with (tmp_path / "leaderboard.csv").open(newline="") as file:
        rows = {row["backbone"]: row for row in csv.DictReader(file)}
    row = rows["net"]
    assert [row[f"latency_ms{end}"] for end in ("_min", "", "_max")] == ["2.0", "3.0", "50.0"]
    assert [row[f"fit_seconds{end}"] for end in ("_min", "", "_max")] == ["20.0", "30.0", "500.0"]
    assert [row[f"train_images_per_second{end}"] for end in ("_min", "_max")] == ["2.0", "50.0"]
    assert (row["side_by_side"], rows["alone"]["side_by_side"]) == ("2", "0")
    assert (rows["alone"]["latency_ms"], rows["alone"]["latency_ms_min"]) == ("1.0", "")
    document = json.loads((tmp_path / "leaderboard.json").read_text())
    (cost,) = next(row["costs"] for row in document["rows"] if row["backbone"] == "net")
    assert (cost["spread"]["latency_ms"], cost["side_by_side"]) == ([2.0, 50.0], 2)
    page = (tmp_path / "leaderboard.html").read_text()
    assert "<td>3 (2 side by side)</td>" in page
    assert "<td>3 (2 – 50)</td>" in page
