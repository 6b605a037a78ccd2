"""Loggers: what they write is there to be read, and a run is the same with and without them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ..conftest import Result
from ..runs import records

Call = Callable[..., Result]


def bench(discs: Path, out: Path, *flags: object) -> list[object]:
    return [
        "bench", "--data", discs / "discs.csv", "--images", discs / "photos", "--targets", "radius",
        "--id-column", "file", "--image-size", "32x48", "--epochs", 3, "--precision", 32,
        "--backbones", "tiny_cnn", "--weights", "none", "--out", out, *flags,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def watched(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from quadzoo.cli import main

    out = tmp_path_factory.mktemp("watched")
    with pytest.raises(SystemExit) as ended:
        main([str(one) for one in bench(discs, out, "--logger", "csv,tensorboard")])
    assert ended.value.code == 0
    return out


def test_nothing_of_a_run_changes(watched: Path, discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    assert quadzoo(*bench(discs, tmp_path)).status == 0
    (with_loggers,), (without,) = records(watched), records(tmp_path)
    measured = {"cost", "started", "finished", "environment", "baselines"}
    for name in with_loggers.keys() - measured:
        assert with_loggers[name] == without[name], name
    assert without["history"]
    assert not (tmp_path / "logs").exists()


def test_csv(watched: Path) -> None:
    (path,) = watched.glob("logs/csv/tiny_cnn-mlp-seed0-*/*/metrics.csv")
    table = pd.read_csv(path)
    (record,) = records(watched)
    for name in ("train_mse", "val_mse"):
        history = [epoch[name] for epoch in record["history"]]
        assert table[name].dropna().tolist()[-3:] == pytest.approx(history, rel=1e-6)
    assert table["train_loss"].count() == table["lr"].count() == 3
    assert table["lr"].max() <= record["recipe"]["lr"]
    assert table["test_mse"].dropna().tolist() == pytest.approx([record["metrics"]["test_mse"]])
    told = (path.parent / "hparams.yaml").read_text()
    assert f"key: {record['key']}" in told
    assert "recipe/augment: shift" in told


def test_tensorboard(watched: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import (
        IMAGES,
        SCALARS,
        TENSORS,
        EventAccumulator,
    )

    (folder,) = watched.glob("logs/tensorboard/tiny_cnn-mlp-seed0-*/*")
    events = EventAccumulator(str(folder), size_guidance={IMAGES: 0, SCALARS: 0, TENSORS: 0})
    events.Reload()
    (record,) = records(watched)
    history = [epoch["val_mse"] for epoch in record["history"]]
    found = [event.value for event in events.Scalars("val_mse")]
    assert found[-3:] == pytest.approx(history, rel=1e-6)
    assert {"train_loss", "train_mse", "lr", "val_rmse/radius", "test_mse"} <= {*events.Tags()["scalars"]}
    assert events.Tags()["images"]
    (captions,) = events.Tensors("worst_test_images/text_summary")
    text = captions.tensor_proto.string_val[0].decode()
    assert text.splitlines()[0].startswith(f"1. {record['worst'][0]}: radius ")
    assert len(text.splitlines()) == len(record["worst"])


def test_a_logger_that_fails_is_a_warning(discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file is in the way")
    done = quadzoo(*bench(discs, tmp_path, "--logger", "csv,tensorboard"))
    assert done.status == 0, done.err
    for kind in ("csv", "tensorboard"):
        assert f"warning: tiny_cnn · mlp · seed 0: logger {kind} failed, and is left out: " in done.err
    (record,) = records(tmp_path)
    assert record["status"] == "ok"
    assert quadzoo("verify", tmp_path).status == 0


def test_a_logger_may_fail_at_any_time() -> None:
    from quadzoo.training.watching import SafeLogger

    class Full:
        calls = 0

        def log_metrics(self, *_: Any) -> None:
            self.calls += 1
            if self.calls > 1:
                raise OSError("No space left on device\nand more")

        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"{name} is called after it has failed")

    told: list[str] = []
    inner: Any = Full()
    logger = SafeLogger("csv", lambda: inner, told.append)
    for step in range(4):
        logger.log_metrics({"x": 1.0}, step)
    logger.describe({"a": 1})
    logger.save()
    logger.close("failed")
    assert inner.calls == 2
    assert told == ["logger csv failed, and is left out: OSError: No space left on device and more"]


def test_mlflow(discs: Path, quadzoo: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    done = quadzoo(*bench(discs, tmp_path, "--logger", "mlflow"))
    assert done.status == 0, done.err
    assert "failed, and is left out" not in done.err
    (record,) = records(tmp_path)
    (params,) = tmp_path.glob("logs/mlflow/*/*/params")
    assert (params / "key").read_text() == record["key"]
    lines = (params.parent / "metrics" / "val_mse").read_text().splitlines()
    values = [float(line.split()[1]) for line in lines]
    assert values[-3:] == pytest.approx([epoch["val_mse"] for epoch in record["history"]], rel=1e-6)
    images = sorted(params.parent.glob("artifacts/worst_test_images/*.png"))
    assert len(images) == len(record["worst"])


def test_wandb_is_offline(
    discs: Path, quadzoo: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    done = quadzoo(*bench(discs, tmp_path, "--logger", "wandb"))
    assert done.status == 0, done.err
    assert "failed, and is left out" not in done.err
    (record,) = records(tmp_path)
    (run,) = tmp_path.glob("logs/wandb/wandb/offline-run-*")
    (log,) = run.glob("*.wandb")
    content = log.read_bytes()
    for told in (b"val_mse", b"train_loss", record["key"].encode(), b"worst_test_images"):
        assert told in content
    assert len(list(run.glob("files/media/images/*.png"))) == len(record["worst"])


def test_trials_of_learning_rates_are_not_logged(discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    done = quadzoo(*bench(discs, tmp_path, "--tune", "lr:2", "--logger", "csv"))
    assert done.status == 0, done.err
    assert len(list(tmp_path.glob("logs/csv/*/*/metrics.csv"))) == 1
    assert json.loads(next(tmp_path.glob("runs/*/record.json")).read_text())["found"]["lr"]
