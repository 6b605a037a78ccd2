"""What a suite says of itself, in every case."""

from __future__ import annotations

from pathlib import Path

from quadzoo.records.suite import SetRequest, Suite, write_suite
from quadzoo.report.suite.board import SuiteBoard, read_suite_board
from quadzoo.report.suite.sentences import answers, captions
from tests.report.suite.suites import add, write

LEAKY = {"name": "mine", "hash": "S", "fold": 0, "folds": 1, "n_train": 4, "n_val": 2, "n_test": 4,
         "leaked": 3, "leaky": True}  # fmt: skip


def said(board: SuiteBoard) -> str:
    return "\n".join([*answers(board).values(), *(caption.text for caption in captions(board))])


def warned(board: SuiteBoard) -> list[str]:
    return [caption.text for caption in captions(board) if caption.warning]


def test_a_clear_winner(tmp_path: Path) -> None:
    board = write(tmp_path, {f"s{n}": {"a": [0.01, 0.01], "b": [0.02, 0.02]} for n in range(8)})
    assert list(answers(board).values()) == [
        "a + mlp has the lowest mean rank: 1 over 8 data sets, by val MSE.",
        "Its interval, 1 to 1.35, overlaps that of no other row: the other row is significantly worse "
        "(α = 0.05).",
        "a + mlp has a lower val MSE than the best baseline on 8 of 8 data sets; on average "
        "(geometric mean) it is 0.1 times that of the baseline. Baselines are mean-of-train, pixel-lookup, "
        "and ridge regression on pixels and pretrained features.",
        "On s0, s1, s2, s3, s4, s5 and 2 more networks have a lower val MSE than the best baseline, but none "
        "is significantly better than baselines on the test images.",
    ]  # fmt: skip
    assert warned(board) == []
    assert captions(board)[0].text == "8 data sets, 80 images; 2 rows, 2 seeds each."


def test_rows_that_are_not_told_apart(tmp_path: Path) -> None:
    values = {"a": [0.01], "b": [0.02], "c": [0.03]}
    other = {**values, "a": [0.02], "b": [0.01]}
    text = said(write(tmp_path / "four", {"s": values, "t": values, "u": other, "v": other}))
    assert "a + mlp and b + mlp share the lowest mean rank: 1.5 over 4 data sets" in text
    assert "overlaps those of both other rows: b + mlp and c + mlp are not significantly different" in text
    many = {f"s{n}": values for n in range(9)}
    text = said(write(tmp_path / "many", many))
    assert "overlaps those of 1 of 2 other rows: b + mlp is not significantly different (α = 0.05)." in text
    assert "The other row is significantly worse." in text


def test_where_no_network_is_worth_using(tmp_path: Path) -> None:
    board = write(tmp_path, {"u": {"a": [0.2], "b": [0.3]}, "v": {"a": [0.01], "b": [0.02]}})
    assert answers(board)["Where is no network worth using?"] == (
        "On 1 of 2 data sets no network is worth using: none beats ridge-pixels on u (val MSE 0.2 against "
        "0.1). They were trained for 2 epochs, where `--epochs auto` takes 200: that may be why. On v "
        "networks have a lower val MSE than the best baseline, but none is significantly better than "
        "baselines on the test images."
    )
    for one in board.sets:
        one.beaten, one.shown = True, True
    assert answers(board)["Where is no network worth using?"] == (
        "There is no such data set: on each a network has a lower val MSE than the best baseline, and one is "
        "significantly better than baselines on the test images."
    )


def test_trainings_that_were_short_are_told_of_their_sets(tmp_path: Path) -> None:
    losing = {"a": [0.2], "b": [0.3]}
    requests = {}
    for name, epochs in (("short", 2), ("usual", 200)):
        write(tmp_path, {name: losing}, recipe={"epochs": epochs})
        requests[name] = SetRequest(data_hash=name, split_hash="S", seeds=1)
    write_suite(tmp_path, Suite(sets=requests))
    told = answers(read_suite_board(tmp_path))["Where is no network worth using?"]
    assert told.endswith(
        "On short they were trained for 2 epochs, where `--epochs auto` takes 200: that may be why."
    )
    requests.pop("short")
    write_suite(tmp_path, Suite(sets=requests))
    assert "they were trained" not in said(read_suite_board(tmp_path)).lower()


def test_what_loses_to_the_baselines_is_not_recommended(tmp_path: Path) -> None:
    every = {f"s{n}": {"a": [0.2], "b": [0.3]} for n in range(5)}
    which = answers(write(tmp_path / "all", every))["Which backbone?"]
    assert which == (
        "a + mlp has the lowest mean rank: 1 over 5 data sets, by val MSE. No row beats the baselines: none "
        "is worth using."
    )
    # The first is often ahead by little, and once far behind.
    some = {f"s{n}": {"a": [0.09], "b": [0.095]} for n in range(4)} | {"s4": {"a": [90.0], "b": [0.05]}}
    told = answers(write(tmp_path / "some", some))
    assert told["Which backbone?"].endswith("a + mlp does not beat the baselines; b + mlp does.")
    assert (
        "on 4 of 5 data sets; on average (geometric mean) it is 3.58 times"
        in told["Does it beat the baselines?"]
    )


def test_few_sets_show_no_difference(tmp_path: Path) -> None:
    board = write(tmp_path, {"u": {"a": [0.01], "b": [0.02]}, "v": {"a": [0.01], "b": [0.02]}})
    assert answers(board)["How sure is that?"] == (
        "Over 2 data sets no difference between 2 rows can be significant (α = 0.05): with more data sets it "
        "can."
    )


def test_nothing_to_rank(tmp_path: Path) -> None:
    assert answers(write(tmp_path / "none", {"u": {}})) == {}
    alone = write(tmp_path / "alone", {"u": {"a": [0.01]}})
    assert answers(alone)["Which backbone?"] == (
        "a + mlp is the only row that is finished on 1 data set: there is nothing to rank it with."
    )
    assert "How sure is that?" not in answers(alone)
    loser = answers(write(tmp_path / "loser", {"u": {"a": [0.2]}}))["Which backbone?"]
    assert loser.endswith("nothing to rank it with. No row beats the baselines: none is worth using.")
    assert "than the best baseline on 1 of 1 data set;" in answers(alone)["Does it beat the baselines?"]
    apart = write(tmp_path / "apart", {"u": {"a": [0.01]}, "v": {"b": [0.01]}})
    assert answers(apart)["Which backbone?"].startswith("No row is finished on all of the 2 data sets")
    assert "Mean ranks need two rows" in said(apart)


def test_whatever_is_left_out_is_told(tmp_path: Path) -> None:
    board = write(tmp_path, {
        "u": {"a": [0.01, 0.01], "b": [0.02, 0.02], "c": [0.01, None], "d": []},
        "v": {"a": [0.01, 0.01], "b": [0.02, 0.02], "c": [0.01, 0.01], "d": [0.01]},
        "w": {},
    })  # fmt: skip
    add(tmp_path / "u", "old", 0.1, data={"name": "t", "hash": "old", "n": 9, "duplicates": 0})
    add(tmp_path / "old", "1", 0.1)
    (tmp_path / "v" / "runs" / "bad").mkdir()
    (tmp_path / "v" / "runs" / "bad" / "record.json").write_text("{")
    board = read_suite_board(tmp_path, {"w": "the disk is gone"})
    told = warned(board)
    assert told[0] == "w is not finished: the disk is gone"
    assert told[1] == "No row is finished on w: mean ranks are over the other sets."
    assert told[2] == (
        "Without a mean rank, since not finished on all sets: c + mlp (u: 1 of 2 runs) and d + mlp "
        "(u: no run and v: 1 of 2 runs)."
    )
    assert told[3].startswith("v: 1 run was left out of this table: bad (record.json: ")
    assert told[4] == "Runs on other data or splits are left out: u has further leaderboards."
    assert told[5] == "Left out: old is no set of this suite, though the folder has runs of that name."


def test_what_limits_a_set_is_told_with_its_name(tmp_path: Path) -> None:
    board = write(tmp_path, {"u": {"a": [0.01], "b": [0.02]}}, split=LEAKY)
    assert "u: This split leaks: 3 of 4 test images" in warned(board)[0]
