"""Runs on shares of the training images: in no row of the main table, and in a section of their own."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from quadzoo.cli.display import print_leaderboards
from quadzoo.records.record import Cost, run_folder, write_record
from quadzoo.report.answer import answers
from quadzoo.report.captions import captions
from quadzoo.report.files import SHARES, write_report
from quadzoo.report.leaderboard import leaderboards
from quadzoo.report.learning import explained, sentences, share_columns
from quadzoo.report.markdown import to_markdown
from quadzoo.report.page import to_html
from quadzoo.report.results import read_runs
from quadzoo.report.rows import Leaderboard
from quadzoo.report.tables import shares_to_csv, to_csv, to_json
from quadzoo.report.verify import verify
from tests.report.records import of_share, predict, write_shares

from ..conftest import Result


def only(out: Path) -> Leaderboard:
    (board,) = leaderboards(read_runs([out]).runs)
    return board


def test_smaller_shares_are_in_no_row_of_the_main_table(tmp_path: Path) -> None:
    write_shares(tmp_path)
    board = only(tmp_path)
    assert [(row.backbone, row.seeds, row.n_train) for row in board.rows if row.head != "-"] == [
        ("net", 3, 400)
    ]
    assert (board.split.hash, board.split.train_share, board.split.n_train) == ("S", 1.0, 400)
    curve = next(curve for curve in board.shares if curve.name == "net + mlp")
    assert [(row.train_share, row.n_train, row.seeds, row.rank) for row in curve.rows][:2] == [
        (0.25, 100, 3, None), (0.5, 200, 3, None),
    ]  # fmt: skip
    ridge = next(curve for curve in board.shares if curve.name == "ridge-pixels")
    assert [row.val_mse for row in ridge.rows] == pytest.approx([0.2, 0.1, 0.05])
    assert ridge.law is None
    for folder in tmp_path.glob("runs/*-0.*"):
        shutil.rmtree(folder)
    assert only(tmp_path).shares == []
    assert only(tmp_path).rows == board.rows


def test_the_law_the_factor_and_the_withheld_share(tmp_path: Path) -> None:
    write_shares(tmp_path, exponent=0.5)
    (curve,) = (curve for curve in only(tmp_path).shares if curve.law)
    law = curve.law
    assert law
    assert law.exponent == pytest.approx(0.5, abs=0.15)
    assert law.factor_low < 2**-0.5 < law.factor_high < 1
    assert law.factor == pytest.approx(2**-law.exponent)
    assert [law.line[0].n_train, law.line[-1].n_train] == pytest.approx([100, 800])
    held = law.withheld
    assert held
    assert held.n_train == 400
    assert held.low < held.seen < held.high
    assert held.seen == pytest.approx(curve.rows[-1].test_mse)


def test_what_is_said(tmp_path: Path) -> None:
    for name, given, expected in (
        ("helps", {}, "Twice the images: about 0.7"),
        ("flat", {"exponent": 0.0}, "Whether more images help cannot be said yet."),
        ("noisy", {"spread": 2.0, "seeds": 1}, "That is too uncertain to plan with: more shares"),
        ("two", {"shares": [0.5, 1.0]}, "no power law is fitted to 2 shares with predictions: it takes"),
    ):  # fmt: skip
        write_shares(tmp_path / name, **given)  # type: ignore[arg-type]
        board = only(tmp_path / name)
        (text,) = sentences(board)
        assert expected in text
        assert answers(board)["Would more images help?"] == text
    assert "times the error (" in sentences(only(tmp_path / "helps"))[0]
    assert "seen: " in sentences(only(tmp_path / "helps"))[0]
    assert "seen: " not in sentences(only(tmp_path / "noisy"))[0]  # two shares of one seed predict nothing


def test_a_law_that_the_largest_share_breaks_is_not_to_be_relied_on(tmp_path: Path) -> None:
    write_shares(tmp_path, shares=[0.25, 0.5])
    for seed in range(3):
        write_record(tmp_path, of_share(f"x{seed}", 1.0, 1.0, seed=seed))
        predict(tmp_path, f"x{seed}", np.random.default_rng(0).normal(0, 10, 60))
    assert "do not rely on the factor" in sentences(only(tmp_path))[0]


@pytest.mark.parametrize(
    ("recipes", "expected"),
    [
        ([{"epochs": 2}], ", so that smaller shares took fewer steps."),
        ([{"epochs": 2, "batch_size": 500}], ", so that smaller shares took about as many steps."),
        (
            [{"epochs": "auto", "batch_size": 16}],
            ", by which smaller shares took more epochs, but fewer steps.",
        ),
        (
            [{"epochs": "auto", "batch_size": 64}],
            ", by which smaller shares took more epochs and about as many steps.",
        ),
        (
            [{"epochs": 2}, {"epochs": "auto", "batch_size": 64}],
            ", by which smaller shares took more or as many epochs and fewer or about as many steps.",
        ),
        ([], ", and the same recipe."),  # heads in closed form
    ],
)
def test_how_long_smaller_shares_were_trained(
    tmp_path: Path, recipes: list[dict[str, object]], expected: str
) -> None:
    write_record(tmp_path, of_share("r1", 0.2, 0.25, head="ridge"))
    write_record(tmp_path, of_share("r2", 0.1, 1.0, head="ridge"))
    for number, recipe in enumerate(recipes):
        for share, n_train in ((0.25, 100), (1.0, 400)):
            cost = Cost(fit_seconds=1.0, train_images_per_second=9.0)
            one = of_share(f"{number}-{share}", 0.1, share, recipe=recipe, cost=cost, backbone=f"b{number}")
            one.found.epochs = one.recipe.epochs_for(n_train)
            write_record(tmp_path, one)
    assert expected in explained(only(tmp_path))


def test_tuned_rows_of_shares_are_told_apart(tmp_path: Path) -> None:
    for share, lr in ((0.25, 0.0005), (1.0, 0.002)):
        recipe = {"epochs": 2, "tune": "lr:3"}
        write_record(tmp_path, of_share(f"t{share}", 0.1, share, recipe=recipe, found={"lr": lr}))
        write_record(tmp_path, of_share(f"u{share}", 0.1, share))
    board = only(tmp_path)
    assert "Learning rates were tuned on each share by itself." in explained(board)
    names = [column.name for column in share_columns(board)]
    assert names.index("tuned") + 1 == names.index("n_train")
    (warning,) = (caption.text for caption in captions(board) if "learning rates tried" in caption.text)
    assert warning.startswith(
        "net + mlp (tuned), share 0.25: the best of the learning rates tried is the low"
    )
    assert "tuned" not in [column.name for column in share_columns(only_plain(tmp_path))]


def only_plain(out: Path) -> Leaderboard:
    for folder in out.glob("runs/t*"):
        shutil.rmtree(folder)
    return only(out)


def test_every_view_has_the_section(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_shares(tmp_path)
    write_shares(tmp_path, backbone="b|<b>", exponent=0.2, shares=[0.25, 0.5])  # never on all images
    write_record(tmp_path, of_share("f", None, 0.25, backbone="broken"))
    results = read_runs([tmp_path])
    boards = leaderboards(results.runs)
    print_leaderboards(boards)
    terminal, md, page = capsys.readouterr().out, to_markdown(boards), to_html(boards, results.runs)
    for text in (terminal, md, page):
        assert "Error against number of training images" in text
        assert "Twice the images: about 0.7" in text
        assert "smaller shares of the training images (0.25 and 0.5) are in a table of their own" in text
        assert "extrapolation: beyond twice the images" in text
    assert "broken · mlp · seed 0, share 0.25: NonFiniteLoss" in md
    assert "seed 0, share 0.25: NonFiniteLoss" in page
    assert boards[0].failed == 1
    assert "b\\|&lt;b> + mlp: no power law" in md
    assert "<b>" not in page.replace("<b>is", "")
    assert page.count('class="share best"') == 1
    assert "beyond" in page

    document = json.loads(to_json(boards))
    assert [one["rows"][0]["backbone"] for one in document["shares"]][:1] == ["net"]
    rows = list(csv.DictReader(io.StringIO(shares_to_csv(boards))))
    assert [(row["train_share"], row["n_train"]) for row in rows if row["backbone"] == "net"] == [
        ("0.25", "100.0"), ("0.5", "200.0"), ("1.0", "400.0"),
    ]  # fmt: skip
    main = list(csv.DictReader(io.StringIO(to_csv(boards))))
    assert {row["train_share"] for row in main} == {"1.0"}
    assert {row["backbone"] for row in main} == {"net", "mean-of-train", "pixel-lookup", "ridge-pixels"}


def test_without_runs_on_all_images_the_largest_share_is_the_table(tmp_path: Path) -> None:
    write_shares(tmp_path, shares=[0.25, 0.5])
    board = only(tmp_path)
    assert board.split.train_share == 0.5
    assert "200 train (0.5 of the training images)" in captions(board)[0].text
    assert board.rows[0].n_train == 200


def test_the_csv_of_shares_comes_and_goes(tmp_path: Path) -> None:
    write_shares(tmp_path / "all")
    results = read_runs([tmp_path / "all"])
    out = tmp_path / "report"
    assert out / SHARES in write_report(out, leaderboards(results.runs), results)
    assert (out / SHARES).exists()
    write_shares(tmp_path / "one", shares=[1.0])
    results = read_runs([tmp_path / "one"])
    assert out / SHARES not in write_report(out, leaderboards(results.runs), results)
    assert not (out / SHARES).exists()


def test_verify_reads_the_csv_of_shares(tmp_path: Path) -> None:
    write_shares(tmp_path)
    results = read_runs([tmp_path])
    write_report(tmp_path, leaderboards(results.runs), results)
    assert "learning-curve.csv" not in {fault.where for fault in verify(tmp_path).faults}
    path = tmp_path / SHARES
    path.write_text(path.read_text().replace("net,mlp,none,3", "net,mlp,none,4", 1))
    assert "learning-curve.csv" in {fault.where for fault in verify(tmp_path).faults}


def test_report_over_such_a_folder(tmp_path: Path, quadzoo: object) -> None:
    write_shares(tmp_path)
    done: Result = quadzoo("report", tmp_path)  # type: ignore[operator]
    assert done.status == 0
    assert done.out.count("Twice the images: about") == 1
    assert str(tmp_path / SHARES) in done.err
    assert run_folder(tmp_path, "net-0.25-0").exists()


def test_no_law_is_fitted_where_a_run_is_missing(tmp_path: Path) -> None:
    """A share without its worst seed looked better, and its interval 36 times narrower."""
    write_shares(tmp_path)
    shutil.rmtree(next(iter(tmp_path.glob("runs/net-0.25-*"))))
    (reason,) = (curve.reason for curve in only(tmp_path).shares if curve.name == "net + mlp")
    assert reason.startswith(
        "no power law is fitted, since its shares differ in seeds, or runs of them failed"
    )
