"""The functions behind the command line, as a script or a notebook calls them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import quadzoo
from quadzoo.api import config_of
from quadzoo.errors import ConfigError, DataError
from quadzoo.model.recipe import Recipe
from quadzoo.records.record import write_record
from tests.report.records import predict, record


def test_a_leaderboard_is_a_table_and_html(tmp_path: Path) -> None:
    for key, val, name in (("1", 0.02, "net"), ("2", 0.01, "<b>other</b>")):
        write_record(tmp_path, record(key, val, backbone=name))
        predict(tmp_path, key, [0.1, 0.2, 0.3, 0.4])
    board = quadzoo.leaderboard(tmp_path)
    assert board.best is not None
    assert board.best.backbone == "<b>other</b>"
    table = board.to_frame()
    assert list(table.columns[:3]) == ["rank", "backbone", "head"]
    assert table["val_mse"].tolist()[:2] == [0.01, 0.02]
    assert str(board) == repr(board)
    assert len(repr(board).splitlines()) == 1 + len(board.rows)
    html = board._repr_html_()
    assert "&lt;b&gt;other&lt;/b&gt;" in html
    assert "<b>other" not in html
    assert "One seed per row" in html


def test_several_data_sets_are_more_leaderboards(tmp_path: Path) -> None:
    write_record(tmp_path, record("1", 0.02))
    write_record(tmp_path, record("2", 0.02, seed=1))
    other = {"name": "e", "hash": "E", "n": 10, "duplicates": 1}
    write_record(tmp_path / "more", record("3", 0.02, data=other))
    board = quadzoo.leaderboard(tmp_path, str(tmp_path / "more"))
    assert (board.data.name, [one.data.name for one in board.more]) == ("d", ["e"])
    assert [len(one.to_frame()) for one in board.more] == [3]


def test_what_cannot_be_read_is_there(tmp_path: Path) -> None:
    write_record(tmp_path, record("1", 0.02))
    (tmp_path / "runs" / "2").mkdir()
    (tmp_path / "runs" / "2" / "record.json").write_text("{")
    with pytest.warns(UserWarning, match=r"run 2 left out: record\.json: not a record"):
        assert [one.key for one in quadzoo.leaderboard(tmp_path).unreadable] == ["2"]


@pytest.mark.parametrize("folders", [(), ([".", "."],), ("nowhere",)])
def test_folders_that_are_none(folders: tuple[Any, ...]) -> None:
    with pytest.raises(DataError) as refused:
        quadzoo.leaderboard(*folders)
    assert len(str(refused.value)) <= 300


REFUSED = {
    "a name for a list": (
        {"backbones": "tiny_cnn"}, "`backbones` tiny_cnn: a list is needed, such as ['tiny_cnn']",
    ),
    "a number for a list": ({"seeds": 3}, "`seeds` 3: a list is needed, such as [3]"),
    "a misspelt parameter": ({"target": ["age"]}, "there is no parameter 'target'; did you mean targets?"),
    "a suite": ({"suite": "a.toml"}, "there is no parameter 'suite'; quadzoo.suite runs several data sets"),
    "a text for a number": ({"lr": "fast"}, "`lr` fast: Input should be a valid number"),
    "twice": ({"seeds": [1, 1]}, "`seeds` names 1 twice"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_one_line(case: str) -> None:
    parameters, message = REFUSED[case]
    with pytest.raises(ConfigError) as refused:
        config_of(**parameters)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "--" not in str(refused.value)
    assert len(str(refused.value)) <= 300


def test_a_recipe_may_be_given_whole() -> None:
    assert config_of(recipe=Recipe(epochs=3, warmup=0.1), lr=0.5).recipe == Recipe(
        epochs=3, warmup=0.1, lr=0.5
    )
    assert config_of(recipe={"epochs": 3}).recipe == Recipe(epochs=3)
    assert config_of(epochs=None).recipe == Recipe()
