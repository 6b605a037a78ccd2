"""Predictions of test images are those of their run, whatever the images, and those of code of our own."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file
from torch.nn import functional as F

import quadzoo as package
from quadzoo.inference.load import Model
from tests.inference.conftest import record_of

Find = Callable[..., Path]
LAST_DIGITS = 2e-6  # of a target's range, in float32
RED = np.full((32, 48, 3), (200, 10, 10), np.uint8)


def written(run: Path, images: Path, suffix: str = "") -> tuple[pd.DataFrame, list[Path]]:
    """What a run wrote of its test images, and their files."""
    table = pd.read_csv(run / "predictions.csv", dtype={"id": str})
    table = table[table["split"] == "test"].reset_index(drop=True)
    return table, [images / f"{identity}{suffix}" for identity in table["id"]]


def far_off(run: Path, found: pd.DataFrame, table: pd.DataFrame) -> float:
    """The largest difference to what the run wrote, as a share of the target's range."""
    record = record_of(run)
    ranges = np.array(record["target_high"]) - np.array(record["target_low"])
    names = record["targets"]
    wanted = table[[f"{name}_pred" for name in names]].to_numpy()
    return float(np.abs((found[names].to_numpy() - wanted) / ranges).max())


def quiet(model: Model, images: Any) -> pd.DataFrame:
    """Predict; there is nothing to warn of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return model.predict(images)


@pytest.mark.parametrize("head", ["linear", "integer"])
def test_eight_bits(head: str, run_of: Find, discs: Path) -> None:
    table, files = written(run_of(head), discs / "photos", ".png")
    model = package.load(run_of(head))
    assert (model.targets, model.integer) == (["radius", "x"], [True, False])
    found = quiet(model, files)
    assert list(found.columns) == ["id", "radius", "x"]
    assert list(found["id"]) == list(map(str, files))
    assert far_off(run_of(head), found, table) < LAST_DIGITS


def test_sixteen_bits_chosen_bands_and_a_frozen_backbone(deep: tuple[Path, Path]) -> None:
    images, run = deep
    record = record_of(run)
    assert (record["image"]["dtype"], record["image"]["channels"]) == ("uint16", 4)
    assert record["recipe"]["freeze"]
    table, files = written(run, images)
    assert far_off(run, quiet(package.load(run), files), table) < LAST_DIGITS


def test_bf16(halved: Path, discs: Path) -> None:
    table, files = written(halved, discs / "photos", ".png")
    assert record_of(halved)["precision"] == "bf16"
    model = package.load(halved)
    found = quiet(model, files)
    assert far_off(halved, found, table) < 1e-3  # sums in another order are rounded otherwise
    model.members[0].network.trained.record.precision = "32"
    assert not np.array_equal(found["radius"], quiet(model, files)["radius"])


def by_hand(run: Path, file: Path) -> np.ndarray:
    """Predictions of tiny_cnn + linear by other code: from the record's JSON, the weights and the file."""
    record, weights = record_of(run), load_file(run / "model.safetensors")
    image, unit = record["image"], record["unit"]
    pixels = np.asarray(Image.open(file).convert("RGB"))
    top, left, bottom, right = image["crop"]
    pixels = pixels[top:bottom, left:right]
    height, width = image["size"]
    scale = min(height / pixels.shape[0], width / pixels.shape[1], image["max_scale"])
    size = round(pixels.shape[0] * scale), round(pixels.shape[1] * scale)
    pixels = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_CUBIC)
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = image["fill"]
    y, x = (height - size[0]) // 2, (width - size[1]) // 2
    canvas[y : y + size[0], x : x + size[1]] = pixels
    values = (canvas / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    features = torch.from_numpy(values.transpose(2, 0, 1)[None])
    named = {
        name: torch.from_numpy(value).double() for name, value in weights.items() if value.dtype.kind == "f"
    }
    for layer in (0, 3, 6, 9):
        features = F.conv2d(features, named[f"backbone.{layer}.weight"], stride=2, padding=1)
        norm = [named[f"backbone.{layer + 1}.{part}"] for part in
                ("running_mean", "running_var", "weight", "bias")]  # fmt: skip
        features = F.batch_norm(features, *norm).relu()
    (weight,) = (value for name, value in named.items() if name.startswith("head.") and value.ndim == 2)
    (bias,) = (value for name, value in named.items() if name.startswith("head.") and value.ndim == 1)
    scaled = (features.mean(dim=(2, 3)) @ weight.T + bias)[0].numpy()
    low, high = np.array(unit["low"]), np.array(unit["high"])
    return low + scaled * (high - low)


def test_other_code_predicts_the_same(run_of: Find, discs: Path) -> None:
    run = run_of("linear", 1)
    files = [discs / "photos" / f"disc {number:02d}.png" for number in (3, 17, 59)]
    found = quiet(package.load(run), files)[["radius", "x"]].to_numpy()
    assert np.abs(found - [by_hand(run, file) for file in files]).max() < 1e-4


def test_the_module_is_for_other_programs(run_of: Find, discs: Path) -> None:
    run, file = run_of("linear"), discs / "photos" / "disc 05.png"
    model = package.load(run)
    assert model.image_size == tuple(record_of(run)["image"]["size"])
    view = model.members[0].network.view
    from quadzoo.inference.view import decoded

    shown = view.show(decoded(file, None)).pixels
    images = torch.from_numpy(shown).permute(2, 0, 1)[None].float() / 255
    assert images.shape[2:] == model.image_size
    with torch.no_grad():
        values = model.module(images)
    assert (values.shape, values.dtype) == ((1, 2), torch.float32)
    assert not model.module.training
    assert values[0].tolist() == pytest.approx(by_hand(run, file).tolist(), abs=1e-4)


def test_arrays_are_read_like_files(run_of: Find, discs: Path) -> None:
    model = package.load(run_of("linear"))
    files = [discs / "photos" / f"disc {number:02d}.png" for number in range(4)]
    wanted = quiet(model, files)
    arrays = np.stack([np.asarray(Image.open(file)) for file in files])
    found = quiet(model, arrays)
    assert list(found["id"]) == [0, 1, 2, 3]
    pd.testing.assert_frame_equal(found.drop(columns="id"), wanted.drop(columns="id"))
    one = quiet(model, arrays[2])
    assert one.loc[0, "x"] == pytest.approx(wanted.loc[2, "x"], rel=1e-5)
    mixed = quiet(model, [files[0], arrays[1]])
    assert list(mixed["id"]) == [str(files[0]), 1]
    frame = pd.DataFrame({"path": files, "id": list("abcd")}, index=[10, 20, 30, 40])
    found = quiet(model, frame)
    assert list(found.index) == [10, 20, 30, 40]
    assert list(found["id"]) == list("abcd")
    assert np.allclose(found["radius"], wanted["radius"])
    assert len(quiet(model, discs / "photos")) == len(quiet(model, str(discs / "photos" / "*.png"))) == 60


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (5, "expected paths, arrays or a DataFrame, got int"),
        ([{}], "image 0 is a dict"),
        (np.zeros(5), r"an array \(5,\)"),
        ("nowhere.png", "no such file or folder"),
        (pd.DataFrame({"name": ["a"]}), "no column image, path, file or id"),
    ],
)
def test_what_is_no_image_is_refused(given: Any, told: str, run_of: Find) -> None:
    with pytest.raises(package.QuadzooError, match=told):
        package.load(run_of("linear")).predict(given)


def test_of_several_paths_each_has_its_row(run_of: Find, discs: Path) -> None:
    model, good = package.load(run_of("linear")), str(discs / "photos" / "disc 07.png")
    with pytest.warns(UserWarning, match=r"1 of 3 images cannot be predicted; the first is lost\.png"):
        found = model.predict([good, "lost.png", good])
    assert found["id"].tolist() == [good, "lost.png", good]
    assert found["x"].notna().tolist() == [True, False, True]
    with pytest.raises(package.QuadzooError, match=r"lost\.png: no such file"):
        model.predict(["lost.png", "lost.jpg"])
    assert model.predict([]).empty


def test_images_that_do_not_fit_are_named_and_the_others_predicted(run_of: Find, discs: Path) -> None:
    model = package.load(run_of("linear"))
    good = np.asarray(Image.open(discs / "photos" / "disc 07.png"))
    bad = [np.zeros((32, 48, 5), np.uint8), np.zeros((32, 48, 3), np.uint16), good[..., 0] / 255]
    with pytest.warns(UserWarning, match="3 of 4 images cannot be predicted; the first is 0: 5 bands"):
        found = model.predict([bad[0], good, *bad[1:]])
    assert list(found.columns) == ["id", "radius", "x", "error"]
    assert found["x"].notna().tolist() == [False, True, False, False]
    assert found.loc[1, "x"] == quiet(model, good).loc[0, "x"]
    assert found["error"].tolist() == [
        "5 bands; the model reads 3",
        "",
        "uint16 values; the model was trained on images of 8 bits, 0 to 255, and can read no others",
        "float64 values; the model was trained on images of 8 bits, 0 to 255, and can read no others",
    ]


def test_unlike_images_are_warned_of_once(run_of: Find, discs: Path) -> None:
    assert record_of(run_of("linear"))["originals"] == {"height": [32, 32], "width": [48, 48], "bands": [3]}
    model = package.load(run_of("linear"))
    grey = np.random.default_rng(0).integers(0, 255, (6, 32, 48), dtype=np.uint8)
    other = [np.random.default_rng(n).integers(0, 255, (40, 48, 3), dtype=np.uint8) for n in range(7)]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model.predict([*grey, *other])
    assert sorted(str(one.message) for one in told) == [
        "6 of 13 images have 1 band, where the images of the model's data set have 3: predictions may be "
        "wrong; the first is 0",
        "7 of 13 images have another size than the 32x48 pixels of the images of the model's data set: "
        "predictions may be wrong; the first is 6",
    ]


def test_answers_that_are_held_to_the_range_of_training_are_warned_of(discs: Path, tmp_path: Path) -> None:
    package.bench(
        backbones=["tiny_cnn"], heads=["ridge"], weights="none", recipe={"freeze": True}, precision="32",
        data=str(discs / "discs.csv"), images=discs / "photos", targets=["radius"], id_column="file",
        out=tmp_path,
    )  # fmt: skip
    (run,) = (tmp_path / "runs").iterdir()
    (low,), (high,) = record_of(run)["target_low"], record_of(run)["target_high"]
    blank = np.stack(
        [np.full((32, 48, 3), (0, 0, 1), np.uint8), np.full((32, 48, 3), (255, 255, 254), np.uint8)]
    )
    with pytest.warns(UserWarning, match="far from the values of training") as caught:
        answers = package.load(run).predict(blank)["radius"]
    assert answers.between(low - 1e-5, high + 1e-5).all()  # float32
    ends = [
        f"for {index}, given as {answer:.4g}: the model's answers end" for index, answer in answers.items()
    ]
    assert any(end in str(caught[0].message) for end in ends)


def test_values_beyond_the_range_are_warned_of(deep: tuple[Path, Path]) -> None:
    model = package.load(deep[1])
    pixels = np.full((32, 48, 5), 3000, np.uint16)

    def told(image: np.ndarray) -> list[str]:
        with warnings.catch_warnings(record=True) as caught:  # a linear head goes on beyond what it has seen
            warnings.simplefilter("always")
            assert len(model.predict(image)) == 1
        return [str(one.message) for one in caught]

    beyond, far = told(pixels + np.uint16(9000))
    assert "1 of 1 images has values beyond the 800 to 8800" in beyond
    assert far.startswith(
        "1 of 1 predictions of y is far from the values of training, 3.38 to 14, and may be"
    )
    bits = told(pixels.astype(np.uint8))
    assert any("values of 8 bits, where the model expects 800 to 8800" in one for one in bits)
    assert not [one for one in told(pixels) if "predictions of y" not in one]
    with pytest.warns(UserWarning, match="bands. 4,2,1,5: it has 3 bands"):
        assert model.predict(pixels[..., :3])["y"].isna().all()


def test_whole_images_of_another_size_are_shown(run_of: Find) -> None:
    """The border that all images shared is not cut off where nobody knows where it is."""
    model = package.load(run_of("linear"))
    view = model.members[0].network.view
    from quadzoo.data.decoding import of_array

    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[:, -6:] = 250
    shown = view.show(of_array(pixels)).pixels
    assert (shown > 200).any()
    assert view.geometry.crop
    assert not (view.show(of_array(pixels[:32, -48:])).pixels[:, :8] > 200).any()


def test_a_prediction_that_is_not_finite_is_none(run_of: Find, discs: Path) -> None:
    model = package.load(run_of("linear"))
    next(model.members[0].network.module.head.parameters()).data[0] = float("nan")
    with pytest.warns(UserWarning, match="its prediction is NaN or infinite"):
        found = model.predict(discs / "photos" / "disc 01.png")
    assert found[["radius", "x"]].isna().all(axis=None)


def test_loading_changes_nothing_around_it(run_of: Find) -> None:
    torch.manual_seed(7)
    torch.set_float32_matmul_precision("medium")
    try:
        before = torch.get_rng_state()
        quiet(package.load(run_of("integer")), RED)
        assert torch.equal(before, torch.get_rng_state())
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_memory_does_not_grow_with_the_images(run_of: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more images are prepared than a window's worth before they are predicted."""
    from quadzoo.inference import predict as module

    model, alive, most = package.load(run_of("linear")), 0, 0
    prepare, compute = module._prepared, module._predicted

    def prepared(*arguments: Any) -> Any:
        nonlocal alive, most
        alive += 1
        most = max(most, alive)
        return prepare(*arguments)

    def predicted(members: Any, some: Any) -> Any:
        nonlocal alive
        alive -= len(some)
        return compute(members, some)

    monkeypatch.setattr(module, "_prepared", prepared)
    monkeypatch.setattr(module, "_predicted", predicted)
    assert len(quiet(model, np.stack([RED] * 2000))) == 2000
    assert most < 300
    assert alive == 0


def test_each_item_has_its_row_however_often_it_is_given(run_of: Find, discs: Path) -> None:
    """A column of a DataFrame keeps its index; else predictions would be put beside other images."""
    model = package.load(run_of("linear"))
    files = [str(discs / "photos" / f"disc 0{n}.png") for n in (0, 0, 1, 2)]
    column = pd.Series(files, index=[7, 3, 5, 4])
    found = quiet(model, column)
    assert list(found.index) == [7, 3, 5, 4]
    assert list(found["id"]) == files
    alone = [quiet(model, [one])["radius"].iloc[0] for one in files]
    np.testing.assert_allclose(found["radius"], alone, rtol=1e-6)
    assert list(quiet(model, files)["id"]) == list(quiet(model, np.array(files))["id"]) == files


def test_a_pattern_leads_to_folders_too(run_of: Find, discs: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_bytes((discs / "photos" / "disc 00.png").read_bytes())
    found = quiet(package.load(run_of("linear")), str(tmp_path / "*"))
    assert list(found["id"]) == [str(tmp_path / name / "x.png") for name in ("a", "b")]


def test_each_failure_is_counted_and_named(run_of: Find, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    frame = pd.DataFrame({"file": [tmp_path / "text.png"] * 2, "id": [["list"], ["list"]]})
    with pytest.warns(UserWarning, match="2 of 2 images cannot be predicted"):
        package.load(run_of("linear")).predict(frame)
    nowhere = pd.DataFrame({"file": ["none.png", "lost.png"]})
    with pytest.raises(
        package.QuadzooError, match=r"none\.png: no such file, nor any other that the column file"
    ):
        package.load(run_of("linear")).predict(nowhere)
    twice = pd.DataFrame([["a.png", "b.png"]], columns=["file", "file"])
    with pytest.raises(package.QuadzooError, match="more than one column file"):
        package.load(run_of("linear")).predict(twice)
    with pytest.raises(package.QuadzooError, match=r"`interval` '0\.9': say a share"):
        package.load(run_of("linear")).predict(RED, interval="0.9")  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert "x_low" in package.load(run_of("linear")).predict(RED, interval=np.float32(0.8))


def test_a_stack_of_grey_images_is_told_from_bands(run_of: Find) -> None:
    for shape in ((2, 48, 80), (60, 32, 70)):
        with pytest.warns(UserWarning, match=r"grey images one behind the other are \(N, H, W, 1\)"):
            package.load(run_of("linear")).predict(np.zeros(shape, np.uint8))
