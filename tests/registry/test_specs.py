"""A spec says what is wrong with it in one line."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quadzoo import BackboneSpec, HeadSpec, ModelSpec
from quadzoo.registry.catalogue import load


def build(**_: Any) -> Any:
    raise AssertionError("a spec builds nothing")


def refusal(**fields: Any) -> str:
    with pytest.raises(ValueError, match=r"^backbone 'net': ") as error:
        BackboneSpec(**{"name": "net", "build": build} | fields)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("mean", "std", "most"),
    [
        ((123.7, 116.3, 103.5), (58.4, 57.1, 57.4), 255),
        ((0.485, 0.456, 0.406), (58.4, 57.1, 57.4), 255),
        ((31000, 30000, 29000), (9000, 9000, 9000), 65535),
    ],
)
def test_statistics_of_other_units_are_refused(mean: Any, std: Any, most: int) -> None:
    told = refusal(mean=mean, std=std)
    assert "images come in 0 to 1" in told
    assert told.endswith(f"if they are meant for 0 to {most}, divide both by {most}")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"std": (1.0, 0.0, 1.0)}, "`std` above 0"),
        ({"std": (0.2, -0.2, 0.2)}, "`std` above 0"),
        ({"mean": (-0.1, 0.5, 0.5)}, "`mean` must be 0 or more"),
        ({"mean": (math.nan, 0.5, 0.5)}, "`mean` must be three finite numbers, one per channel"),
        ({"std": (0.2, math.inf, 0.2)}, "`std` must be three finite numbers"),
        ({"mean": (0.5, 0.5)}, "`mean` must be three finite numbers"),
        ({"mean": 0.5}, "`mean` must be three finite numbers"),
        ({"mean": "abc"}, "`mean` must be three finite numbers"),
        ({"std": ("0.2", "0.2", "0.2")}, "`std` must be three finite numbers"),
        ({"std": (True, True, True)}, "`std` must be three finite numbers"),
        ({"build": None}, "`build` must be callable, got None"),
        ({"description": None}, "`description` must be a string, got None"),
        ({"license": 3}, "`license` must be a string, got 3"),
        ({"revision": 2}, "`revision` must be at most 40 letters"),
        ({"revision": "two words"}, "`revision` must be at most 40 letters"),
        ({"revision": "a/b"}, "`revision` must be at most 40 letters"),
        ({"revision": "1" * 41}, "`revision` must be at most 40 letters"),
    ],
)
def test_bad_fields_are_refused(fields: dict[str, Any], told: str) -> None:
    assert told in refusal(**fields)


def test_numbers_become_a_tuple_of_floats() -> None:
    spec = BackboneSpec(name="net", build=build, mean=[0, 0, 0], std=[1, np.float64(1), 1])  # type: ignore[arg-type]
    assert (spec.mean, spec.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    assert {type(one) for one in (*spec.mean, *spec.std)} == {float}


def test_heads_and_models_name_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"^head 'h': `revision` must be"):
        HeadSpec(name="h", build=build, revision="<b>")
    with pytest.raises(ValueError, match=r"^head 'h': `build` must be callable"):
        HeadSpec(name="h", build="build")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^model 'm': `folder` must be a path, got 3"):
        ModelSpec(name="m", folder=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="holds a NUL character"):
        ModelSpec(name="m", folder=Path("a\0b"))
    assert HeadSpec(name="h", build=build).revision == ""
    assert ModelSpec(name="m", folder=Path("x")).folder == Path("x")


def test_built_ins_have_a_revision() -> None:
    """It stands for their code in a run's identity, so that a release alone makes no run anew."""
    names = load()
    ours = [
        entry.spec
        for found in (names.backbones, names.heads)
        for _, entry in found
        if entry.plugin.distribution == "quadzoo"
    ]
    assert len(ours) > 1000
    assert {spec.name for spec in ours if not spec.revision} == set()
