"""What limits a row is told: runs that differ, images that were seen before."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from quadzoo.cli.display import print_leaderboards
from quadzoo.records.record import Initial, RunRecord
from quadzoo.report.captions import captions
from quadzoo.report.columns import shown_columns
from quadzoo.report.leaderboard import leaderboards
from quadzoo.report.markdown import to_markdown
from quadzoo.report.page import to_html
from quadzoo.report.results import Run
from quadzoo.report.rows import Leaderboard
from quadzoo.report.tables import to_csv
from tests.report.records import board_of, record


def run(seed: int, precision: str = "32", val: float | None = 0.01, **where: Any) -> RunRecord:
    """A run of one combination, in an environment that differs in some fields."""
    one = record(f"{seed}{precision}", val, seed=seed, precision=precision)
    one.environment = one.environment.model_copy(update=where)
    return one


def trained(seed: int = 0, fold: int = 0, **overlap: int | None) -> RunRecord:
    """A run that started from a trained model; records of any version may say what the model had seen."""

    class Start(Initial):
        overlap: int | None = None
        overlap_val: int | None = None

    one = record(f"{seed}{fold}", 0.01, seed=seed, weights="reader")
    one.split.fold = fold
    one.initial = Start(key="k", sha256="s", **overlap)
    return one


def board_from(*records: RunRecord) -> Leaderboard:
    """The leaderboard of records that were never on disk."""
    (board,) = leaderboards([Run(one, Path()) for one in records])
    return board


def texts(board: Leaderboard) -> list[str]:
    return [caption.text for caption in captions(board)]


def headings(board: Leaderboard) -> list[str]:
    return [column.heading for column in shown_columns(board)]


def everywhere(board: Leaderboard, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Terminal, Markdown and page."""
    print_leaderboards([board])
    return [capsys.readouterr().out, to_markdown([board]), to_html([board], [])]


def test_a_row_that_mixes_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    libraries = {"timm": "1.0", "torchvision": "0.9", "pytorch-lightning": "2"}
    board = board_of(
        tmp_path,
        run(0, torch="2.10.0", threads=2, libraries=libraries),
        run(1, torch="2.9.1", threads=10, libraries=libraries | {"pytorch-lightning": "3"}),
        run(2, torch="2.9.1", threads=2, libraries=libraries | {"torchvision": "0.10"}),
        run(3, val=None, torch="failed"),
    )
    row = board.rows[0]
    assert row.mixed == "threads 2, 10; torch 2.9.1, 2.10.0; torchvision 0.9, 0.10; pytorch-lightning 2, 3"
    assert f"Runs of one row differ in what can change a score: net + mlp ({row.mixed})." in texts(board)
    assert all(output.count(row.mixed) >= 2 for output in everywhere(board, capsys))
    assert next(csv.DictReader(io.StringIO(to_csv([board]))))["mixed"] == row.mixed


def test_a_row_that_does_not_mix_says_nothing(tmp_path: Path) -> None:
    gpu = [run(seed, device="cuda", threads=seed + 1) for seed in (0, 1)]  # they only prepare images there
    board = board_of(tmp_path, *gpu)
    assert board.rows[0].mixed == ""
    assert "mixed" not in headings(board)
    assert not any("Runs of one row" in text for text in texts(board))
    assert next(csv.DictReader(io.StringIO(to_csv([board]))))["mixed"] == ""


def test_another_device_is_mixed(tmp_path: Path) -> None:
    board = board_of(tmp_path, run(0), run(1, device="cuda", device_name="gpu", compiled="graphs"))
    assert board.rows[0].mixed == "device c, gpu; compiled graphs, no"


def test_deterministic_kernels_are_another_condition_on_a_gpu_alone(tmp_path: Path) -> None:
    gpus = [run(seed, device="cuda", deterministic=bool(seed)) for seed in (0, 1)]
    assert board_of(tmp_path / "gpu", *gpus).rows[0].mixed == "deterministic no, yes"
    mixed = run(0), run(1, device="cuda", device_name="c", deterministic=False)
    assert board_of(tmp_path / "cpu", *mixed).rows[0].mixed == ""


def test_seeds_in_other_precisions_share_a_row(tmp_path: Path) -> None:
    (row,) = (row for row in board_of(tmp_path, run(0), run(1, "bf16")).rows if row.head != "-")
    assert (row.seeds, row.precision, row.mixed) == (2, "32, bf16", "precision 32, bf16")


def test_a_seed_in_several_precisions_has_a_row_for_each(tmp_path: Path) -> None:
    board = board_of(tmp_path, run(0), run(1), run(1, "bf16", val=0.02), run(2, "bf16", val=0.02))
    rows = [row for row in board.rows if row.head != "-"]
    assert [(row.precision, row.seeds, row.val_mse) for row in rows] == [("32", 2, 0.01), ("bf16", 2, 0.02)]
    assert [row.mixed for row in rows] == ["", ""]


def test_a_start_that_knew_test_images_is_leaky(capsys: pytest.CaptureFixture[str]) -> None:
    known = [trained(seed, fold, overlap=3 * fold, overlap_val=1) for seed in (0, 1) for fold in (0, 1)]
    board = board_from(*known)
    row = board.rows[0]
    assert row.leaky
    told = "net + mlp started from a model trained on 3 of the 8 test images and 2 of the 4 validation images"
    assert all(told in output for output in everywhere(board, capsys))
    assert f"**{told}" in to_markdown([board])
    table = list(csv.DictReader(io.StringIO(to_csv([board]))))
    assert [(one["backbone"], one["leaky"], one["overlap"]) for one in table] == [
        ("net", "True", "3"), ("mean-of-train", "False", ""), ("pixel-lookup", "False", ""),
    ]  # fmt: skip
    assert not any("unknown" in text for text in texts(board))


def test_a_start_that_knew_nothing_of_test_is_not_leaky() -> None:
    board = board_from(trained(overlap=0, overlap_val=0))
    assert not board.rows[0].leaky
    assert not any("trained on" in text or "unknown" in text for text in texts(board))


@pytest.mark.parametrize("says_so", [True, False])
def test_a_start_of_which_nobody_knows(says_so: bool, capsys: pytest.CaptureFixture[str]) -> None:
    one = trained(overlap=None)
    if not says_so:
        one.initial = Initial(key="k", sha256="s")
    board = board_from(one)
    assert not board.rows[0].leaky
    told = "net + mlp: overlap with the training images of reader unknown."
    assert all(told in output for output in everywhere(board, capsys))
