from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

from quadzoo.data.cache import prepare
from quadzoo.data.sources import DataRequest, open_source
from quadzoo.data.splits import Split, make_splits
from quadzoo.errors import ConfigError, SplitError

N = 500
IDS = [f"p{i}" for i in range(N)]
CONTENT_IDS = np.random.default_rng(0).integers(0, 400, N)  # many images occur twice or more


def sides(split: Split) -> list[set[int]]:
    return [set(side.tolist()) for side in (split.train, split.val, split.test)]


def test_grouped_holds_groups_together() -> None:
    (split,) = make_splits("grouped", IDS, CONTENT_IDS)
    train, val, test = sides(split)
    assert train | val | test == set(range(N))
    assert len(train) + len(val) + len(test) == N
    groups = [{int(CONTENT_IDS[i]) for i in side} for side in (train, val, test)]
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert abs(len(train) / N - 0.64) < 0.03
    assert abs(len(val) / N - 0.16) < 0.03
    assert (split.leaked, split.leaky) == (0, False)
    (again,) = make_splits("grouped", IDS, CONTENT_IDS)
    assert sides(again) == sides(split)
    assert again.hash == split.hash


def test_folds_test_each_image_once() -> None:
    splits = make_splits("grouped", IDS, CONTENT_IDS, folds=4)
    assert sorted(np.concatenate([split.test for split in splits]).tolist()) == list(range(N))
    assert [split.fold for split in splits] == [0, 1, 2, 3]
    assert len({split.hash for split in splits}) == 1
    assert not any(split.leaky for split in splits)


def test_folds_that_train_on_the_same_images_are_told() -> None:
    """Leave-one-group-out: val and test of two folds may be each other's, and their networks the same."""
    few, many = ([f"{i % n}" for i in range(200)] for n in (5, 40))
    ids = [f"{i}" for i in range(200)]
    splits = make_splits("grouped", ids, np.arange(200), folds=5, group_values=few)
    same = [
        one.fold
        for one in splits
        for other in splits
        if one is not other and np.array_equal(one.train, other.train)
    ]
    assert len(same) == 2
    assert f"folds {same[0]} and {same[1]} train on the same images" in splits[0].warning
    assert make_splits("grouped", ids, np.arange(200), folds=5, group_values=many)[0].warning == ""


def test_group_column_joins_what_shares_anything() -> None:
    # a-b share an image, b-c a person: all three belong together, though a and c share nothing
    content_ids = np.array([0, 0, 1, *range(2, 30)])
    people = ["ann", "bob", "bob", *(f"p{i}" for i in range(28))]
    for split in make_splits("grouped", IDS[:31], content_ids, folds=5, group_values=people):
        assert any({0, 1, 2} <= side for side in sides(split))


def test_article_is_the_tutorials_own() -> None:
    (split,) = make_splits("article", [f"eqn_{i:04d}" for i in range(2000)], np.arange(2000))
    assert [len(side) for side in sides(split)] == [268, 132, 400]
    frame = pd.DataFrame({"id": [f"eqn_{i:04d}" for i in range(2000)]})
    _, test = train_test_split(frame, test_size=0.2, random_state=42)
    train, val = train_test_split(test, test_size=0.33, random_state=42)
    for ours, theirs in zip((split.train, split.val, split.test), (train, val, test), strict=True):
        assert [f"eqn_{i:04d}" for i in ours] == theirs["id"].tolist()
    # The first ids of each, written down once, so that a change in scikit-learn's shuffle shows.
    assert split.test[:3].tolist() == [1860, 353, 1333]
    assert (split.leaked, split.leaky) == (400, True)


def test_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("id,split\np0,train\np1,val\np2,test\np3,test\np4,unused\n")
    (split,) = make_splits(str(path), IDS[:5], np.array([0, 1, 2, 0, 3]))
    assert sides(split) == [{0}, {1}, {2, 3}]
    assert (split.name, split.unused) == ("mine", 1)
    assert (split.leaked, split.leaky) == (1, True)  # p3 is p0, pixel for pixel


def test_the_order_of_a_split_files_rows_does_not_matter(tmp_path: Path) -> None:
    lines = [f"p{i},{('train', 'val', 'test')[i % 3]}" for i in range(N)]
    splits = []
    for name, rows in (("sorted", lines), ("shuffled", np.random.default_rng(0).permutation(lines).tolist())):
        (tmp_path / f"{name}.csv").write_text("\n".join(["id,split", *rows]) + "\n")
        splits += make_splits(str(tmp_path / f"{name}.csv"), IDS, CONTENT_IDS)
    assert splits[0].hash == splits[1].hash
    for side in ("train", "val", "test"):
        assert getattr(splits[0], side).tolist() == getattr(splits[1], side).tolist()


def test_the_order_of_a_tables_rows_does_not_matter(discs: Path, tmp_path: Path) -> None:
    header, *lines = (discs / "discs.csv").read_text().splitlines()
    rows = {"sorted": lines, "shuffled": np.random.default_rng(0).permutation(lines).tolist()}
    division = [f"disc {i:02d},{('train', 'val', 'test')[i % 3]}" for i in range(60)]
    (tmp_path / "split.csv").write_text("\n".join(["id,split", *division]) + "\n")
    found = {}
    for name, table in rows.items():
        (tmp_path / f"{name}.csv").write_text("\n".join([header, *table]) + "\n")
        request = DataRequest(
            str(tmp_path / f"{name}.csv"), discs / "photos", ("x",), id_column="file", group_column="who"
        )
        source = open_source(request)
        images = prepare(source, "auto")
        arguments = (source.ids, images.content_ids)
        splits = [
            *make_splits("grouped", *arguments, group_values=source.group_values),
            *make_splits("grouped", *arguments, folds=3, group_values=source.group_values),
            *make_splits("article", *arguments),
            *make_splits(str(tmp_path / "split.csv"), *arguments),
        ]
        sides_of = [(one.train.tolist(), one.val.tolist(), one.test.tolist()) for one in splits]
        hashes = [one.hash for one in splits]
        found[name] = source.ids, source.targets.tolist(), images.hash, sides_of, hashes
        # Messages still name the rows of the file.
        lines_of_file = (tmp_path / f"{name}.csv").read_text().splitlines()
        assert all(
            lines_of_file[row - 1].startswith(one) for row, one in zip(source.rows, source.ids, strict=True)
        )
    assert found["sorted"] == found["shuffled"]


def test_hashes_of_the_published_images(published: Path) -> None:
    """As the committed records have them; that of the article is written down once."""
    source = open_source(DataRequest(str(published)))
    images = prepare(source, "auto")
    assert images.hash.startswith("289dad1828a4")
    for split, folds, expected in (
        ("grouped", 1, "2eb544b70c5d"),
        ("grouped", 5, "1739b3005250"),
        ("article", 1, "50451482100f"),
    ):
        assert make_splits(split, source.ids, images.content_ids, folds=folds)[0].hash.startswith(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,split\nzzz,train\n", "row 2: id 'zzz' is not in the data"),
        ("id,split\np0,eval\n", "row 2: split 'eval' is not train, val or test"),
        (
            "id,split\np0,\n",
            "row 2: split '' is not train, val or test; a row that is to be left out is unused",
        ),
        ("id,split\np0,train\np0,train\n", "row 3: id 'p0' is in train twice"),
        ("id,split\np0,train\np0,val\n", "row 3: id 'p0' is in train by row 2 and in val"),
        ("id,what\np0,train\n", "needs one column id and one column split; it has id, what"),
        ("id,split\np0,train\n", r"leaves out 2 of 3 images \(p1, p2\)"),
        ("id,split\np0,train,1\n", "row 2: 3 cells where the header has 2"),
        ("id,split\np0,train\np1,val\np2,val\n", "no image is left for test"),
    ],
)
def test_bad_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(SplitError, match=message):
        make_splits(str(path), IDS[:3], CONTENT_IDS[:3])


def test_refusals() -> None:
    with pytest.raises(SplitError, match="neither grouped nor article nor a file"):
        make_splits("random", IDS, CONTENT_IDS)
    with pytest.raises(ConfigError, match="`folds` 3 needs `split` grouped, not article"):
        make_splits("article", IDS, CONTENT_IDS, folds=3)
    with pytest.raises(ConfigError, match="`group_column` needs `split` grouped or a file, not article"):
        make_splits("article", IDS, CONTENT_IDS, group_values=IDS)
    with pytest.raises(SplitError, match="`split` grouped needs at least 3 different"):
        make_splits("grouped", IDS, np.zeros(N, dtype=int))
    with pytest.raises(
        SplitError, match="`folds` 5 needs at least 5 different images or groups; there are 4"
    ):
        make_splits("grouped", IDS, np.arange(N), folds=5, group_values=[f"{i % 4}" for i in range(N)])
    with pytest.raises(SplitError, match="too few"):
        make_splits("article", IDS[:2], CONTENT_IDS[:2])


def test_published_images_never_on_two_sides(published: Path) -> None:
    source = open_source(DataRequest(str(published)))
    images = prepare(source, "auto")
    (split,) = make_splits("grouped", source.ids, images.content_ids)
    assert [len(side) for side in sides(split)] == [1277, 328, 395]
    assert split.leaked == 0
    (article,) = make_splits("article", source.ids, images.content_ids)
    assert article.leaked == 400


def test_groups_on_two_sides_of_a_split_file_are_counted(tmp_path: Path) -> None:
    """The division stays as the file has it; what is known of groups makes it another split."""
    path = tmp_path / "mine.csv"
    rows = (f"{one},{('train', 'val', 'test')[n % 3]}\n" for n, one in enumerate(IDS))
    path.write_text("id,split\n" + "".join(rows))
    contents, values = np.arange(N), [f"P{n // 2}" for n in range(N)]
    (plain,) = make_splits(str(path), IDS, contents)
    (grouped,) = make_splits(str(path), IDS, contents, group_values=values)
    assert [list(one) for one in sides(plain)] == [list(one) for one in sides(grouped)]
    assert (plain.leaked, plain.leaky) == (0, False)
    elsewhere = {values[other] for other in (*grouped.train, *grouped.val)}
    assert grouped.leaked == sum(values[one] in elsewhere for one in grouped.test) > 0
    assert plain.hash != grouped.hash
