from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from quadzoo.data.audit import audit
from quadzoo.data.equations import DETAILS_CSV, IMAGES, write_folder
from quadzoo.data.findings import Audit, Finding
from quadzoo.data.sources import DataRequest
from quadzoo.errors import ConfigError, DataError, SplitError


def silent(what: str, total: int) -> Callable[[int], None]:
    return lambda n: None


def audited(path: Path, split: str = "grouped", **flags: object) -> Audit:
    return audit(DataRequest(str(path), **flags), split, silent)


def finding(found: Audit, code: str) -> Finding | None:
    return next((one for one in found.findings if one.code == code), None)


def blob(seed: int) -> np.ndarray:
    """A colour image with some detail, unlike those of other seeds."""
    noise = np.random.default_rng(seed).integers(0, 255, (20, 24, 3), dtype=np.uint8)
    return cv2.resize(noise, (48, 40), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """t.csv (id,weight,height) and twenty different images beside it, nothing wrong with them."""
    lines = ["id,weight,height"]
    for index in range(20):
        assert cv2.imwrite(str(tmp_path / f"p{index:02d}.png"), blob(index))
        lines.append(f"p{index:02d},{index / 2},{40 + index}")
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "t.csv"


def edit(table: Path, old: str, new: str) -> None:
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new))


def test_nothing_wrong(good: Path) -> None:
    found = audited(good)
    assert (found.errors, found.warnings, [one.code for one in found.findings]) == (0, 0, ["few-images"])
    assert (found.name, found.rows, found.usable, found.equations) == ("t", 20, 20, None)
    assert (found.kinds, found.sizes, found.image_size) == ({"PNG RGB": 20}, {"40x48": 20}, "56x64")
    weight, height = found.targets
    assert (weight.name, weight.min, weight.max, weight.integer) == ("weight", 0, 9.5, False)
    assert (height.name, height.mean, height.distinct, height.integer) == ("height", 49.5, 20, True)
    (split,) = found.splits
    assert (split.name, split.train + split.val + split.test, split.leaked) == ("grouped", 20, 0)


def test_columns_are_guessed_or_named(good: Path) -> None:
    edit(good, "id,weight,height", "file,weight,colour")
    text = good.read_text().splitlines()
    good.write_text("\n".join([text[0], *(line.rsplit(",", 1)[0] + ",red" for line in text[1:])]))
    assert [target.name for target in audited(good).targets] == ["weight"]
    assert audited(good, id_column="file", images=good.parent, targets=("weight",)).errors == 0
    with pytest.raises(DataError, match="no column 'size'"):
        audited(good, targets=("size",))
    edit(good, "weight", "split")
    found = audited(good)
    assert (found.targets, found.errors, found.usable) == ([], 1, 20)
    assert [one.code for one in found.findings] == ["no-target", "column-left-out", "few-images"]
    assert found.findings[0].examples[0].startswith("no column mostly holds numbers; name the targets with")


def test_an_image_of_a_kind_that_is_not_read_has_no_row_either(good: Path) -> None:
    (good.parent / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    orphans = finding(audited(good), "image-without-row")
    assert orphans
    assert orphans.examples == ["phone.HEIC"]


def test_every_fault_is_counted_and_the_rest_still_checked(good: Path) -> None:
    edit(good, "p03,1.5,43", "p03,,43")
    edit(good, "p04,2.0,44", "p04,2.0,tall")
    edit(good, "p05,2.5,45", "p05,2.5")
    edit(good, "p06,3.0,46", "p00,3.0,46")
    edit(good, "p07,3.5,47", "../p07,3.5,47")
    edit(good, "p08,4.0,48", "nowhere,4.0,48")
    (good.parent / "p09.png").write_bytes((good.parent / "p09.png").read_bytes()[:300])
    (good.parent / "p10.png").write_bytes(b"")
    found = audited(good)
    counts = {one.code: one.count for one in found.findings if one.severity == "error"}
    assert counts == {
        "missing-target": 1,
        "bad-target": 1,
        "bad-row": 1,
        "bad-id": 1,
        "repeated-id": 1,
        "missing-image": 1,
        "unreadable-image": 2,
    }
    assert (found.rows, found.usable, found.errors) == (20, 12, 7)
    assert (found.missing_images, found.unreadable_images) == (1, 2)
    bad = finding(found, "bad-target")
    assert bad
    (tall,) = bad.examples
    assert tall == (
        f"{good}: row 6: target 'height' is 'tall', not a finite number; write the number, or leave the cell "
        "empty and say `missing_targets` mask"
    )
    # p05 to p08 have lost their rows; p03, p04, p09 and p10 have rows, if bad ones
    orphans = finding(found, "image-without-row")
    assert orphans
    assert orphans.examples == ["p05.png", "p06.png", "p07.png", "p08.png"]
    assert found.images_without_row == 4


def test_nothing_usable(good: Path) -> None:
    for image in good.parent.glob("*.png"):
        image.unlink()
    found = audited(good, targets=("weight",))
    assert (found.rows, found.usable, found.targets, found.splits) == (20, 0, [], [])
    missing = finding(found, "missing-image")
    assert missing
    assert (missing.count, found.missing_images) == (20, 20)


def test_identical_images(good: Path) -> None:
    shutil.copy(good.parent / "p00.png", good.parent / "p10.png")
    cv2.imwrite(str(good.parent / "p11.bmp"), blob(0))
    (good.parent / "p11.png").unlink()
    edit(good, "p10,5.0,50", "p10,0.0,40")
    found = audited(good)
    assert found.duplicates.model_dump() == {"images": 2, "groups": 1, "largest": 3, "disagreeing": 1}
    disagreeing = finding(found, "disagreeing-duplicates")
    assert disagreeing
    assert disagreeing.severity == "error"
    assert disagreeing.examples == [
        "row 2 (p00) with 0,40, row 12 (p10) with 0,40, row 13 (p11) with 5.5,51",
    ]
    edit(good, "p11,5.5,51", "p11,0.0,40")
    found = audited(good)
    assert (found.duplicates.disagreeing, found.errors, found.warnings) == (0, 0, 1)
    assert found.near_duplicates.pairs == 0  # identical ones are not listed twice


def test_images_that_look_alike(good: Path) -> None:
    cv2.imwrite(str(good.parent / "p10.png"), cv2.resize(blob(0), (96, 80)))
    (good.parent / "p11.png").unlink()
    cv2.imwrite(str(good.parent / "p11.jpg"), blob(1), [cv2.IMWRITE_JPEG_QUALITY, 85])
    found = audited(good)
    assert found.near_duplicates.pairs == 2
    near = finding(found, "near-duplicates")
    assert near
    assert near.severity == "warning"
    assert near.examples[0].startswith("row 2 (p00) with 0,40, row 12 (p10) with 5,50: ")
    assert near.examples[1].startswith("row 3 (p01) with 0.5,41, row 13 (p11) with 5.5,51: ")
    ids = [f"p{index:02d}" for index in range(20)]
    sides = ["train"] * 10 + ["test"] * 5 + ["val"] * 5
    split = good.parent / "split.txt"
    split.write_text("id,split\n" + "".join(f"{one},{side}\n" for one, side in zip(ids, sides, strict=True)))
    assert audited(good, str(split)).near_duplicates.across_sides == 2
    split.write_text(split.read_text().replace("p10,test", "p10,train"))
    assert audited(good, str(split)).near_duplicates.across_sides == 1


def test_blank_images_are_listed_and_look_like_no_other(good: Path) -> None:
    cv2.imwrite(str(good.parent / "p10.png"), np.full((40, 48), 9, np.uint8))
    cv2.imwrite(str(good.parent / "p11.png"), np.full((40, 48), 10, np.uint8))
    found = audited(good)
    blank = finding(found, "blank-image")
    assert blank
    assert blank.examples == ["row 12 (p10)", "row 13 (p11)"]
    assert found.near_duplicates.pairs == 0


def test_targets_that_are_constant_or_far_out(good: Path) -> None:
    edit(good, "p00,0.0,40", "p00,1234,40")
    text = good.read_text().splitlines()
    good.write_text("\n".join([text[0], *(line.rsplit(",", 1)[0] + ",7" for line in text[1:])]))
    found = audited(good, targets=("weight", "height"))
    constant, far = finding(found, "constant-target"), finding(found, "stretched-range")
    assert constant
    assert (constant.severity, constant.examples) == ("error", ["height = 7"])
    assert far
    assert far.examples == ["row 2 (p00): weight = 1234"]
    assert (far.severity, far.text) == (
        "warning",
        "weight that makes its range 137 times as wide, in 1 of 20 rows: errors of the others hardly count; "
        "if it is wrong, mend or delete it",
    )
    assert (found.targets[0].outliers, found.targets[1].outliers) == (1, 0)


def test_one_value_in_many_is_an_outlier(equations: Path, tmp_path: Path) -> None:
    shutil.copytree(equations, tmp_path / "e")
    edit(tmp_path / "e" / DETAILS_CSV, "eqn_0000,quadratic/eqn_0000,", "eqn_0000,quadratic/eqn_0000,1")
    outlier = finding(audited(tmp_path / "e"), "outlier")
    assert outlier
    assert (outlier.severity, outlier.count) == ("warning", 1)
    assert outlier.examples[0].startswith("row 2 (eqn_0000): a = 119")


@pytest.mark.parametrize(
    ("values", "rows"),
    [
        ([*range(100), 5000], 1),
        ([-4000, *range(100), 5000], 2),
        ([*range(100), 500], 0),  # five times as wide
        ([*range(50), *range(5000, 5003)], 0),  # more than slips
        ([0] * 99 + [1], 0),  # the others do not vary
        ([*np.exp(np.random.default_rng(0).normal(size=500))], 0),  # a long tail
    ],
)
def test_few_values_that_stretch_the_range(values: list[float], rows: int, tmp_path: Path) -> None:
    lines = ["id,weight"]
    rng = np.random.default_rng(1)
    for number, value in enumerate(values):
        cv2.imwrite(str(tmp_path / f"{number}.png"), rng.integers(0, 256, (4, 5), dtype=np.uint8))
        lines.append(f"{number},{value}")
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    found = finding(audited(tmp_path / "t.csv"), "stretched-range")
    assert (found.count if found else 0) == rows


def test_what_stretches_the_range_hides_no_other_outlier(tmp_path: Path) -> None:
    lines = ["id,weight"]
    for number, value in enumerate([*range(100), 400, 5000]):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((4, 5), number, np.uint8))
        lines.append(f"{number},{value}")
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    found = audited(tmp_path / "t.csv")
    stretched, tail = finding(found, "stretched-range"), finding(found, "long-tail")
    assert stretched
    assert tail
    assert (stretched.count, tail.count) == (1, 2)


@pytest.mark.parametrize("sides", [("train", "test"), ("val", "test"), ("train", "val")])
def test_a_split_that_leaks(good: Path, sides: tuple[str, str]) -> None:
    shutil.copy(good.parent / "p00.png", good.parent / "p10.png")
    edit(good, "p10,5.0,50", "p10,0.0,40")
    split = good.parent / "split.txt"
    rows = [f"p{index:02d},{('train', 'val', 'test')[index % 3]}" for index in range(20)]
    rows[0], rows[10] = f"p00,{sides[0]}", f"p10,{sides[1]}"
    split.write_text("id,split\n" + "\n".join(rows) + "\n")
    found = audited(good, str(split))
    leak = finding(found, "leak")
    if sides[1] == "test":
        assert leak
        assert (leak.severity, leak.examples) == ("error", ["row 12 (p10)"])
        assert (found.splits[0].leaked, found.errors) == (1, 1)
    else:  # no test image is touched, but the epoch is chosen by an image of train
        assert (leak, found.splits[0].leaked, found.splits[0].val_in_train) == (None, 0, 1)
        shared = finding(found, "val-in-train")
        assert shared
        assert (shared.severity, shared.examples, found.errors) == ("warning", ["row 12 (p10)"], 0)


def test_splits_that_cannot_be(good: Path) -> None:
    with pytest.raises(SplitError, match="neither grouped nor article nor a file"):
        audited(good, "nonsense")
    with pytest.raises(ConfigError, match="`group_column` needs `split` grouped"):
        audited(good, "article", group_column="height")
    good.write_text("\n".join(good.read_text().splitlines()[:3]) + "\n")
    split = finding(audited(good), "split")  # the rest is checked
    assert split
    assert split.severity == "error"
    assert "at least 3 different images" in split.examples[0]


def test_groups_stay_together(good: Path) -> None:
    edit(good, "id,weight,height", "id,weight,person")
    assert [target.name for target in audited(good, group_column="person").targets] == ["weight"]


def test_drawn_equations_with_true_labels_have_no_error(tmp_path: Path) -> None:
    write_folder(tmp_path / "true", 150, seed=4, labels="true")
    found = audited(tmp_path / "true")
    assert found.errors == 0
    assert found.equations
    assert (found.equations.read, found.equations.wrong_b, found.equations.wrong_roots) == (150, 0, 0)


def test_published_labels_are_errors_in_b(equations: Path) -> None:
    found = audited(equations)
    factored = [
        line.split(",") for line in (equations / DETAILS_CSV).read_text().splitlines() if line.count("(") == 2
    ]
    wrong = [cells for cells in factored if cells[3] != "0"]
    assert found.equations
    assert found.equations.wrong_b == found.equations.opposite_b == len(wrong) > 10
    wrong_b = finding(found, "wrong-b")
    assert wrong_b
    assert (wrong_b.severity, wrong_b.count) == ("error", len(wrong))
    assert f"is labelled b = {wrong[0][3]}, not {-int(wrong[0][3])}" in wrong_b.examples[0]
    assert [split.name for split in found.splits] == ["grouped", "article"]
    assert found.splits[1].leaked == found.splits[1].test
    assert {one.severity for one in found.findings if one.code == "leak"} == {"note"}


def test_wrong_labels_roots_and_texts_of_equations(tmp_path: Path) -> None:
    write_folder(tmp_path / "e", 60, seed=4, labels="true")
    table = tmp_path / "e" / DETAILS_CSV
    lines = table.read_text().splitlines()
    rows = [line.split(",") for line in lines]
    rows[1][2], rows[2][4], rows[3][5] = "17.5", "", "0.1234"
    rows[4][7] = "so it is"
    table.write_text("\n".join(",".join(row) for row in rows) + "\n")
    found = audited(tmp_path / "e")
    assert found.equations
    facts = found.equations.model_dump()
    assert facts == {
        "read": 59,
        "unreadable": 1,
        "wrong_a": 1,
        "wrong_b": 0,
        "wrong_c": 1,
        "opposite_b": 0,
        "wrong_roots": 1,
    }
    assert {one.code for one in found.findings if one.severity == "error"} == {
        "missing-target",
        "wrong-a",
        "wrong-c",
        "wrong-roots",
    }
    unread = finding(found, "unread-equation")
    assert unread
    assert unread.examples == ["row 5: 'so it is'"]


def test_a_folder_of_equations_without_their_text(equations: Path, tmp_path: Path) -> None:
    shutil.copytree(equations, tmp_path / "e")
    edit(tmp_path / "e" / DETAILS_CSV, "root_2,equation", "root_2,text")
    assert audited(tmp_path / "e").equations is None


def test_nothing_is_kept(
    good: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path_factory.mktemp("own")
    monkeypatch.setenv("QUADZOO_CACHE_DIR", str(cache))
    before = sorted(path.name for path in good.parent.iterdir())
    audited(good)
    assert not list(cache.iterdir())
    assert sorted(path.name for path in good.parent.iterdir()) == before


def test_published_data(published: Path) -> None:
    found = audited(published)
    assert (found.rows, found.usable, found.images_without_row) == (2000, 2000, 0)
    assert (found.kinds, found.sizes) == ({"PNG RGBA": 2000}, {"100x300": 2000})
    assert found.duplicates.model_dump() == {"images": 161, "groups": 148, "largest": 3, "disagreeing": 0}
    assert found.equations
    assert (found.equations.wrong_b, found.equations.opposite_b) == (492, 492)
    assert (found.equations.wrong_a, found.equations.wrong_c, found.equations.wrong_roots) == (0, 0, 0)
    grouped, article = found.splits
    assert (grouped.leaked, article.train, article.val, article.leaked) == (0, 268, 132, 400)
    assert found.near_duplicates.pairs == 1  # (x - 24)(x + 6) = 0 and (x - 24)(x + 8) = 0
    assert found.errors == 1
    with_article = audited(published, "article")
    assert with_article.errors == 2
    assert (published / IMAGES).is_dir()
