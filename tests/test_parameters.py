"""What programs may give: typed parameters, DataFrames and specs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quadzoo import api, parameters
from quadzoo.errors import ConfigError, DataError
from quadzoo.grid.config import BenchConfig
from quadzoo.grid.inputs import read_inputs
from quadzoo.grid.observer import Silent


def test_every_parameter_has_a_type() -> None:
    typed = parameters.SuiteParameters.__annotations__
    assert {*typed} == {*BenchConfig.model_fields, *api._RECIPE} - {"specs"}


def identity(**given: Any) -> tuple[str, str]:
    """What stands for data and division in a key."""
    with parameters.as_files(given) as files:
        inputs = read_inputs(api.config_of(**files), Silent(), None)
        return inputs.images.hash, inputs.splits[0].hash


def test_a_frame_is_the_data_that_its_csv_is(discs: Path, tmp_path: Path) -> None:
    """Whether the file was written by pandas or was there before; order and index do not count."""
    known = {"images": discs / "photos", "targets": ["radius", "x"], "id_column": "file"}
    frame = pd.read_csv(discs / "discs.csv")
    frame["x"] += np.pi  # all digits
    frame.to_csv(tmp_path / "my.csv")
    of_file = identity(data=str(tmp_path / "my.csv"), **known)
    assert identity(data=frame, **known) == of_file
    assert identity(data=frame.sample(frac=1, random_state=0), **known) == of_file
    assert identity(data=frame.set_index("file"), **known) == of_file
    assert identity(data=tmp_path / "my.csv", **known) == of_file
    paths = frame.assign(file=[discs / "photos" / f"{one}.png" for one in frame["file"]])
    assert identity(data=paths, targets=["radius", "x"]) == of_file
    frame.loc[0, "x"] += 1e-9
    assert identity(data=frame, **known)[0] != of_file[0]


def test_other_tables_may_be_frames_too(discs: Path) -> None:
    known = {"images": discs / "photos", "targets": ["radius"], "id_column": "file"}
    frame = pd.read_csv(discs / "discs.csv")
    sides = np.resize(["train", "val", "test", "train"], len(frame))
    split = pd.DataFrame({"id": frame["file"], "split": sides})
    with parameters.as_files({"data": frame, "split": split, **known}) as files:
        inputs = read_inputs(api.config_of(**files), Silent(), None)
    assert len(inputs.splits[0].val) == 15
    with parameters.as_files({"data": frame[:40], "test_data": frame[40:], **known}) as files:
        inputs = read_inputs(api.config_of(**files), Silent(), None)
        assert inputs.source.tests is not None
        assert inputs.source.tests.sum() == 20
    assert not Path(files["data"]).exists()


def test_where_the_images_are_must_be_said(discs: Path) -> None:
    frame = pd.read_csv(discs / "discs.csv")
    with pytest.raises(ConfigError, match="`data`: no column of the DataFrame has absolute paths of images"):
        identity(data=frame, id_column="file")
    with pytest.raises(DataError, match="no column 'age'"):
        identity(data=frame, images=discs / "photos", id_column="file", targets=["age"])


def test_errors_name_a_frame_and_not_its_file(discs: Path) -> None:
    frame = pd.read_csv(discs / "discs.csv")
    frame["x"] = [*frame["x"][:-1], "none at all"]
    with pytest.raises(DataError) as refused:
        identity(data=frame, images=discs / "photos", id_column="file", targets=["x"])
    assert "the DataFrame `data`" in str(refused.value)
    assert "DataFrame.csv" not in str(refused.value)


def test_a_side_may_be_a_number() -> None:
    assert api.config_of(image_size=64).image_size == api.config_of(image_size="64").image_size == "64"
    with pytest.raises(ConfigError, match="image_size"):
        api.config_of(image_size=True)
