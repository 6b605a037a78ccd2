from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quadzoo.data.sources import DataRequest, Source, open_source
from quadzoo.errors import DataError
from quadzoo.targets import TargetInfo, scale, standardised, target_info, unscale


def info_of(source: Source, train: np.ndarray) -> TargetInfo:
    return target_info(source.target_names, source.targets[train], source.low, source.high)


@pytest.fixture
def source(discs: Path) -> Source:
    return open_source(DataRequest(str(discs / "discs.csv"), discs / "photos", ("radius", "x"), "file"))


def test_ranges_are_those_of_the_training_side(source: Source) -> None:
    train = np.arange(10)
    info = info_of(source, train)
    assert info.low == tuple(source.targets[:10].min(axis=0))
    assert info.high == tuple(source.targets[:10].max(axis=0))
    assert info.integer == (True, False)
    scaled = scale(source.targets, info)
    assert (scaled[:10].min(), scaled[:10].max()) == (0, 1)
    assert np.allclose(unscale(scaled, info), source.targets)


def test_known_ranges_win(source: Source) -> None:
    info = info_of(replace(source, low=(0.0, 0.0), high=(100.0, 50.0)), np.arange(10))
    assert (info.low, info.high) == ((0, 0), (100, 50))


def test_constant_target(source: Source) -> None:
    with pytest.raises(DataError, match=r"target 'radius' is .* in every training row"):
        info_of(source, np.array([0]))


def test_standardised(source: Source) -> None:
    train = np.arange(20)
    info = standardised(source.targets[train], info_of(source, train))
    scaled = scale(source.targets, info)
    assert np.allclose(scaled[train].mean(axis=0), 0)
    assert np.allclose(scaled[train].std(axis=0), 1)
    assert np.allclose(unscale(scaled, info), source.targets)
    assert info.integer == (True, False)


def test_ranges_and_units_are_of_the_known_values() -> None:
    values = np.array([[1.0, np.nan], [np.nan, 2.5], [5.0, 4.5], [3.0, np.nan]])
    info = target_info(["u", "v"], values)
    assert (info.low, info.high, info.integer) == ((1.0, 2.5), (5.0, 4.5), (True, False))
    unit = standardised(values, info)
    assert unit.low == (3.0, 3.5)
    assert np.subtract(unit.high, unit.low) == pytest.approx([np.std([1, 5, 3]), 1.0])
