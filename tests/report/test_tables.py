"""Leaderboards as csv, md and json."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np

from quadzoo.records.record import write_record
from quadzoo.report.captions import captions
from quadzoo.report.leaderboard import leaderboards
from quadzoo.report.markdown import to_markdown
from quadzoo.report.page import to_html
from quadzoo.report.results import read_runs
from quadzoo.report.rows import Leaderboard
from quadzoo.report.tables import to_csv, to_json
from tests.report.records import board_of, predict, record

CONTRACT = (
    "rank,backbone,head,weights,seeds,failed,val_mse,test_mse,test_mse_low,test_mse_high,test_exact,params,"
    "gmacs,train_images_per_second,latency_ms,fit_seconds,leaky"
)


def test_same_records_same_bytes_and_text_stays_text(tmp_path: Path) -> None:
    write_record(tmp_path, record("1", 0.01, backbone="a|b<script>"))
    board = board_of(tmp_path, record("2", None, backbone="broken"))
    again = leaderboards(read_runs([tmp_path])[0])
    for write in (to_csv, to_markdown, to_json):
        assert write([board]) == write(again)
    page = to_markdown([board])
    assert "a\\|b&lt;script>" in page
    assert "is nan \\| &lt;b>" in page
    rows = list(csv.DictReader(io.StringIO(to_csv([board]))))
    assert rows[0]["params"] == "7"
    assert rows[-1]["rank"] == ""
    assert json.loads(to_json([board]))["rows"][0]["backbone"] == "a|b<script>"


def test_columns_are_those_of_the_contract_and_more(tmp_path: Path) -> None:
    text = to_csv([board_of(tmp_path, record("1", 0.01))])
    assert text.startswith(CONTRACT + ",")
    assert to_csv([]).startswith(CONTRACT + ",")


def test_several_leaderboards(tmp_path: Path) -> None:
    other = record("2", 0.01, backbone="other")
    other.data.hash, other.data.name = "X", "elsewhere"
    for one in (record("1", 0.5), record("3", 0.4, seed=1), other):
        write_record(tmp_path, one)
    boards = leaderboards(read_runs([tmp_path])[0])
    rows = list(csv.DictReader(io.StringIO(to_csv(boards))))
    assert [(row["data"], row["rank"]) for row in rows if row["head"] == "mlp"] == [
        ("d", "1"),  # those without a model are not counted
        ("elsewhere", "1"),
    ]
    document = json.loads(to_json(boards))
    assert (document["data"]["name"], document["more"][0]["data"]["name"]) == ("d", "elsewhere")
    page = to_markdown(boards)
    assert page.index("## d, split grouped") < page.index("## elsewhere, split grouped")


def test_nothing_to_tell() -> None:
    assert "No run yet" in to_markdown([])
    assert json.loads(to_json([]))["rows"] == []


def texts(board: Leaderboard) -> list[str]:
    return [caption.text for caption in captions(board)]


def test_captions_say_what_to_trust(tmp_path: Path) -> None:
    leaky = record("1", 0.01)
    leaky.split.leaky, leaky.split.leaked = True, 3
    task, leak, trust, machines = texts(board_of(tmp_path / "leaky", leaky))
    assert task == (
        "d: 10 images, 1 of them duplicates; target y; split grouped (4 train, 2 val, 4 test); "
        "head mlp; weights none; recipe first with epochs 2."
    )
    assert leak.startswith("This split leaks: 3 of 4 test images")
    assert trust == (
        "One seed per row: differences between rows may be chance, three seeds are needed to tell. Rows are "
        "ranked by val MSE."
    )
    assert machines == "Costs were measured on c, 1 thread."
    out = tmp_path / "tied"
    for backbone in "ab":
        for seed in range(2):
            write_record(out, record(f"{backbone}{seed}", 0.01, seed=seed, backbone=backbone))
            predict(out, f"{backbone}{seed}", np.linspace(-2.0, 2.1 + seed, 40))
    _, trust, _ = texts(board_of(out))
    assert trust.startswith("2 seeds per row: differences")
    assert "The 95 % interval of the test MSE accounts for: this run, test images only." in trust
    write_record(out, record("a2", 0.01, seed=2, backbone="a"))
    assert any(text.startswith("2 to 3 seeds per row") for text in texts(board_of(out)))
    predict(out, "a2", np.linspace(-2.0, 2.2, 40))
    write_record(out, record("b2", 0.02, seed=2, backbone="b"))
    predict(out, "b2", np.linspace(-2.0, 2.2, 40))
    (trust,) = [text for text in texts(board_of(out)) if "Rows are ranked by val MSE" in text]
    told = "test images, seeds and the choice from 2 rows (a + mlp); test images and seeds (others)."
    assert f"accounts for: {told}" in trust
    assert "A verdict compares the test MSE with that of the best row (α = 0.05" in trust


def test_what_could_not_be_read_is_named(tmp_path: Path) -> None:
    write_record(tmp_path, record("1", 0.01))
    (tmp_path / "runs" / "<b>").mkdir()
    (tmp_path / "runs" / "<b>" / "record.json").write_text("{")
    board = board_of(tmp_path)
    told = "1 run was left out of this table: <b> (record.json: not a record that this version reads"
    assert texts(board)[1].startswith(told)
    page = to_markdown([board])
    assert "\n**1 run was left out of this table: &lt;b> (record.json: not a record" in page
    assert '<p class="warning">1 run was left out of this table: &lt;b&gt; (record' in to_html([board], [])
    assert json.loads(to_json([board]))["unreadable"][0]["key"] == "<b>"


def test_nothing_can_be_read(tmp_path: Path) -> None:
    write_record(tmp_path, record("1", 0.5))
    path = tmp_path / "runs" / "1" / "record.json"
    path.write_text(path.read_text().replace('"val_mse": 0.5', '"val_mse": NaN'))
    results = read_runs([tmp_path])
    assert results.runs == []
    for text in (to_markdown([], results.unreadable), to_html([], [], results.unreadable)):
        assert "1 run was left out of this table: 1 (record.json: not a record that" in text
        assert "metrics.val_mse" in text
    assert json.loads(to_json([], [], results.unreadable))["unreadable"][0]["key"] == "1"


def test_another_machine_is_named(tmp_path: Path) -> None:
    strange = record("2", 0.02, backbone="elsewhere")
    strange.environment.device_name = "other"
    *_, machines = texts(board_of(tmp_path, record("1", 0.01), record("3", 0.02, seed=1), strange))
    assert machines.endswith(
        "Those of elsewhere + mlp were measured on another machine and cannot be compared."
    )


def test_that_no_network_beats_a_row_without_one_is_said(tmp_path: Path) -> None:
    board = board_of(tmp_path, record("1", 0.10, backbone="net"), record("2", 0.11, backbone="other"))
    told = "No network beats always predicting the mean on the validation images (MSE 0.1 against 0.09)"
    assert told in to_markdown([board])
    assert told in to_html([board], [])
    assert "has the lowest val MSE" not in to_html([board], [])
    good = board_of(tmp_path / "good", record("1", 0.08))
    assert "No network beats" not in to_markdown([good])
