"""Several runs together: averages, the leaderboard's ensemble, and its best row."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import quadzoo as package
from quadzoo.model.heads.integer import IntegerHead
from quadzoo.targets import TargetInfo, unscale
from tests.inference.conftest import record_of, rewritten

Find = Callable[..., Path]


def files_of_test(out: Path, discs: Path) -> list[Path]:
    (table, *_) = [pd.read_csv(path) for path in sorted(out.glob("runs/*/predictions.csv"))]
    return [discs / "photos" / f"{one}.png" for one in table.loc[table["split"] == "test", "id"]]


def of_run(folder: Path) -> np.ndarray:
    """What a run wrote for its test images, (N, 2)."""
    table = pd.read_csv(folder / "predictions.csv")
    return table.loc[table["split"] == "test", ["radius_pred", "x_pred"]].to_numpy()


def test_runs_with_commas_are_averaged(run_of: Find, out: Path, discs: Path) -> None:
    runs = [run_of("linear", 0), run_of("integer", 1), run_of("linear", 1)]
    model = package.load(",".join([str(runs[0]), runs[1].name, f" {runs[2].name[:8]}"]), out)
    assert [round(one["weight"], 6) for one in model.runs] == [0.333333] * 3
    found = model.predict(files_of_test(out, discs))[["radius", "x"]].to_numpy()
    assert np.allclose(found, np.mean([of_run(run) for run in runs], axis=0), atol=1e-4)


def test_ensemble_is_that_of_the_leaderboard(out: Path, discs: Path) -> None:
    board = json.loads((out / "leaderboard.json").read_text())
    (members,) = (row["members"] for row in board["rows"] if row["backbone"] == "ensemble")
    with pytest.warns(UserWarning, match="ensemble is not better than ridge regression on pixels"):
        model = package.load("ensemble", out)
    assert {one["key"]: one["weight"] for one in model.runs} == pytest.approx(
        {one["key"]: one["weight"] for one in members}
    )
    found = model.predict(files_of_test(out, discs))[["radius", "x"]].to_numpy()
    weights = [one["picks"] for one in members]
    wanted = np.average([of_run(out / "runs" / one["key"]) for one in members], axis=0, weights=weights)
    assert np.allclose(found, wanted, atol=1e-4)
    images, unit = torch.rand(2, 3, *model.image_size), model.members[0].network.trained.unit
    with torch.no_grad():
        alone = [one.weight * one.network.module.predict(images * 255) for one in model.members]
        mean = unscale(torch.stack(alone).sum(dim=0).numpy(), unit)
        assert np.allclose(model.module(images), mean, atol=1e-4)


def test_best_is_the_best_row_s_best_seed_by_val(out: Path) -> None:
    records = [record_of(one) for one in (out / "runs").iterdir()]
    means = pd.DataFrame([{"head": one["head"], "val": one["metrics"]["val_mse"]} for one in records])
    head = means.groupby("head")["val"].mean().idxmin()
    wanted = min((one["metrics"]["val_mse"], one["key"]) for one in records if one["head"] == head)[1]
    with pytest.warns(UserWarning, match="nothing shows that it is worth using"):
        model = package.load("best", out)
    assert [one["key"] for one in model.runs] == [wanted]
    assert wanted in model.told[0]


def test_best_of_several_tables_is_refused(out: Path, run_of: Find, tmp_path: Path) -> None:
    shutil.copytree(out, tmp_path / "two")
    (tmp_path / "two" / "leaderboard.json").unlink()
    first = tmp_path / "two" / "runs" / run_of("linear").name
    rewritten(first, lambda fields: fields["data"].update(name="others", hash="0" * 64))
    first.rename(first.with_name(record_of(first)["key"]))
    for name in ("best", "ensemble"):
        with pytest.raises(
            package.QuadzooError,
            match=rf"^{name}: .* has 2 tables: discs, split grouped; others, ",
        ):
            package.load(name, tmp_path / "two")
    with pytest.raises(package.QuadzooError, match=r"best: .*nowhere is no results folder"):
        package.load("best", tmp_path / "nowhere")


def test_only_runs_of_the_same_targets_are_averaged(run_of: Find, halved: Path) -> None:
    with pytest.raises(package.QuadzooError, match="only runs with the same targets, in the same order"):
        package.load(f"{run_of('linear')},{halved}")


def test_networks_that_see_other_images_have_no_one_module(run_of: Find, tmp_path: Path) -> None:
    folder = tmp_path / "larger"
    shutil.copytree(run_of("linear", 1), folder)
    rewritten(folder, lambda fields: fields["image"].update(size=[96, 96]))
    model = package.load(f"{run_of('linear')},{folder}")
    with pytest.raises(package.QuadzooError, match="module: the 2 networks get images of different sizes"):
        _ = model.module
    with pytest.raises(package.QuadzooError, match="image_size: the 2 networks"):
        _ = model.image_size
    red = np.full((32, 48, 3), (200, 10, 10), np.uint8)
    each = [package.load(one).predict(red).loc[0, "x"] for one in (run_of("linear"), folder)]
    assert model.predict(red).loc[0, "x"] == pytest.approx(np.mean(each))


def test_a_mean_of_expectations_is_that_of_mean_probabilities() -> None:
    """Why predictions are averaged, for heads that classify, too."""
    info = TargetInfo(names=("n", "y"), low=(3.0, 0.0), high=(9.0, 1.0), integer=(True, False))
    torch.manual_seed(0)
    heads = [IntegerHead(8, info).eval() for _ in range(3)]
    features = torch.randn(5, 8, 1, 1) * 9
    with torch.no_grad():
        raw = [head(features) for head in heads]
        mean = torch.stack([head.predict(one) for head, one in zip(heads, raw, strict=True)]).mean(dim=0)
        for place, steps in enumerate(heads[0].steps):
            logits = [one.split([steps + 1 for steps in heads[0].steps], dim=1)[place] for one in raw]
            shares = torch.stack([one.softmax(dim=1) for one in logits]).mean(dim=0)
            assert torch.allclose(shares @ torch.linspace(0, 1, steps + 1), mean[:, place], atol=1e-6)


def test_weights_count(run_of: Find) -> None:
    from quadzoo.inference.images import images_of
    from quadzoo.inference.load import load_model
    from quadzoo.records.trained import read_trained
    from quadzoo.registry import catalogue

    runs = [read_trained(run_of("linear", seed), "run") for seed in (0, 1)]
    red = images_of(np.full((32, 48, 3), (200, 10, 10), np.uint8))
    names = catalogue.load()
    one, other, both = (
        load_model(list(zip(runs, weights, strict=False)), names, "cpu").predicted(red).frame.loc[0, "x"]
        for weights in ((1,), (0, 1), (6, 2))
    )
    assert one != pytest.approx(other, rel=1e-3)
    assert both == pytest.approx(0.75 * one + 0.25 * other)


def test_runs_that_cannot_be_read_are_not_passed_over(out: Path, run_of: Find, tmp_path: Path) -> None:
    shutil.copytree(out, tmp_path / "cut")
    (tmp_path / "cut" / "runs" / run_of("linear").name / "record.json").write_text("")
    with (
        pytest.warns(UserWarning, match=r"run was left out of this table"),
        pytest.warns(UserWarning, match=r"nothing shows that it is worth using|may not be the best"),
    ):
        package.load("best", tmp_path / "cut")
    (_, *others) = (tmp_path / "cut" / "runs").iterdir()
    for one in others:
        (one / "record.json").write_text("")
    with pytest.raises(package.QuadzooError, match=r"ensemble: .* (has none: .* left out|no run that can)"):
        package.load("ensemble", tmp_path / "cut")
