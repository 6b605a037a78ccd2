from __future__ import annotations

import json
import random
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from quadzoo.data.equations import HIGH, LOW, read
from quadzoo.records.record import read_record_file

pytest.importorskip("quadzoo_reader", reason="plugins/quadzoo-reader is not installed")


def test_equations_say_what_they_are_labelled() -> None:
    from pretrain_reader import equations

    drawn = list(islice(equations(0), 3000))
    assert drawn == list(islice(equations(0), 3000)) != list(islice(equations(1), 3000))
    for one in drawn:
        assert (np.array(LOW) <= one.labels("published")).all()
        assert (one.labels("published") <= np.array(HIGH)).all()
        if found := read(one.text):  # it takes none without two roots
            assert (found.a, found.b, found.c) == (one.a, one.b, one.c)
    labels = np.array([one.labels("published") for one in drawn])
    # The whole range, not that of the published ones alone.
    assert (np.ptp(labels, axis=0) > 0.95 * (np.array(HIGH) - LOW)).all()


def test_images_show_the_whole_equation(published: Path) -> None:
    from pretrain_reader import image

    font = published.parent / "fonts" / "HindSiliguri-Regular.ttf"
    rng = random.Random(0)
    images = [image("(x - 16)(x + 28) = 0", [font], rng).astype(int) for _ in range(200)]
    for one in images:
        assert one.shape == (32, 200)
        ground = np.bincount(one.ravel()).argmax()
        rows, columns = np.nonzero(one < ground - 20)
        assert 60 < columns.max() - columns.min() < 200
        assert 7 < rows.max() - rows.min() < 32
    assert len({one.tobytes() for one in images}) > 190


def test_small(script: Callable[..., None], published: Path, tmp_path: Path) -> None:
    flags = ["--epochs", "1", "--epoch-images", "256", "--held-out", "64",
             "--font", published.parent / "fonts", "--to", tmp_path]  # fmt: skip
    script("pretrain_reader", *flags)
    (folder,) = (tmp_path / "runs").iterdir()
    record = json.loads((folder / "record.json").read_text())
    assert (record["backbone"], record["head"], record["status"]) == ("reader", "integer", "ok")
    assert record["split"]["n_train"] == 256
    assert record["image"]["size"] == [32, 200]
    assert {"model.safetensors", "predictions.csv"} <= {path.name for path in folder.iterdir()}
    assert [*record["history"][0]] == ["train_mse", "val_mse", "spelling_loss"]
    kept = read_record_file(folder / "record.json")
    assert kept.key == kept.identity.key == folder.name
    assert "seen_images.npy" not in {*kept.files, *(path.name for path in folder.iterdir())}
    # A second call trains nothing anew.
    weights = (tmp_path / "model.safetensors").stat().st_mtime_ns
    script("pretrain_reader", *flags)
    assert (tmp_path / "model.safetensors").stat().st_mtime_ns == weights
