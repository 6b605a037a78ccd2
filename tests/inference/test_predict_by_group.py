"""Intervals calibrated group by group, from a bench with a group column to predictions, against numpy."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

import quadzoo as package
from quadzoo.errors import ConfigError, DataError
from quadzoo.inference.calibration import Calibration
from quadzoo.inference.intervals import Intervals
from tests.conftest import Result
from tests.inference.conftest import SHARED

Call = Callable[..., Result]
TARGETS = ["radius", "x"]
GROUPS = ["north", "south", "caf\u00e9", "tiny"]  # in val 8, 7, 6 and 1 images of 22


class Grouped(NamedTuple):
    """Two runs with a group column, and the table of their test images."""

    runs: list[Path]
    table: Path
    frame: pd.DataFrame


@pytest.fixture(scope="module")
def grouped(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> Grouped:
    """Hospitals are on all sides, by a split of one's own."""
    folder = tmp_path_factory.mktemp("grouped")
    table = pd.read_csv(discs / "discs.csv")
    sides = np.array((["train"] * 25) + ["val"] * 22 + ["test"] * 13)
    of_val = ["north"] * 8 + ["south"] * 7 + ["caf\u00e9"] * 6 + ["tiny"]
    table["hospital"] = GROUPS[:3] * 8 + ["north"] + of_val + [*(GROUPS * 3), "elsewhere"]
    table.to_csv(folder / "data.csv", index=False)
    table.assign(split=sides)[["file", "split"]].to_csv(folder / "split.csv", index=False)
    package.bench(
        **SHARED, heads=["linear", "gaussian"], data=str(folder / "data.csv"), images=discs / "photos",
        targets=TARGETS, id_column="file", group_column="hospital", split=str(folder / "split.csv"),
        precision="32", out=folder / "results",
    )  # fmt: skip
    runs = sorted(
        (folder / "results" / "runs").iterdir(),
        key=lambda run: json.loads((run / "record.json").read_text())["head"] != "linear",
    )
    new = table[sides == "test"].rename(columns={"hospital": "site"})
    # A letter and its accent, and blanks: the same cells to every reader of tables.
    new["site"] = [" cafe\u0301 " if one == "caf\u00e9" else one for one in new["site"]]
    new["image"] = [str(discs / "photos" / f"{one}.png") for one in new["file"]]
    new.to_csv(folder / "new.csv", index=False)
    return Grouped(runs, folder / "new.csv", new)


def val_of(run: Path) -> pd.DataFrame:
    table = pd.read_csv(run / "predictions.csv", keep_default_na=False)
    return table[table["split"] == "val"]


def predicted(model: Any, frame: pd.DataFrame, **options: Any) -> tuple[pd.DataFrame, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = model.predict(frame, interval=0.8, interval_by="site", **options)
    return found, [str(one.message) for one in caught]


@pytest.mark.parametrize("n_runs", [1, 2])
def test_half_a_width_is_a_quantile_of_the_groups_own_residuals(grouped: Grouped, n_runs: int) -> None:
    frame = grouped.frame[grouped.frame["site"] != "tiny"]
    runs = grouped.runs[:n_runs]
    found, told = predicted(package.load(",".join(map(str, runs))), frame)
    tables = [val_of(run) for run in runs]
    assert {*tables[0]["group_value"]} == {*GROUPS}
    cells = ["caf\u00e9" if one == " cafe\u0301 " else one for one in frame["site"]]
    for target in TARGETS:
        mean = np.mean([table[f"{target}_pred"].to_numpy() for table in tables], axis=0)
        residuals = np.abs(mean - tables[0][target].to_numpy())
        for row, group in zip(found.to_dict("records"), cells, strict=True):
            own = np.sort(residuals[(tables[0]["group_value"] == group).to_numpy()])
            half = own[int(np.ceil(0.8 * (len(own) + 1))) - 1] if len(own) else np.nan
            ends = [row[f"{target}_low"], row[f"{target}_high"]]
            assert np.allclose(ends, [row[target] - half, row[target] + half], atol=1e-4, equal_nan=True)
            assert np.isnan(row[f"{target}_joint_low"]) == (group == "elsewhere")
    assert found["x"].notna().all()
    assert found.index.equals(frame.index)
    of_group = [one for one in told if "group" in one]
    assert of_group == [
        f"1 of {len(frame)} images have no interval, since no val image is of their group; the first is "
        f"{frame['image'].iloc[-1]}, of group 'elsewhere'"
    ]  # fmt: skip


def test_widths_are_proportional_to_the_spread_within_a_group(grouped: Grouped) -> None:
    run = grouped.runs[1]
    frame = grouped.frame[grouped.frame["site"] == "north"]
    found, _ = predicted(package.load(run), frame)
    val, test = val_of(run), pd.read_csv(run / "predictions.csv").set_index("id")
    val = val[val["group_value"] == "north"]
    scores = np.sort(np.abs(val["x_pred"] - val["x"]) / val["x_spread"])
    half = scores[int(np.ceil(0.8 * (len(scores) + 1))) - 1] * test.loc[frame["file"], "x_spread"]
    assert np.allclose(found["x_high"] - found["x"], half, rtol=1e-3)


def test_the_command_line(grouped: Grouped, discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    kept = grouped.frame[grouped.frame["site"] != "tiny"].drop(columns="image")
    kept.to_csv(tmp_path / "new.csv", index=False)
    given = ("predict", grouped.runs[0], "--csv-in", tmp_path / "new.csv", "--images", discs / "photos",
             "--id-column", "file", "--interval", 0.8, "--interval-by", "site")  # fmt: skip
    done = quadzoo(*given, "--json")
    assert done.status == 0
    assert "1 of 10 images have no interval, since no val image is of their group" in done.err
    rows = json.loads(done.out)["predictions"]
    expected, _ = predicted(package.load(grouped.runs[0]), grouped.frame[grouped.frame["site"] != "tiny"])
    assert [row["x_low"] for row in rows[:-1]] == pytest.approx(expected["x_low"].tolist()[:-1], abs=1e-4)
    assert (rows[-1]["x_low"], rows[-1]["x"] is None) == (None, False)
    assert quadzoo(*given).out.splitlines()[-1].split()[-2:] == ["none", "none"]


def test_what_cannot_be_had_is_refused(grouped: Grouped, disc_runs: Path, quadzoo: Call, discs: Path) -> None:
    other = next(iter(sorted((disc_runs / "runs").iterdir())))
    given = ("--csv-in", grouped.table, "--id-column", "file", "--images", discs / "photos")
    refused = {
        (grouped.runs[0], *given, "--interval-by", "site"): "--interval-by is for intervals; add --interval",
        (grouped.runs[0], discs / "photos", "--interval", 0.8, "--interval-by", "site"):
            "--interval-by names a column of the table in --csv-in",
        (grouped.runs[0], *given, "--interval", 0.8, "--interval-by", "sight"):
            "no column 'sight' (--interval-by); did you mean 'site'? it has file, radius, x, who, site",
        (other, *given, "--interval", 0.8, "--interval-by", "site"):
            "have no groups: it was benched without --group-column, or is an export",
        (grouped.runs[0], *given, "--interval", 0.8, "--interval-by", "site"):
            "interval 0.8 needs at least 4 val images of group 'tiny', there are 1; choose a lower",
        (grouped.runs[0], *given, "--interval", 0.8, "--interval-by", "who"):
            "no val image is of a group of these images, such as 'person 15', so there are no intervals; "
            "groups of val are caf\u00e9, north, south, tiny",
    }  # fmt: skip
    for arguments, told in refused.items():
        done = quadzoo("predict", *arguments)
        assert done.status == 2, arguments
        assert told in done.error
        assert len(done.error) <= 320


def test_what_is_refused_in_python(grouped: Grouped) -> None:
    model = package.load(grouped.runs[0])
    with pytest.raises(ConfigError, match="`interval_by` names a column of a DataFrame"):
        model.predict(grouped.frame["image"], interval=0.8, interval_by="site")
    with pytest.raises(ConfigError, match="`interval_by` is for intervals"):
        model.predict(grouped.frame, interval_by="site")
    with pytest.raises(DataError, match=r"the DataFrame: no column 'sight' \(`interval_by`\); did you mean"):
        model.predict(grouped.frame, interval=0.8, interval_by="sight")


def test_each_group_is_covered() -> None:
    """Of two groups with different errors, intervals for all cover one too often, the other too rarely."""
    rng = np.random.default_rng(0)
    labels = ["easy"] * 60 + ["hard"] * 40
    scale = np.array([1.0] * 60 + [4.0] * 40)[:, None]
    inside: dict[str, list[float]] = {"easy": [], "hard": []}
    together: dict[str, list[float]] = {"easy": [], "hard": []}
    for _ in range(400):
        val, new = (rng.normal(size=(100, 1)) * scale for _ in range(2))
        source = Calibration(
            targets=("y",), ranges=np.ones(1), truth=val, prediction=np.zeros_like(val),
            labels={"group_value": labels},
        )  # fmt: skip
        for groups, found in (("group_value", inside), (None, together)):
            intervals = Intervals.of(source, 0.9, groups=groups)
            low, high = intervals.around(np.zeros_like(new), groups=labels if groups else None)
            covered = ((low <= new) & (new <= high))[:, 0]
            found["easy"].append(float(covered[:60].mean()))
            found["hard"].append(float(covered[60:].mean()))
    for group, shares in inside.items():
        assert 0.9 <= np.mean(shares) + 0.005 <= 0.935, group
    assert np.mean(together["easy"]) > 0.99
    assert np.mean(together["hard"]) < 0.8
