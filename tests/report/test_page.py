"""The page as text; `test_browser.py` looks at it in a browser."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from quadzoo.records.record import Cost, Metrics, write_record
from quadzoo.report import page, plots
from quadzoo.report.answer import answers
from quadzoo.report.columns import shown_columns
from quadzoo.report.leaderboard import leaderboards
from quadzoo.report.page import to_html
from quadzoo.report.results import read_runs
from tests.report.records import board_of, predict, record

EVIL = "<script>alert(1)</script>\"'🦓" + "x" * 200


def html_of(out: Path) -> str:
    results = read_runs([out])
    return to_html(leaderboards(results.runs), results.runs)


class Balance(HTMLParser):
    """Notes tags that are closed in another order than they were opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "link", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        """Ignore what closes itself, in SVG."""

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


@pytest.fixture
def rich(tmp_path: Path) -> Path:
    """Two rows with everything, one that failed, one name that is no good."""
    history = [{"train_mse": 0.3, "val_mse": 0.2}, {"train_mse": 0.1, "val_mse": 0.05}]
    for key, backbone in (("1", "good"), ("2", EVIL)):
        cost = Cost(latency_ms=2.0, fit_seconds=3.0, params=7)
        write_record(
            tmp_path, record(key, 0.01, backbone=backbone, history=history, worst=["p1", "p0"], cost=cost)
        )
        predict(tmp_path, key, [1.0, -2.0, 0.5, 0.25], image_kind=["u", "u", "v", EVIL])
        strip = np.full((20, 30), 128, np.uint8)
        Image.fromarray(strip).save(tmp_path / "runs" / key / "worst.webp")
    write_record(tmp_path, record("3", None, backbone="broken"))
    return tmp_path


def test_text_stays_text_and_tags_are_balanced(rich: Path) -> None:
    html = html_of(rich)
    balance = Balance()
    balance.feed(html)
    assert balance.wrong == []
    assert balance.open == []
    assert html.count("<script>") == 1  # ours
    assert "&lt;script&gt;alert(1)" in html


def test_same_records_same_bytes(rich: Path) -> None:
    assert html_of(rich) == html_of(rich)


def test_needs_nothing_else(rich: Path) -> None:
    links = re.findall(r"""(?:href|src)=["']([^"']*)|url\(([^)]*)\)""", html_of(rich))
    targets = [one or other for one, other in links]
    assert targets
    assert all(target.startswith(("data:", "#")) for target in targets)


def test_policy_allows_the_only_style_and_script(rich: Path) -> None:
    html = html_of(rich)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert policy
    rules = dict(rule.split(" ", 1) for rule in unescape(policy[1]).split("; "))
    assert (rules["default-src"], rules["img-src"]) == ("'none'", "data:")
    for tag in ("style", "script"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"
    assert not re.search(r"<[^>]* (style|onclick)=", html)


def test_thumbnails_are_those_of_the_run(rich: Path) -> None:
    html = html_of(rich)
    assert "width: min(100%, 30px); aspect-ratio: 30 / 10; --last: 1" in html
    assert 'class="thumb strip-0 at-1" role="img" aria-label="image p0"' in html
    assert cv2.imread(str(rich / "runs" / "1" / "worst.webp")).shape == (20, 30, 3)
    (rich / "runs" / "1" / "worst.webp").write_bytes(b"no image")
    (rich / "runs" / "2" / "worst.webp").unlink()
    assert 'class="thumb' not in html_of(rich)


def test_truth_against_prediction(rich: Path) -> None:
    html = html_of(rich)
    told = "R² –, RMSE 1.15, bias -0.0625; 75.0% of 4 images within a tenth of the range."
    assert html.count(f"<desc>{told}</desc>") == 2
    assert f"Truth against prediction of y, seed 0: {told} Each dot is an image." in html


def test_dots_and_squares() -> None:
    truth = np.linspace(0, 10, 1000)
    prediction = truth + 0.1
    few = plots.truth(truth, prediction, "y", "title", "told")
    drawn = re.search(r'class="dots" d="([^"]*)"', few.plot)
    assert drawn
    assert drawn[1].count("h0") == len({(round(x), round(y)) for x, y in _places(truth, prediction)})
    assert few.told == "Each dot is an image."
    many = plots.truth(np.tile(truth, 2), np.tile(prediction, 2), "y", "title", "told")
    assert "dots" not in many.plot
    assert many.told == "Each square counts images: the darker, the more of the 2,000."
    assert len(many.plot) < 5000


def _places(truth: np.ndarray, prediction: np.ndarray) -> list[tuple[float, float]]:
    x = plots._Axis.linear([-0.625, 10.625], 62, 408)
    y = plots._Axis.linear([-1.25, 11.25], 210, 12)
    return [(x.at(one), y.at(other)) for one, other in zip(truth, prediction, strict=True)]


def test_predictions_far_off_are_counted() -> None:
    cloud = plots.truth(np.array([0.0, 5.0, 10.0]), np.array([0.0, 1e9, -50.0]), "y", "title", "told")
    assert "2 predicted far outside of the true range" in cloud.told
    flat = plots.truth(np.ones(3), np.ones(3), "y", "title", "told")
    assert flat.plot.count("h0") == 1  # all in one place


def test_every_target_has_its_error_in_the_table(rich: Path) -> None:
    (board,) = leaderboards(read_runs([rich]).runs)
    names = [column.name for column in shown_columns(board)]
    assert names[names.index("test_mse") + 1] == "test_rmse.y"
    board.targets = [f"t{number}" for number in range(20)]
    columns = [column for column in shown_columns(board) if column.name.startswith("test_rmse")]
    assert [column.priority for column in columns] == [1] * 3 + [9] * 9


def test_page_does_not_grow_without_end(rich: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = html_of(rich)
    monkeypatch.setattr(page, "_DETAILS_BYTES", 1)
    monkeypatch.setattr(page, "_IMAGES_BYTES", 0)
    monkeypatch.setattr(page, "_COMPARISON_BYTES", 0)
    short = html_of(rich)
    assert "too large" in short
    assert "too large" not in full
    assert full.count('class="details"') == 3 > short.count('class="details"') == 1
    assert "data:image" not in short
    assert "Two rows, image by image" in full
    assert "Two rows, image by image" not in short


def test_leak_failure_and_no_runs_are_told(tmp_path: Path) -> None:
    leaky = record("1", 0.01)
    leaky.split.leaky, leaky.split.leaked = True, 3
    write_record(tmp_path, leaky)
    html = html_of(tmp_path)
    assert "This split leaks: 3 of 4 test images" in html
    assert '<span class="flag"' in html
    write_record(tmp_path / "failed", record("1", None))
    assert "NonFiniteLoss: is nan | &lt;b&gt;" in html_of(tmp_path / "failed")
    assert "No run yet" in to_html([], [])


def test_answers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(0, 1, 300)
    rows = (
        ("1", "exact", 0.010, 1.0, 9.0), ("2", "quick", 0.011, 1.01, 1.0), ("3", "bad", 0.02, 2.0, 0.5)
    )  # fmt: skip
    for key, backbone, val, factor, latency in rows:
        cost = Cost(latency_ms=latency, fit_seconds=60.0, params=2_000_000)
        for seed in range(3):
            one = record(f"{key}{seed}", val, 0.01 * factor**2, backbone=backbone, cost=cost, seed=seed)
            write_record(tmp_path, one)
            errors = base * factor + rng.normal(0, 0.1, 300)
            predict(tmp_path, one.key, errors, image_kind=["u"] * 299 + ["v"])
    told = answers(board_of(tmp_path))
    assert told["Which backbone?"].startswith("exact + mlp has the lowest val MSE")
    assert "always predicting the mean gives 0.08 (8 times as much)" in told["Which backbone?"]
    assert (
        "Not significantly worse (α = 0.05), with the multiple of its test MSE: quick + mlp (1.0"
        in (told["How sure is that?"])
    )
    assert "3 seeds per row" in told["How sure is that?"]
    board = board_of(tmp_path)
    quick = next(row for row in board.rows if row.backbone == "quick")
    for times in (1.2, 4.5, 3.4):
        board.rows.append(quick.model_copy(update={"backbone": f"by {times}", "times_best": times}))
    assert "by 1.2 + mlp (1.2×), by 4.5 + mlp (4.5×) and by 3.4 + mlp" in answers(board)["How sure is that?"]
    board.rows.append(quick)
    assert "by 4.5 + mlp (4.5×) and 2 more (up to 3.4×)." in answers(board)["How sure is that?"]
    assert (
        "The fastest row that is not significantly worse is quick + mlp: 1.0 ms" in told["What does it cost?"]
    )
    assert "The kind of image with the largest error is" in told["What does it get wrong?"]
    for seed in range(3):
        shutil.rmtree(tmp_path / "runs" / f"2{seed}")
    assert "Every other ranked row is significantly worse" in answers(board_of(tmp_path))["How sure is that?"]
    for seed in range(3):
        (tmp_path / "runs" / f"3{seed}" / "predictions.csv").unlink()  # nothing to compare
    assert "worse" not in answers(board_of(tmp_path))["How sure is that?"]
    assert answers(board_of(tmp_path / "none", record("1", None))) == {}


def test_answers_where_nothing_is_wrong(tmp_path: Path) -> None:
    """But for rounding: no ratios of that are told."""
    metrics = Metrics(
        val_mse=1e-16, test_mse=2e-16, test_exact=1.0, test_rmse={"y": 1e-7}, test_r2={"y": 1.0}
    )
    told = answers(board_of(tmp_path, record("1", 1e-16, metrics=metrics)))
    assert told["Which backbone?"].endswith("always predicting the mean gives 0.08.")
    assert told["What does it get wrong?"].startswith("Nothing: every target is exactly right")
    almost = metrics.model_copy(update={"test_exact": 0.9999})
    told = answers(board_of(tmp_path / "almost", record("1", 1e-16, metrics=almost)))
    assert not told["What does it get wrong?"].startswith("Nothing")


def test_front_is_of_points_that_none_beats() -> None:
    corners = [(1, 9), (2, 5), (3, 7), (4, 1), (5, 1)]
    points = [plots.Point(x, y, y, y, f"{x}") for x, y in corners]
    assert [point.name for point in plots._front(points)] == ["1", "2", "4"]
    drawn = plots.scatter(points, "ms", "MSE", None, "title", size=(860, 440))
    assert drawn.count("<circle") == 5
    assert drawn.count('class="point best"') == 3


@pytest.mark.parametrize(
    "values",
    [
        [1e-4, 2e-4], [1e-4, 0.5], [3.0, 3.0], [1.0, 1e6], [1e-9, 1e170],
        [5e-324, 5e-324], [5e-324, 1e30], [1e30, 1e30], [1e-310, 1e-309],
    ],
)  # fmt: skip
def test_ticks(values: list[float]) -> None:
    for axis in (plots._Axis.logarithmic(values, 0, 100), plots._Axis.linear(values, 0, 100)):
        ticks = axis.ticks()
        assert 2 <= len(ticks) <= 12
        assert all(0 <= axis.at(tick) <= 100 for tick in ticks)
        assert ticks == sorted(ticks)


def test_a_page_of_very_many_rows_shows_the_best_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        write_record(tmp_path, record(f"k{number}", 0.01 * (number + 1), backbone=f"net{number}"))
    write_record(tmp_path, record("f", None, backbone="broken"))
    results = read_runs([tmp_path])
    boards = leaderboards(results.runs)
    whole = to_html(boards, results.runs)
    assert "net11" in whole
    assert "rows, those with the lowest val MSE" not in whole
    monkeypatch.setattr(page, "MOST_DETAILED", 10)
    short = to_html(boards, results.runs)
    assert "12 of 15 rows, those with the lowest val MSE" in short  # 10, and the two baselines
    assert "leaderboard.csv" in short
    assert "net9" in short
    assert "net10" not in short
    assert "mean-of-train" in short  # although its val MSE is that of net8
    assert "broken" in short  # among the failed runs
    assert short.count('http-equiv="Content-Security-Policy"') == 1
    monkeypatch.setattr(page, "_MOST_BOARDS", 1)
    assert "1 of 3 tables are shown" in to_html([*boards] * 3, results.runs)
