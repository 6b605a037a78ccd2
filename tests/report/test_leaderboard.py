"""Records to rows, on records made by hand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quadzoo.records.baseline import read_baseline, write_baseline
from quadzoo.records.record import Cost, write_record
from quadzoo.report.captions import task
from quadzoo.report.leaderboard import leaderboards
from quadzoo.report.markdown import to_markdown
from quadzoo.report.page import to_html
from quadzoo.report.results import read_runs
from tests.report.judged import N, answer, by_name, row_of
from tests.report.records import board_of, predict, record

RNG = np.random.default_rng(1)


def test_sorted_by_val_never_by_test(tmp_path: Path) -> None:
    board = board_of(
        tmp_path,
        record("1", 0.02, 0.001, backbone="lucky"),
        record("2", 0.01, 0.05, backbone="better"),
        record("3", 0.2, backbone="worse"),
        record("4", None, backbone="broken"),
    )
    assert [(row.rank, row.backbone) for row in board.rows] == [
        (1, "better"), (2, "lucky"), (None, "mean-of-train"), (None, "pixel-lookup"), (3, "worse"),
        (None, "broken"),
    ]  # fmt: skip
    assert board.failed == 1


def test_seeds_are_averaged(tmp_path: Path) -> None:
    board = board_of(
        tmp_path, record("1", 0.01, seed=0), record("2", 0.03, seed=1), record("3", None, seed=2)
    )
    row = board.rows[0]
    assert (row.seeds, row.failed) == (2, 1)
    assert row.val_mse == pytest.approx(0.02)
    assert row.test_rmse == pytest.approx({"y": 10 * 0.02**0.5})  # as the squares
    assert [(f.seed, f.error) for f in row.failures] == [(2, "NonFiniteLoss: is nan | <b>")]


def test_interval_is_of_images_and_seeds(tmp_path: Path) -> None:
    base = RNG.normal(0, 1, 300)
    for key, seed, shift in (("1", 0, 0.9), ("2", 1, 1.0), ("3", 2, 1.2)):
        write_record(tmp_path, record(key, 0.01, seed=seed))
        predict(tmp_path, key, base * shift)
    row = board_of(tmp_path).rows[0]
    one = board_of(tmp_path / "one", record("1", 0.01))
    predict(tmp_path / "one", "1", base)
    alone = board_of(tmp_path / "one").rows[0]
    assert one.rows[0].test_mse_low is None  # without predictions
    assert row.test_mse_low is not None
    assert alone.test_mse_low is not None
    mean = (base**2).mean() / 100
    # The normal approximation of what images alone leave open.
    half = 1.96 * (base**2).std() / 100 / len(base) ** 0.5
    assert alone.test_mse_low == pytest.approx(mean - half, rel=0.1)
    assert alone.test_mse_high == pytest.approx(mean + half, rel=0.1)
    assert row.test_mse_low < 0.8 * alone.test_mse_low


def test_images_of_a_group_count_once(tmp_path: Path) -> None:
    base = RNG.normal(0, 1, 100)
    twice = np.concatenate([base, base])
    ends = []
    for name, errors, groups in (
        ("single", base, range(100)),
        ("twins", twice, [*range(100), *range(100)]),
        ("strangers", twice, range(200)),
    ):
        write_record(tmp_path / name, record("1", 0.01))
        predict(tmp_path / name, "1", errors, image_group=[f"g{group}" for group in groups])
        row = board_of(tmp_path / name).rows[0]
        ends.append((row.test_mse_low, row.test_mse_high))
    assert ends[0] == pytest.approx(ends[1])
    assert ends[0][1] - ends[0][0] > 1.2 * (ends[2][1] - ends[2][0])


@pytest.mark.parametrize(("seeds", "evidence"), [(1, "smoke"), (2, "smoke"), (3, "screen"), (6, "publish")])
def test_evidence(seeds: int, evidence: str, tmp_path: Path) -> None:
    board = board_of(tmp_path, *(record(str(seed), 0.01, seed=seed) for seed in range(seeds)))
    assert board.evidence == evidence


def test_evidence_is_that_of_the_least_tested_row(tmp_path: Path) -> None:
    records = [record(str(seed), 0.01, seed=seed) for seed in range(6)]
    assert board_of(tmp_path, *records, record("x", 0.1, backbone="other")).evidence == "smoke"
    assert board_of(tmp_path / "none", record("x", None)).evidence is None


def test_other_data_or_split_has_its_own_table(tmp_path: Path) -> None:
    other = record("2", 0.01, backbone="other")
    other.data.hash = "X"
    for one in (record("1", 0.5), record("3", 0.4, seed=1), other):
        write_record(tmp_path, one)
    boards = leaderboards(read_runs([tmp_path])[0])
    assert [board.data.hash for board in boards] == ["D", "X"]
    assert [row.backbone for row in boards[1].rows if row.head != "-"] == ["other"]
    assert boards[0].rows[-1].seeds == 2
    assert [board.title for board in boards] == ["d, split grouped, data D", "d, split grouped, data X"]
    assert [task(board).split(";")[0] for board in boards] == [
        f"d: 10 images, 1 of them duplicates (data {name})" for name in "DX"
    ]
    for text in (to_markdown(boards), to_html(boards, [])):
        assert text.count("split grouped, data X") >= 1
    assert leaderboards(read_runs([tmp_path])[0][:1])[0].title == "d, split grouped"


@pytest.mark.parametrize(
    ("changes", "apart"),
    [({"division": "X"}, ["division S", "division X"]), ({"targets": ["z"]}, ["targets y", "targets z"])],
)
def test_tables_of_one_name_are_told_apart(tmp_path: Path, changes: dict[str, Any], apart: list[str]) -> None:
    other = record("2", 0.01)
    other.split.hash = changes.get("division", "S")
    if "targets" in changes:
        other = other.model_copy(
            update={
                "targets": ["z"],
                "metrics": other.metrics.model_copy(update={"test_rmse": {"z": 1.0}, "test_r2": {"z": 0.5}}),
                "baselines": {},
            }
        )
    for one in (record("1", 0.5), other):
        write_record(tmp_path, one)
    boards = leaderboards(read_runs([tmp_path])[0])
    assert [board.title for board in boards] == [f"d, split grouped, {text}" for text in apart]


def test_folds_are_put_together(tmp_path: Path) -> None:
    for fold, errors in enumerate((np.linspace(1, 2, 10), np.linspace(3, 4, 10))):
        one = record(str(fold), 0.01, 0.02)
        one.split.fold, one.split.folds = fold, 2
        write_record(tmp_path, one)
        predict(tmp_path, str(fold), errors)
        path = tmp_path / "runs" / str(fold) / "predictions.csv"
        path.write_text(re.sub(r"\bp(\d,)", rf"p{fold}\1", path.read_text()))
    row = board_of(tmp_path).rows[0]
    assert row.seeds == 1
    assert [curve.fold for curve in row.details.curves] == [0, 1]
    assert row.test_mse_low is not None
    mean = np.mean([np.linspace(1, 2, 10) ** 2, np.linspace(3, 4, 10) ** 2]) / 100
    assert row.test_mse_low < mean < (row.test_mse_high or 0)


def test_costs_are_grouped_by_device(tmp_path: Path) -> None:
    runs = [record(str(seed), 0.01, seed=seed, cost=Cost(latency_ms=2.0 + seed)) for seed in range(3)]
    quick = record("q", 0.02, backbone="elsewhere", cost=Cost(latency_ms=0.1))
    strange = record("s", 0.01, seed=3, cost=Cost(latency_ms=50.0))
    for one in (quick, strange):
        one.environment.device_name = "other"
    board = board_of(tmp_path, *runs, quick, strange)
    rows = {row.backbone: row for row in board.rows}
    assert board.devices == ["c, 1 thread", "other, 1 thread"]
    assert (rows["net"].cost.latency_ms, rows["net"].cost.runs) == (3.0, 3)
    assert [cost.device for cost in rows["net"].costs] == board.devices
    assert rows["elsewhere"].cost.device == "other, 1 thread"


def test_details(tmp_path: Path) -> None:
    one = record("1", 0.01, seed=4, worst=["p2", "p0"], history=[{"train_mse": 0.2, "val_mse": 0.1}])
    one.target_integer = [True]
    write_record(tmp_path, one)
    predict(tmp_path, "1", [1.0, 0.1, -2.0, 0.2], image_kind=["u", "u", "v", "v"])
    details = board_of(tmp_path).rows[0].details
    assert [(kind.kind, kind.n, kind.test_exact) for kind in details.kinds] == [("u", 2, 0.5), ("v", 2, 0.5)]
    assert [kind.test_mse for kind in details.kinds] == pytest.approx([0.00505, 0.0202])
    assert [(worst.id, worst.position) for worst in details.worst] == [("p2", 0), ("p0", 1)]
    assert (details.worst[0].truth, details.worst[0].prediction) == ({"y": 5.0}, {"y": 3.0})
    assert (details.worst_seed, details.curves[0].val_mse) == (4, [0.1])
    (part,) = details.bins["y"]
    assert (part.n, part.rmse) == (4, pytest.approx(((1 + 0.01 + 4 + 0.04) / 4) ** 0.5))


def test_the_command_repeats_all_seeds(tmp_path: Path) -> None:
    flags = {"--data": "./my images.csv", "--epochs": "2"}
    board = board_of(tmp_path, *(record(str(seed), 0.01, seed=seed, flags=flags) for seed in (3, 1)))
    assert board.rows[0].command == (
        "quadzoo bench --backbones net --heads mlp --seeds 1,3 --data './my images.csv' --epochs 2"
    )


def test_a_baseline_of_other_images_is_not_counted(tmp_path: Path) -> None:
    """One that an interrupted bench at another image size has left behind belongs to no row."""
    row_of(tmp_path, "good", 1.0, seeds=[0, 1, 2])
    answer(tmp_path, "ridge-pixels", np.ones(N), val=0.02)
    before = by_name(board_of(tmp_path))["ridge-pixels"]
    (own,) = [path for path in (tmp_path / "baselines").iterdir()]
    kept = read_baseline(tmp_path, own.name)
    assert kept
    kept.key, kept.metrics.val_mse = "0" * 16, 1e-9
    write_baseline(tmp_path, kept, (own / "predictions.csv").read_bytes())
    assert by_name(board_of(tmp_path))["ridge-pixels"] == before
