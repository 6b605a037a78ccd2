"""What a bench is made of: table, images, division; and a table of test images beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benched import benched, checked, finding, photos, refused, table


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    names = photos(tmp_path / "img", 30)
    rows = [(one, i, f"P{i // 3}") for i, one in enumerate(names)]
    table(tmp_path / "all.csv", rows, ("id", "y", "who"))
    table(tmp_path / "train.csv", rows[:21], ("id", "y", "who"))
    table(tmp_path / "test.csv", rows[21:], ("id", "y", "who"))
    return tmp_path


def test_the_shares_reached_are_told(folder: Path) -> None:
    assert benched(folder / "all.csv").told[-1] == "split grouped: 19 train (63%), 5 val (17%), 6 test (20%)"
    assert "10 test (33%); " in benched(folder / "all.csv", folds=3).told[-1]


def test_a_table_of_test_images(folder: Path) -> None:
    bench = benched(folder / "train.csv", test_data=folder / "test.csv", group_column="who")
    (split,) = bench.splits
    assert (split.name, split.leaked) == ("test-data", 0)
    assert sorted(bench.source.ids[i] for i in split.test) == [f"p{i}.png" for i in range(21, 30)]
    assert len(split.train) + len(split.val) == 21
    assert len(split.val) == 3
    groups = bench.source.group_values
    assert groups
    assert not {groups[i] for i in split.train} & {groups[i] for i in split.val}
    assert [line for line in bench.told if line.startswith("warning")] == [
        "warning: split test-data: val is 14% of the images that are not tested, wanted 20%, since groups "
        "stay together",
        "warning: test images of 3 groups: with fewer than 10 no score has an interval",
    ]
    assert benched(folder / "train.csv", test_data=folder / "test.csv").sizes == (16, 5, 9)
    found = checked(folder / "train.csv", test_data=folder / "test.csv", group_column="who")
    assert (found.errors, found.splits[0].test, found.rows) == (0, 9, 30)


def test_images_and_groups_of_both_tables_are_leaks(folder: Path) -> None:
    both = folder / "both.csv"
    both.write_text((folder / "train.csv").read_text() + "p21.png,21,P7\n")
    bench = benched(both, test_data=folder / "test.csv")
    assert bench.splits[0].leaked == 1
    assert bench.warned(
        "warning: test image (of 9) of split test-data that is also in train or val: test.csv row 2"
    )
    bench = benched(both, test_data=folder / "test.csv", group_column="who")
    assert bench.splits[0].leaked == 3  # all of P7
    assert bench.warned("warning: 3 × test image (of 9)", "or shares a group with one")
    found = checked(both, test_data=folder / "test.csv", group_column="who")
    assert finding(found, "leak").count == found.splits[0].leaked == 3


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"test_data": "none.csv"}, "--test-data none.csv: no such file"),
        (
            {"test_data": "test.csv", "folds": 3},
            "--test-data says which images are tested, and so does --folds 3",
        ),
        ({"test_data": "test.csv", "split": "article"}, "and so does --split article"),
        ({"test_data": "other.csv"}, "other.csv: no column 'y' (--targets)"),
        ({"test_data": "broken.csv"}, "broken.csv: row 2: no image for id 'p99.png'"),
        ({"test_data": "empty.csv"}, "empty.csv: no rows under the header"),
    ],
)
def test_test_data_that_cannot_be_used(
    folder: Path, config: dict[str, object], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    table(Path("other.csv"), [("p21.png", 1)], ("id", "z"))
    table(Path("broken.csv"), [("p99.png", 1)])
    table(Path("empty.csv"), [])
    assert told in refused(Path("train.csv"), images=Path("img"), targets=("y",), **config)


def test_names_of_targets(folder: Path) -> None:
    rows = [(f"p{i:02d}", i, 2 * i, 3 * i, 4 * i) for i in range(30)]
    path = table(folder / "t.csv", rows, ("id", "weight, kg", "error", "split", "id_pred"))
    names = ("weight, kg", "error", "split", "id_pred")
    bench = benched(path, targets=names)
    assert bench.source.target_names == names
    assert bench.source.targets[2].tolist() == [2, 4, 6, 8]
    nfd = table(folder / "u.csv", rows, ("id", "Gro\u0308\u00dfe\u00a0", "b", "c", "d"))
    assert benched(nfd, targets=("Größe",)).source.target_names == ("Größe",)
    assert "did you mean 'Größe'?" in refused(nfd, targets=("größe",))
