"""Starting from a trained model, by the real command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ..conftest import Result
from ..runs import loaded, records

Call = Callable[..., Result]


@pytest.fixture(scope="module")
def trained(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that has learnt radius and x, in colour, a little."""
    from quadzoo.cli import main

    out = tmp_path_factory.mktemp("trained") / "out"
    with pytest.raises(SystemExit) as ended:
        main([*discs_of(discs), "--backbones", "tiny_cnn", "--heads", "integer", "--weights", "none",
              "--epochs", "3", "--image-size", "32x48", "--out", str(out)])  # fmt: skip
    assert ended.value.code == 0
    (folder,) = (out / "runs").iterdir()
    return folder


def discs_of(folder: Path, table: Path | None = None) -> list[str]:
    return [
        "bench", "--data", str(table or folder / "discs.csv"), "--images", str(folder / "photos"),
        "--targets", "radius,x", "--id-column", "file",
    ]  # fmt: skip


def predictions(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "predictions.csv").set_index("id")


def only(out: Path) -> dict[str, Any]:
    (record,) = records(out)
    return record


def test_testing_a_run_again_gives_what_it_gave(
    trained: Path, discs: Path, quadzoo: Call, tmp_path: Path
) -> None:
    done = quadzoo(*discs_of(discs), "--init", trained, "--epochs", 0, "--out", tmp_path)
    assert done.status == 0, done.err
    before, after = json.loads((trained / "record.json").read_text()), only(tmp_path)
    assert after["metrics"] == before["metrics"]
    assert after["precision"] == before["precision"]
    assert after["precision_note"] in ("as it was trained", "bf16 is not native here")
    assert after["key"] != before["key"]
    assert (after["backbone"], after["head"], after["image"]) == ("tiny_cnn", "integer", before["image"])
    assert after["weights"] == f"run {before['key']}"
    assert after["initial"] == {
        "key": before["key"], "sha256": before["files"]["model.safetensors"], "overlap": 0, "overlap_val": 0,
    }  # fmt: skip
    assert (after["history"], after["best_epoch"], after["unit"]) == ([], None, None)
    assert after["cost"]["fit_seconds"] == 0
    assert after["prediction_mode"] == before["prediction_mode"]
    assert before["prediction_mode"] in ("expectation", "mode")
    assert quadzoo("verify", tmp_path).status == 0
    assert after["weights"] in (tmp_path / "leaderboard.md").read_text()


def test_the_prediction_mode_is_the_one_val_prefers(trained: Path, discs: Path) -> None:
    import safetensors.torch

    record = json.loads((trained / "record.json").read_text())
    mode = safetensors.torch.load_file(trained / "model.safetensors")["head.mode"]
    assert bool(mode) == (record["prediction_mode"] == "mode")
    # A mode is a value of the classifier: a whole number.
    radius = predictions(trained)["radius_pred"]
    assert ((radius - radius.round()).abs() < 1e-3).all() == bool(mode)


def test_no_other_prediction_mode_has_a_lower_val_mse(trained: Path, discs: Path) -> None:
    import torch

    from quadzoo.metrics import scores_of
    from quadzoo.targets import unscale

    task, fold, pixels, module = loaded(discs, trained)
    val = fold.split.val
    images = torch.from_numpy(pixels[val]).permute(0, 3, 1, 2)
    found = {}
    for name in module.head.prediction_modes:
        module.head.use_prediction_mode(name)
        with torch.inference_mode():
            prediction = unscale(module.predict(images).double().numpy(), task.unit)
        found[name] = scores_of(prediction, fold.targets[val], task.targets)["mse"]
    record = json.loads((trained / "record.json").read_text())
    low, high = sorted(found.values())
    assert low < 0.98 * high
    assert found[record["prediction_mode"]] == low
    assert record["metrics"]["val_mse"] == pytest.approx(low, rel=0.01)


def test_training_goes_on_from_the_weights(trained: Path, discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    done = quadzoo(*discs_of(discs), "--init", trained, "--epochs", 2, "--lr", 1e-7, "--out", tmp_path)
    assert done.status == 0, done.err
    record, before = only(tmp_path), json.loads((trained / "record.json").read_text())
    # So slow a training hardly moves the weights, but for the statistics of normalisation layers.
    assert record["metrics"]["val_mse"] < 2 * before["metrics"]["val_mse"]
    assert len(record["history"]) == 2
    assert record["flags"]["--init"] == f"./{trained.name}"
    assert "--weights" not in record["flags"]


def test_what_cannot_change_a_test_alone_is_not_in_its_key(
    trained: Path, discs: Path, quadzoo: Call, tmp_path: Path
) -> None:
    plans = [
        json.loads(
            quadzoo(*discs_of(discs), "--init", trained, *flags, "--dry-run", "--json", "--out", tmp_path).out
        )["runs"][0]["key"]
        for flags in (
            ("--epochs", 0),
            ("--epochs", 0, "--lr", 1, "--seeds", 7, "--augment", "none"),
            ("--epochs", 1),
            ("--epochs", 1, "--seeds", 7),
        )
    ]
    assert plans[0] == plans[1]
    assert len(set(plans)) == 3


def test_other_data_keep_the_model_s_unit(discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    """Where the same images have other labels, and so other ranges, they get the same answers."""
    done = quadzoo(*discs_of(discs), "--backbones", "tiny_cnn", "--heads", "linear", "--weights", "none",
                   "--epochs", 2, "--image-size", "32x48", "--out", tmp_path / "first")  # fmt: skip
    assert done.status == 0
    (model,) = (tmp_path / "first" / "runs").iterdir()
    table = pd.read_csv(discs / "discs.csv")
    table.assign(radius=3 * table["radius"] + 5).to_csv(tmp_path / "other.csv", index=False)
    out = tmp_path / "out"
    done = quadzoo(*discs_of(discs, tmp_path / "other.csv"), "--init", model, "--epochs", 0, "--out", out)
    assert done.status == 0, done.err
    record, before = only(out), json.loads((model / "record.json").read_text())
    assert record["unit"] == before["unit"]
    assert record["target_low"] != before["target_low"]
    assert record["prediction_mode"] is None
    (folder,) = (out / "runs").iterdir()
    both = predictions(folder).add_suffix("_new").join(predictions(model).add_suffix("_old"), how="inner")
    assert len(both) == len(predictions(folder))
    for target in ("radius", "x"):
        new, old = both[f"{target}_pred_new"].to_numpy(), both[f"{target}_pred_old"].to_numpy()
        assert new == pytest.approx(old, rel=1e-6)
    assert quadzoo("verify", out).status == 0


def test_a_grey_model_sees_colours_grey(equations: Path, discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"id": [f"disc {i:02d}" for i in range(60)], "a": range(60), "b": range(60), "c": range(60)}
    )
    table.to_csv(tmp_path / "abc.csv", index=False)
    grey = tmp_path / "grey"
    done = quadzoo("bench", "--backbones", "tiny_cnn", "--weights", "none", "--epochs", 1,
                   "--data", equations, "--out", grey)  # fmt: skip
    assert done.status == 0
    (model,) = (grey / "runs").iterdir()
    done = quadzoo("bench", "--data", tmp_path / "abc.csv", "--images", discs / "photos",
                   "--targets", "a,b,c", "--init", model, "--epochs", 0,
                   "--out", tmp_path / "out")  # fmt: skip
    assert done.status == 0, done.err
    assert only(tmp_path / "out")["image"]["channels"] == 1


REFUSED = {
    "other backbone": (["--backbones", "resnet18"], "fixes it to tiny_cnn; leave --backbones out"),
    "other head": (["--heads", "mlp"], "fixes it to integer; leave --heads out"),
    "other size": (["--image-size", "64"], "fixes it to 32x48; leave --image-size out"),
    "weights": (["--weights", "none"], "--init brings the weights"),
    "several seeds of nothing": (["--epochs", "0", "--seeds", "0,1"], "one of --seeds is enough"),
    "other targets": (["--targets", "x,radius"], "it predicts radius, x, the targets are x, radius"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(
    case: str, trained: Path, discs: Path, quadzoo: Call, tmp_path: Path
) -> None:
    flags, told = REFUSED[case]
    result = quadzoo(*discs_of(discs), "--init", trained, *flags, "--out", tmp_path / "out")
    assert result.status == 2
    assert told in result.error
    assert not (tmp_path / "out").exists()


def test_the_fixed_may_be_said_again(trained: Path, discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    result = quadzoo(*discs_of(discs), "--init", trained, "--backbones", "tiny_cnn", "--heads", "integer",
                     "--dry-run", "--out", tmp_path)  # fmt: skip
    assert result.status == 0


def test_nothing_to_start_from(discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    result = quadzoo(*discs_of(discs), "--init", tmp_path / "nowhere")
    assert result.status == 2
    assert "unknown model" in result.error
    assert "nor is it the folder of a run" in result.error
    result = quadzoo(*discs_of(discs), "--init", "best")
    assert result.status == 2
    assert "quadzoo export best FOLDER --out RESULTS" in result.error
    result = quadzoo(*discs_of(discs), "--epochs", 0)
    assert result.status == 2
    assert "--epochs 0 tests what --init loads" in result.error


def spoil_weights(folder: Path) -> str:
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    return "the file was changed or cut off"


def lose_weights(folder: Path) -> str:
    (folder / "model.safetensors").unlink()
    return "its weights cannot be read"


def spoil_record(folder: Path) -> str:
    (folder / "record.json").write_text("{}")
    return "not a record that this version reads"


def fail(folder: Path) -> str:
    record = json.loads((folder / "record.json").read_text())
    error = {"type": "X", "message": "", "traceback": ""}
    (folder / "record.json").write_text(json.dumps(record | {"status": "failed", "error": error}))
    return "status is failed, but metrics has scores"


def rename_backbone(folder: Path) -> str:
    record = json.loads((folder / "record.json").read_text())
    (folder / "record.json").write_text(json.dumps(record | {"backbone": "tiny_cmm"}))
    return "unknown backbone 'tiny_cmm'; did you mean tiny_cnn"


@pytest.mark.parametrize("spoil", [spoil_weights, lose_weights, spoil_record, fail, rename_backbone])
def test_a_broken_model_is_refused(
    spoil: Callable[[Path], str], trained: Path, discs: Path, quadzoo: Call, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "model")
    told = spoil(tmp_path / "model")
    result = quadzoo(*discs_of(discs), "--init", tmp_path / "model", "--out", tmp_path / "out")
    assert result.status == 2
    assert told in result.error
    assert not (tmp_path / "out").exists()


def test_weights_of_another_head_are_a_failed_run(
    trained: Path, discs: Path, quadzoo: Call, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "model")
    record = json.loads((trained / "record.json").read_text())
    (tmp_path / "model" / "record.json").write_text(json.dumps(record | {"head": "mlp"}))
    result = quadzoo(*discs_of(discs), "--init", tmp_path / "model", "--epochs", 0, "--out", tmp_path / "out")
    assert result.status == 1
    assert only(tmp_path / "out")["error"]["type"] == "BadModule"
    assert "do not fit tiny_cnn + mlp" in result.err


SHIPPED = """
from pathlib import Path
from quadzoo import ModelSpec, hookimpl

@hookimpl
def register_models():
    return [
        ModelSpec(name="reads-discs", folder=Path(__file__).parent / "model", description="a test's"),
        ModelSpec(name="lost", folder=Path(__file__).parent / "nowhere"),
    ]
"""


def test_a_model_that_is_installed(trained: Path, discs: Path, quadzoo_process: Call, tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(trained, site / "model")
    (site / "shipped.py").write_text(SHIPPED)
    (site / "shipped-1.0.dist-info").mkdir()
    (site / "shipped-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: shipped\nVersion: 1.0\n"
    )
    (site / "shipped-1.0.dist-info" / "entry_points.txt").write_text("[quadzoo]\nshipped = shipped\n")
    rows = {
        row["name"]: row for row in json.loads(quadzoo_process("list", "models", "--json", path=site).out)
    }
    assert rows["reads-discs"] == {
        "name": "reads-discs", "plugin": "shipped", "backbone": "tiny_cnn", "head": "integer",
        "image_size": "32x48", "targets": "radius,x", "description": "a test's",
    }  # fmt: skip
    assert rows["lost"]["description"].startswith("CANNOT BE USED: ")
    out = tmp_path / "out"
    done = quadzoo_process(*discs_of(discs), "--init", "reads-discs", "--epochs", 0, "--out", out, path=site)
    assert done.status == 0, done.err
    assert only(out)["weights"] == "reads-discs"
    assert "tiny_cnn starts from reads-discs (SHA-256" in done.err


def test_images_that_the_model_has_seen_are_counted(
    trained: Path, discs: Path, quadzoo: Call, tmp_path: Path
) -> None:
    """Whatever the table and the split: an image counts by its pixels."""
    table = pd.read_csv(discs / "discs.csv")
    seen = pd.read_csv(trained / "predictions.csv").query("split == 'test'")["id"]
    known = table[~table["file"].isin(seen)]  # train and val of the model
    shorter = tmp_path / "shorter.csv"
    table.drop(index=known.index[0]).to_csv(shorter, index=False)
    tests = table["file"].isin(known["file"].iloc[1:9])  # eight of them are tested
    sides = pd.Series("train", index=table.index).mask(tests, "test").mask(table["file"].isin(seen), "val")
    division = pd.DataFrame({"id": table["file"], "split": sides}).drop(index=known.index[0])
    division.to_csv(tmp_path / "division.csv", index=False)
    done = quadzoo(*discs_of(discs, shorter), "--init", trained, "--epochs", 0,
                   "--split", tmp_path / "division.csv", "--out", tmp_path / "out")  # fmt: skip
    assert done.status == 0, done.err
    initial = only(tmp_path / "out")["initial"]
    assert (initial["overlap"], initial["overlap_val"]) == (8, 0)
    assert "was trained or selected on 8 of 8 test images" in done.err
    (row,) = (r for r in json.loads((tmp_path / "out" / "leaderboard.json").read_text())["rows"]
              if r["head"] != "-")  # fmt: skip
    assert row["leaky"]
    for name in ("md", "html"):
        assert "8 of the 8 test images" in (tmp_path / "out" / f"leaderboard.{name}").read_text()

    # What a model has seen goes on to the models that start from it.
    done = quadzoo(*discs_of(discs), "--init", trained, "--epochs", 1, "--folds", 3, "--out", tmp_path / "on")
    assert done.status == 0, done.err
    overlaps = [one["initial"]["overlap"] for one in records(tmp_path / "on")]
    assert sum(overlaps) == len(known)
    last = next(one for one in records(tmp_path / "on") if one["split"]["fold"] == 2)
    done = quadzoo(*discs_of(discs), "--init", tmp_path / "on" / "runs" / last["key"], "--epochs", 0,
                   "--out", tmp_path / "third")  # fmt: skip
    assert done.status == 0, done.err
    third = only(tmp_path / "third")["initial"]
    assert third["overlap"] > 0
    assert third["overlap_val"] > 0


def test_a_model_that_does_not_say_what_it_has_seen(
    trained: Path, discs: Path, quadzoo: Call, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "model")
    record = json.loads((trained / "record.json").read_text())
    del record["files"]["seen_images.npy"]
    (tmp_path / "model" / "record.json").write_text(json.dumps(record))
    done = quadzoo(*discs_of(discs), "--init", tmp_path / "model", "--epochs", 0, "--out", tmp_path / "out")
    assert done.status == 0, done.err
    assert only(tmp_path / "out")["initial"]["overlap"] is None
    assert "does not say which images it was trained on" in done.err
    assert "unknown" in (tmp_path / "out" / "leaderboard.md").read_text()


def test_a_changed_list_of_seen_images_is_refused(
    trained: Path, discs: Path, quadzoo: Call, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "model")
    content = (trained / "seen_images.npy").read_bytes()
    (tmp_path / "model" / "seen_images.npy").write_bytes(content[:-1])
    result = quadzoo(*discs_of(discs), "--init", tmp_path / "model", "--out", tmp_path / "out")
    assert result.status == 2
    assert "it was changed or cut off" in result.error
