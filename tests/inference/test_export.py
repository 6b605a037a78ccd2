"""`quadzoo export`: a folder that works like its run, tells of nobody, and is written whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from huggingface_hub import ModelCard

import quadzoo
from quadzoo import api
from quadzoo.errors import ConfigError, DataError, QuadzooError, StorageError
from quadzoo.inference import hub
from tests.runs import records

RunOf = Callable[..., Path]
needs_onnx = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("onnx", "onnxruntime", "onnxscript")),
    reason="quadzoo[onnx] is not installed",
)


@pytest.fixture
def exported(run_of: RunOf, tmp_path: Path) -> Path:
    """The export of a run with the head linear."""
    api.export(run_of("linear"), tmp_path / "mine")
    return tmp_path / "mine"


def test_an_export_predicts_as_its_run_does(run_of: RunOf, exported: Path, discs: Path) -> None:
    photos = [discs / "photos" / f"disc {n:02d}.png" for n in range(5)]
    here = quadzoo.load(exported, device="cpu").predict(photos, interval=0.8)
    assert len(here.columns) == 1 + 2 + 4 + 4  # joint ones, too
    assert here.equals(quadzoo.load(run_of("linear"), device="cpu").predict(photos, interval=0.8))


def test_an_export_can_be_exported_again(exported: Path, tmp_path: Path) -> None:
    api.export(exported, tmp_path / "again")
    for name in ("config.json", "model.safetensors", "predictions.csv", "seen_images.npy"):
        assert (tmp_path / "again" / name).read_bytes() == (exported / name).read_bytes()


def test_nothing_in_it_names_an_image(run_of: RunOf, exported: Path) -> None:
    ran = json.loads((run_of("linear") / "record.json").read_text())
    assert ran["worst"][0].startswith("disc ")  # what must not be there
    texts = [(exported / name).read_text() for name in ("config.json", "predictions.csv", "README.md")]
    assert not any("disc " in text or "discs.csv" in text or "photos" in text for text in texts)
    table = pd.read_csv(exported / "predictions.csv")
    assert list(table["id"]) == [*range(1, ran["split"]["n_val"] + 1)]
    assert set(table["split"]) == {"val"}
    own = pd.read_csv(run_of("linear") / "predictions.csv")
    own = own[own["split"] == "val"].sort_values("id")
    assert table["x_pred"].tolist() == own["x_pred"].tolist()
    # Images of one group keep one.
    assert table.groupby("image_group").ngroups == own.groupby("image_group").ngroups < len(own)


def test_a_bench_starts_from_an_export(run_of: RunOf, exported: Path, discs: Path, tmp_path: Path) -> None:
    api.bench(
        data=str(discs / "discs.csv"), images=discs / "photos", targets=["radius", "x"], id_column="file",
        init=str(exported), epochs=0, precision="32", out=tmp_path / "out",
    )  # fmt: skip
    (record,) = records(tmp_path / "out")
    ran = json.loads((run_of("linear") / "record.json").read_text())
    assert record["metrics"]["test_mse"] == pytest.approx(ran["metrics"]["test_mse"], rel=1e-5)
    assert record["initial"]["key"] == ran["key"]
    assert record["initial"]["overlap"] == 0  # known, from seen_images.npy


def test_the_card_has_the_scores_for_the_hub(run_of: RunOf, exported: Path) -> None:
    metrics = json.loads((run_of("linear") / "record.json").read_text())["metrics"]
    card = ModelCard.load(exported / "README.md")
    found = {one.metric_name: one.metric_value for one in card.data.eval_results}
    assert found == {
        "MSE of the scaled targets": metrics["test_mse"],
        **{f"MSE of {name}": value**2 for name, value in metrics["test_rmse"].items()},
        **{f"RMSE of {name}": value for name, value in metrics["test_rmse"].items()},
        **{f"R² of {name}": value for name, value in metrics["test_r2"].items()},
    }
    assert {(one.task_type, one.dataset_name) for one in card.data.eval_results} == {
        ("image-regression", "discs")
    }
    assert "No pretrained weights were used." in card.text
    assert "First `pip install quadzoo`." in card.text
    assert "ridge regression on pixels" in card.text
    assert "seeds 2" in card.text  # of the leaderboard's row
    assert "test images in the 90 % interval" in card.text


def changed(folder: Path, what: str) -> None:
    if what == "cut":
        content = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(content[:-100])
    elif what == "no weights":
        (folder / "model.safetensors").unlink()
    elif what == "val":
        (folder / "predictions.csv").write_text((folder / "predictions.csv").read_text() + "\n")
    elif what == "config":
        text = (folder / "config.json").read_text()
        (folder / "config.json").write_text(text.replace('"seed": 0', '"seed": 1'))
    else:
        (folder / "config.json").write_text('{"architecture": "resnet18"}')


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("cut", "the file was changed or cut off"),
        ("no weights", "its weights cannot be read"),
        ("val", "it was changed or cut off"),
        ("config", "its record was changed"),
        ("foreign", "not a record that this version reads"),
    ],
)
def test_a_changed_export_gives_one_line(
    run_of: RunOf, exported: Path, discs: Path, what: str, told: str
) -> None:
    changed(exported, what)
    with pytest.raises(QuadzooError, match=told) as refused:
        quadzoo.load(exported, device="cpu").predict([discs / "photos" / "disc 01.png"], interval=0.8)
    assert "\n" not in str(refused.value)
    if what != "val":  # that is nobody's model any more, so it is not deleted
        with pytest.raises(ConfigError, match="no earlier export"):
            api.export(run_of("linear"), exported)


def test_a_run_with_changed_files_is_not_exported(run_of: RunOf, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(run_of("linear"), run)
    (run / "predictions.csv").write_text((run / "predictions.csv").read_text().replace("val", "test", 1))
    with pytest.raises(DataError, match="changed or cut off"):
        api.export(run, tmp_path / "mine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
    (run / "predictions.csv").unlink()
    done = api.export(run, tmp_path / "mine")
    assert "no intervals" in done.warnings[0]
    text = (tmp_path / "mine" / "README.md").read_text()
    assert "There are no intervals" in text
    assert "interval=0.9" not in text


def test_only_an_earlier_export_is_replaced(run_of: RunOf, exported: Path, tmp_path: Path) -> None:
    before = (exported / "config.json").read_bytes()
    api.export(run_of("linear", 1), exported)
    assert (exported / "config.json").read_bytes() != before
    (exported / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"holds 'notes\.txt'"):
        api.export(run_of("linear"), exported)
    (exported / "notes.txt").unlink()
    (tmp_path / "empty").mkdir()
    api.export(run_of("linear"), tmp_path / "empty")
    (tmp_path / "link").symlink_to(exported)
    (tmp_path / "file").write_text("")
    for name in ("link", "file"):
        with pytest.raises(ConfigError, match="no folder"):
            api.export(run_of("linear"), tmp_path / name)
    with pytest.raises(ConfigError, match="cannot be written"):
        api.export(run_of("linear"), tmp_path / "file" / "mine")
    assert (tmp_path / "file").read_text() == ""


def test_what_fails_leaves_nothing_and_spoils_nothing(
    run_of: RunOf, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_card(*_: Any, **__: Any) -> str:
        raise OSError(28, "no space left on device")

    before = {path.name: path.read_bytes() for path in exported.iterdir()}
    monkeypatch.setattr("quadzoo.report.card.card_of", no_card)
    for folder in (exported, tmp_path / "new"):
        with pytest.raises(StorageError, match="no space left"):
            api.export(run_of("linear", 1), folder)
    assert {path.name: path.read_bytes() for path in exported.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == [exported.name]


def test_several_runs_are_not_one_export(out: Path, tmp_path: Path) -> None:
    keys = ",".join(path.name for path in sorted((out / "runs").iterdir())[:2])
    with pytest.raises(ConfigError, match="mean of 2 runs"):
        api.export(keys, tmp_path / "mine", out)
    assert not (tmp_path / "mine").exists()


def test_licence_of_pretrained_weights(run_of: RunOf) -> None:
    from quadzoo.inference.exported import license_of
    from quadzoo.model.weights import LoadedWeights
    from quadzoo.records.trained import read_trained
    from quadzoo.registry import catalogue

    record, names = read_trained(run_of("linear"), "the run").record, catalogue.load()
    code = record.provenance.backbone.model_copy(update={"name": "timm/resnet18"})
    loaded = LoadedWeights("0" * 64, "hf-hub:timm/resnet18.a1_in1k", "a1_in1k")
    of_timm = record.model_copy(update={
        "weights": "pretrained", "loaded": loaded, "backbone": "timm/resnet18",
        "provenance": record.provenance.model_copy(update={"backbone": code}),
    })  # fmt: skip
    found = license_of(of_timm, names)
    assert (found.source, found.name) == ("hf-hub:timm/resnet18.a1_in1k", "apache-2.0")
    of_torchvision = record.model_copy(update={"weights": "pretrained", "backbone": "resnet18"})
    assert license_of(of_torchvision, names).name == "BSD-3-Clause"
    assert license_of(record, names).name == ""


class Hub:
    """What stands for the hub."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def create_repo(self, repo: str, **options: Any) -> None:
        self.calls.append((repo, options))

    def upload_folder(self, **options: Any) -> None:
        self.calls.append((options["repo_id"], options["folder_path"]))


def test_a_push_makes_a_private_repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stub = Hub()
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: stub)
    assert hub.push(tmp_path, "me/mine") == "https://huggingface.co/me/mine"
    assert stub.calls == [("me/mine", {"private": True, "exist_ok": True}), ("me/mine", tmp_path)]


def test_a_push_without_network_or_token_gives_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(ConfigError, match="no token"):
        hub.check_push("me/mine")
    with pytest.raises(ConfigError, match="OWNER/NAME"):
        hub.check_push("me/mine/yours")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_x")
    hub.check_push("me/mine")

    def unreachable(*_: Any, **__: Any) -> None:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(Hub, "create_repo", unreachable)
    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    with pytest.raises(QuadzooError, match=r"not sent \(no route to host\); .* is written"):
        hub.push(tmp_path, "me/mine")


@pytest.fixture(scope="session")
def graph(disc_runs: Path, discs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with an ONNX graph, of a run with the head integer."""
    run = next(
        path for path in sorted((disc_runs / "runs").iterdir())
        if json.loads((path / "record.json").read_text())["head"] == "integer"
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("onnx") / "mine"
    done = api.export(run, folder, onnx=True, images=[discs / "photos"])
    assert done.checked is not None
    assert done.checked.real
    assert done.checked.n == 60 + 4  # two of them again at the smallest and the largest size of their own
    assert done.checked.sizes == 1
    assert done.checked.elsewhere is not None
    assert (done.checked.elsewhere.n, done.checked.elsewhere.sizes) == (24, 8)
    assert done.checked.elsewhere.share < 1e-3
    assert "over 64 images of 1 size, and by at most" in done.told[-1]
    assert not done.warnings
    return folder


@needs_onnx
def test_the_graph_answers_as_the_model_does(graph: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(graph / "model.onnx", providers=["CPUExecutionProvider"])
    model = quadzoo.load(graph, device="cpu")
    rng = np.random.default_rng(0)
    for batch, height, width in [(1, 32, 48), (3, 32, 48), (2, 90, 31), (7, 200, 300), (1, 9, 5)]:
        images = rng.integers(0, 256, (batch, height, width, 3), dtype=np.uint8)
        with (
            pytest.warns(UserWarning, match="another size") if (height, width) != (32, 48) else nullcontext()
        ):
            expected = model.predict(images)[["radius", "x"]].to_numpy()
        (found,) = session.run(None, {"images": images})
        assert found.dtype == np.float64
        assert np.abs(found - expected).max() < 0.02  # of ranges of 9 and 16


@needs_onnx
def test_the_card_says_how_exact_the_graph_is(graph: Path) -> None:
    text = (graph / "README.md").read_text()
    assert "Checked by onnxruntime against quadzoo on 64 real images of 1 size" in text
    assert "At 8 other sizes, over 24 images, it is at most" in text
    assert "uint8 (B, H, W, 3)" in text


@needs_onnx
def test_a_graph_that_is_off_is_refused(
    graph: Path, run_of: RunOf, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in exported.iterdir()}
    # The graph of another run takes the place of the run's own.
    monkeypatch.setattr(
        "quadzoo.inference.onnx.write_onnx", lambda _, path: shutil.copy(graph / "model.onnx", path)
    )
    with pytest.raises(ConfigError, match=r"is off by up to .* of the range of .*, over 16 images"):
        api.export(run_of("linear"), exported, onnx=True)
    assert {path.name: path.read_bytes() for path in exported.iterdir()} == before


@needs_onnx
@pytest.mark.parametrize("by", [0.5, np.nan])
def test_a_graph_that_is_off_at_other_sizes_alone_is_warned_of(
    run_of: RunOf, discs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: float
) -> None:
    from quadzoo.inference import onnx

    right, told = onnx._run, "5.0e-01" if by == 0.5 else "nan"

    def off(session: Any, images: list[np.ndarray], batch: int) -> np.ndarray:
        wrong = np.array([[one.shape[:2] == (19, 111)] for one in images])  # 0.6 and 2.3 times 32 and 48
        ranges = np.subtract(record["target_high"], record["target_low"])
        return right(session, images, batch) + np.where(wrong, by, 0.0) * ranges

    record = json.loads((run_of("linear") / "record.json").read_text())
    monkeypatch.setattr(onnx, "_run", off)
    done = api.export(run_of("linear"), tmp_path / "mine", onnx=True, images=[discs / "photos"])
    (warning,) = done.warnings
    assert f"by up to {told} of a target's range at other sizes" in warning
    assert "most at 19x111 pixels" in warning
    assert len(warning) <= 300
    assert f"{told}, at 19 × 111 pixels: more than 1e-3." in (tmp_path / "mine" / "README.md").read_text()


@needs_onnx
def test_a_run_in_bf16_is_told_of_both_precisions(halved: Path, discs: Path, tmp_path: Path) -> None:
    done = api.export(halved, tmp_path / "mine", onnx=True, images=[discs / "photos"])
    assert done.checked is not None
    assert done.checked.of_run is not None
    assert "differs from the model in float32 by at most" in done.told[-1]
    assert (
        f"from the model in bf16, as quadzoo predict computes, by at most {done.checked.of_run:.1e}"
        in (done.told[-1])
    )


@needs_onnx
def test_what_cannot_be_a_graph_is_refused_in_one_line(
    run_of: RunOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("all strategies failed") from ValueError("no such\noperation")

    monkeypatch.setattr("torch.onnx.export", fails)
    with pytest.raises(ConfigError, match=r"cannot be an ONNX graph \(no such operation\)"):
        api.export(run_of("linear"), tmp_path / "mine", onnx=True)
    assert not [*tmp_path.iterdir()]


def test_missing_packages_are_named(run_of: RunOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quadzoo.inference.onnx.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'quadzoo\[onnx\]'"):
        api.export(run_of("linear"), tmp_path / "mine", onnx=True)
