"""The whole road, by the real command line, on tiny data."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import safetensors.torch
from PIL import Image

from quadzoo.metrics import evaluate

from ..runs import records

COLUMNS = (
    "rank,backbone,head,weights,seeds,failed,val_mse,test_mse,test_mse_low,test_mse_high,test_exact,params,"
    "gmacs,train_images_per_second,latency_ms,fit_seconds,leaky"
)
TINY = ("bench", "--backbones", "tiny_cnn", "--epochs", "2", "--weights", "none")


def table(out: Path) -> list[dict[str, str]]:
    with (out / "leaderboard.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def finished(equations: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two heads × two seeds of tiny_cnn on 120 equations."""
    from quadzoo.cli import main

    out = tmp_path_factory.mktemp("finished") / "out"
    with pytest.raises(SystemExit) as ended:
        main([*TINY, "--data", str(equations), "--heads", "mlp,linear", "--seeds", "0,1", "--out", str(out)])
    assert ended.value.code == 0
    return out


def test_record_keeps_the_contract(finished: Path) -> None:
    found = records(finished)
    assert {(r["head"], r["seed"]) for r in found} == {("mlp", 0), ("mlp", 1), ("linear", 0), ("linear", 1)}
    for record in found:
        assert record["schema"] == 2
        assert record["status"] == "ok"
        assert (record["backbone"], record["weights"], record["error"]) == ("tiny_cnn", "none", None)
        assert record["data"].keys() >= {"name", "hash", "n", "duplicates"}
        assert record["data"]["n"] == 120
        split = record["split"]
        assert split.keys() >= {"name", "hash", "fold", "n_train", "n_val", "n_test", "leaky"}
        assert split["n_train"] + split["n_val"] + split["n_test"] == 120
        assert (split["name"], split["fold"], split["leaky"]) == ("grouped", 0, False)
        assert record["targets"] == ["a", "b", "c"]
        assert record["metrics"].keys() == {"val_mse", "test_mse", "test_exact", "test_rmse", "test_r2"}
        cost = dict(record["cost"])
        assert cost.pop("fit_energy_joules") is None or record["cost"]["fit_energy_joules"] > 0
        share = cost.pop("cpu_share")
        assert share is None or 0 < share <= 1  # None of a short training
        assert cost.keys() == {
            "params", "gmacs", "train_images_per_second", "fit_seconds", "latency_ms", "latency_p95_ms",
            "images_per_second", "inference_batch", "peak_memory_mb",
        }  # fmt: skip
        assert all(value > 0 for value in cost.values())
        assert cost["latency_p95_ms"] >= cost["latency_ms"]
        flags = {"--data": "./equations", "--epochs": "2", "--weights": "none"}
        assert record["flags"].items() >= flags.items()
        assert record["recipe"].keys() >= {
            "epochs",
            "batch_size",
            "lr",
            "weight_decay",
            "optimizer",
            "schedule",
        }
        assert record["environment"].keys() >= {"quadzoo", "torch", "python", "device", "plugins"}
        assert record["environment"]["plugins"].keys() == {"quadzoo"}
        assert datetime.fromisoformat(record["started"]) < datetime.fromisoformat(record["finished"])
        assert record["started"].endswith("Z")
        assert record["best_epoch"] in (1, 2)
        assert len(record["history"]) == 2


def test_files_are_what_the_record_says(finished: Path) -> None:
    for record in records(finished):
        folder = finished / "runs" / record["key"]
        assert record["files"].keys() == {
            "model.safetensors", "predictions.csv", "worst.webp", "seen_images.npy",
        }  # fmt: skip
        for name, digest in record["files"].items():
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
        weights = safetensors.torch.load_file(folder / "model.safetensors")
        counted = sum(v.numel() for n, v in weights.items() if "running_" not in n and "num_batches" not in n)
        assert counted == record["cost"]["params"]


def test_metrics_follow_from_the_predictions(finished: Path) -> None:
    for record in records(finished):
        rows = pd.read_csv(finished / "runs" / record["key"] / "predictions.csv", dtype={"id": str})
        assert list(rows.columns[:2]) == ["id", "split"]
        assert rows["split"].value_counts().to_dict() == {
            "val": record["split"]["n_val"],
            "test": record["split"]["n_test"],
        }
        for side in ("val", "test"):
            part = rows[rows["split"] == side]
            scores = evaluate(
                part[["a_pred", "b_pred", "c_pred"]].to_numpy(),
                part[["a", "b", "c"]].to_numpy(dtype=float),
                names="abc",
                low=[1, -48, -792],
                high=[20, 96, 600],
                integer=[True] * 3,
            )
            assert record["metrics"][f"{side}_mse"] == pytest.approx(scores["mse"], rel=1e-12)
        assert record["metrics"]["test_rmse"] == pytest.approx(scores["rmse"], rel=1e-12)
        assert record["metrics"]["test_r2"] == pytest.approx(scores["r2"], rel=1e-12)
        assert record["metrics"]["test_exact"] == scores["exact"]
        assert record["metrics"]["val_mse"] == pytest.approx(
            record["history"][record["best_epoch"] - 1]["val_mse"], rel=1e-3
        )


def test_leaderboard_files(finished: Path) -> None:
    rows = table(finished)
    assert ",".join(rows[0]).startswith(COLUMNS)
    assert {(row["backbone"], row["head"]) for row in rows} == {
        ("tiny_cnn", "mlp"), ("tiny_cnn", "linear"), ("mean-of-train", "-"), ("pixel-lookup", "-"),
        ("ridge-pixels", "-"), ("ensemble", "-"),
    }  # fmt: skip
    scores = [float(row["val_mse"]) for row in rows]
    assert scores == sorted(scores)
    row = next(row for row in rows if row["head"] == "mlp")
    runs = [r for r in records(finished) if r["head"] == "mlp"]
    assert (row["seeds"], row["failed"], row["leaky"]) == ("2", "0", "False")
    assert float(row["test_mse"]) == pytest.approx(np.mean([r["metrics"]["test_mse"] for r in runs]))
    assert float(row["test_mse_low"]) < float(row["test_mse"]) < float(row["test_mse_high"])
    page = (finished / "leaderboard.md").read_text()
    assert all(f"{target}: RMSE (R²)" in page for target in "abc")
    board = json.loads((finished / "leaderboard.json").read_text())
    assert [r["backbone"] for r in board["rows"]] == [r["backbone"] for r in rows]
    assert board["rows"][0]["test_rmse"].keys() == {"a", "b", "c"}


def test_the_worst_images_are_kept(finished: Path, equations: Path) -> None:
    record = records(finished)[0]
    folder = finished / "runs" / record["key"]
    rows = pd.read_csv(folder / "predictions.csv", dtype={"id": str})
    test = rows[rows["split"] == "test"].set_index("id")
    spread = {"a": 19, "b": 144, "c": 1392}
    error = sum(((test[f"{t}_pred"] - test[t]) / width) ** 2 for t, width in spread.items())
    assert record["worst"] == error.sort_values(ascending=False, kind="stable").index[:24].tolist()
    height, width = record["image"]["size"]
    with Image.open(folder / "worst.webp") as strip:
        assert strip.size == (width, height * len(record["worst"]))
        top = np.asarray(strip.convert("L").crop((0, 0, width, height)))
    image = cv2.imread(str(equations / "Images of Equations" / f"{record['worst'][0]}.png"), 0)
    # As the network saw it: the border cut off.
    first_row, first_column, last_row, last_column = record["image"]["crop"]
    ink = image[first_row:last_row, first_column:last_column]
    assert np.corrcoef(top.ravel(), ink.ravel())[0, 1] > 0.98
    assert set(rows["image_kind"]) <= {
        "ax² + bx + c = 0", "ax² + bx = c", "bx + c = -ax²", "(x - r)(x - s) = 0",
    }  # fmt: skip
    groups = rows.groupby("image_group")["split"].nunique()
    assert (groups == 1).all()


def test_report_gives_the_same_bytes_and_all_is_verified(
    finished: Path, quadzoo: Callable[..., Any], tmp_path: Path
) -> None:
    written = {path.name: path.read_bytes() for path in finished.glob("leaderboard.*")}
    assert written.keys() == {f"leaderboard.{suffix}" for suffix in ("csv", "md", "json", "html")}
    assert quadzoo("report", finished, "--to", tmp_path).status == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == written
    verdict = quadzoo("verify", finished, "--json")
    assert (verdict.status, json.loads(verdict.out)["faults"]) == (0, [])


def test_finished_runs_are_not_repeated(finished: Path, equations: Path, quadzoo: Callable[..., Any]) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.glob("runs/*/*") if path.name != ".lock"}
    result = quadzoo(*TINY, "--data", equations, "--heads", "mlp,linear", "--seeds", "0,1", "--out", finished)
    assert result.status == 0
    assert "4 done already" in result.err
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_same_seed_same_digits_and_force(
    finished: Path, equations: Path, quadzoo: Callable[..., Any], tmp_path: Path
) -> None:
    flags = (*TINY, "--data", equations, "--out", tmp_path / "again")
    assert quadzoo(*flags).status == 0
    (again,) = records(tmp_path / "again")
    (first,) = (r for r in records(finished) if r["key"] == again["key"])
    assert again["metrics"] == first["metrics"]
    assert again["files"] == first["files"]
    assert quadzoo(*flags, "--force").status == 0
    (forced,) = records(tmp_path / "again")
    assert forced["started"] > again["started"]
    assert forced["metrics"] == first["metrics"]


def test_key_knows_what_changes_a_score(
    finished: Path, equations: Path, quadzoo: Callable[..., Any], tmp_path: Path
) -> None:
    def keys(*flags: str) -> set[str]:
        arguments = {
            "--epochs": "2",
            "--out": str(tmp_path / "x"),
            **dict(zip(flags[::2], flags[1::2], strict=True)),
        }
        listed = [part for pair in arguments.items() for part in pair]
        base = (
            "bench",
            "--backbones",
            "tiny_cnn",
            "--weights",
            "none",
            "--data",
            equations,
            "--dry-run",
            "--json",
        )
        return {run["key"] for run in json.loads(quadzoo(*base, *listed).out)["runs"]}

    plain = keys()
    assert plain < {record["key"] for record in records(finished)}
    assert keys("--jobs", "2", "--device", "cpu", "--out", str(tmp_path / "y")) == plain
    for change in (
        "--epochs 3", "--lr 0.5", "--batch-size 9", "--seeds 7", "--heads linear", "--split article",
        "--image-size 32x64", "--precision 32", "--targets a,b",
    ):  # fmt: skip
        other = keys(*change.split())
        if change != "--precision 32" or "bf16" in {r["precision"] for r in records(finished)}:
            assert not other & plain, change
    assert len(keys("--folds", "3")) == 3
    assert not (tmp_path / "x").exists()


def test_failed_run_is_shown_and_run_again(
    equations: Path, quadzoo: Callable[..., Any], tmp_path: Path
) -> None:
    flags = (*TINY, "--data", equations, "--out", tmp_path)
    result = quadzoo(*flags, "--lr", "1e30")
    assert result.status == 1
    assert "FAILED: NonFiniteLoss" in result.err
    (record,) = records(tmp_path)
    assert (record["status"], record["error"]["type"]) == ("failed", "NonFiniteLoss")
    assert "Traceback" in record["error"]["traceback"]
    assert set(record["metrics"].values()) == {None}
    assert not (tmp_path / "runs" / record["key"] / "model.safetensors").exists()
    assert "NonFiniteLoss" in (tmp_path / "leaderboard.md").read_text()
    (failed,) = (row for row in table(tmp_path) if row["backbone"] == "tiny_cnn")
    assert (failed["rank"], failed["failed"], failed["val_mse"]) == ("", "1", "")
    assert quadzoo(*flags, "--lr", "1e30").status == 1  # tried again, failed again
    assert records(tmp_path)[0]["started"] > record["started"]


def test_a_damaged_record_ends_no_bench(equations: Path, quadzoo: Callable[..., Any], tmp_path: Path) -> None:
    """Another's is left out and named; the bench's own is made again."""
    command = (*TINY, "--data", equations, "--out", tmp_path)
    assert quadzoo(*command).status == 0
    (own,) = tmp_path.glob("runs/*/record.json")
    whole = own.read_bytes()
    own.write_bytes(whole[:300])
    other = tmp_path / "runs" / "other" / "record.json"
    other.parent.mkdir()
    other.write_text("{}")
    result = quadzoo(*command)
    assert result.status == 1
    assert f"warning: run {own.parent.name} cannot be read" in result.err
    assert f"run {own.parent.name} left out" not in result.err
    assert "warning: run other left out: record.json: not a record" in result.err
    assert "1 run was left out of this table: other" in result.out
    assert "1 run was left out of this table: other" in (tmp_path / "leaderboard.md").read_text()
    assert json.loads(own.read_text())["metrics"] == json.loads(whole)["metrics"]
    assert [row["backbone"] for row in table(tmp_path) if row["head"] != "-"] == ["tiny_cnn"]


def test_article_split_is_marked_and_lookup_exposes_it(
    equations: Path, quadzoo: Callable[..., Any], tmp_path: Path
) -> None:
    result = quadzoo(*TINY, "--data", equations, "--split", "article", "--out", tmp_path)
    assert result.status == 0
    assert "leaks" in result.err
    (record,) = records(tmp_path)
    assert (record["split"]["n_train"], record["split"]["n_val"], record["split"]["n_test"]) == (16, 8, 24)
    assert record["split"]["leaky"] is True
    rows = {row["backbone"]: row for row in table(tmp_path)}
    assert float(rows["pixel-lookup"]["test_mse"]) < 0.5 * float(rows["mean-of-train"]["test_mse"])
    assert {row["leaky"] for row in rows.values()} == {"True"}


def test_folds_cover_everything_once(equations: Path, quadzoo: Callable[..., Any], tmp_path: Path) -> None:
    assert quadzoo(*TINY, "--data", equations, "--folds", "2", "--jobs", "2", "--out", tmp_path).status == 0
    found = records(tmp_path)
    assert sorted(record["split"]["fold"] for record in found) == [0, 1]
    tested: list[str] = []
    for record in found:
        rows = pd.read_csv(tmp_path / "runs" / record["key"] / "predictions.csv")
        tested += rows[rows["split"] == "test"]["id"].tolist()
    assert len(tested) == len(set(tested)) == 120
    (row,) = (row for row in table(tmp_path) if row["backbone"] == "tiny_cnn")
    weighted = np.average(
        [r["metrics"]["test_mse"] for r in found], weights=[r["split"]["n_test"] for r in found]
    )
    assert float(row["test_mse"]) == pytest.approx(weighted)
    assert row["seeds"] == "1"


def test_any_csv(discs: Path, quadzoo: Callable[..., Any], tmp_path: Path) -> None:
    """Colour images, an integer and a real target, names without suffix, persons kept together."""
    result = quadzoo(
        *TINY, "--data", discs / "discs.csv", "--images", discs / "photos", "--targets", "radius,x",
        "--id-column", "file", "--group-column", "who", "--out", tmp_path, "--json",
    )  # fmt: skip
    assert result.status == 0
    board = json.loads(result.out)
    assert board["data"]["name"] == "discs"
    (record,) = records(tmp_path)
    assert record["split"]["group_column"] == "who"
    assert record["image"]["channels"] == 3
    assert record["targets"] == ["radius", "x"]
    assert record["metrics"]["test_exact"] is None
    rows = pd.read_csv(tmp_path / "runs" / record["key"] / "predictions.csv")
    people = rows["id"].str.extract(r"(\d+)$")[0].astype(int) // 3
    assert not set(people[rows["split"] == "val"]) & set(people[rows["split"] == "test"])
    assert rows["group_value"].str.fullmatch(r"\D*\d+\D*").all()


def test_leaderboard_holds_only_this_data_and_split(
    finished: Path, equations: Path, quadzoo: Callable[..., Any], tmp_path: Path
) -> None:
    for split in ("grouped", "article"):
        result = quadzoo(*TINY, "--data", equations, "--split", split, "--out", tmp_path, "--json")
        assert [row["backbone"] for row in json.loads(result.out)["rows"]].count("tiny_cnn") == 1
    assert len(records(tmp_path)) == 2


def test_a_name_for_both_ways_of_writing_it(
    equations: Path, quadzoo: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUADZOO_CACHE_DIR", str(tmp_path / "cache"))

    def planned(names: str) -> dict[str, str]:
        result = quadzoo(
            "bench", "--backbones", names, "--weights", "none", "--data", equations,
            "--dry-run", "--json", "--out", tmp_path / "out",
        )  # fmt: skip
        return {run["backbone"]: run["key"] for run in json.loads(result.out)["runs"]}

    both = planned("convnext_atto,timm/convnext_atto")
    assert list(both) == ["convnext_atto"]
    assert list(planned("timm/convnext_atto").values()) == list(both.values())
    # Tried twice, its precision could have two answers: then it would be two runs.
    assert len([*(tmp_path / "cache" / "precision").glob("*")]) <= 1  # none where bf16 is not native


def test_a_recipe_that_standardises_and_averages(equations: Path, tmp_path: Path) -> None:
    import quadzoo

    quadzoo.bench(
        backbones=["tiny_cnn"], weights="none", data=str(equations), out=tmp_path,
        recipe={"epochs": 2, "average": 0.9, "unit": "standard"},
    )  # fmt: skip
    (record,) = records(tmp_path)
    spread = np.array(record["unit"]["high"]) - record["unit"]["low"]
    assert (spread < np.array(record["target_high"]) - record["target_low"]).all()
    # Scores are in the range's unit all the same: about those of a network that has learned little.
    assert 0.01 < record["metrics"]["test_mse"] < 1
    assert record["recipe"]["average"] == 0.9
