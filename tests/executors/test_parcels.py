"""What travels to another machine holds no path of this one."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from quadzoo import api
from quadzoo.executors.parcels import Cached, Folder, Given, Written, pack, place_in, unpack


@dataclass(frozen=True)
class Work:
    path: Path | None
    more: tuple[Any, ...] = ()


def references(content: bytes) -> Any:
    return unpack(content, lambda reference: reference)  # type: ignore[arg-type, return-value]


def test_paths_become_references(cache_folder: Path, tmp_path: Path) -> None:
    (cache_folder / "images").mkdir(exist_ok=True)
    cached, weights, model, out = (
        cache_folder / "images" / "0a1b.npy", tmp_path / "w.pt", tmp_path / "model", tmp_path / "out",
    )  # fmt: skip
    cached.write_bytes(b"12345")
    weights.write_bytes(b"abc")
    (model / "deeper").mkdir(parents=True)
    (model / "record.json").write_bytes(b"{}")
    parcel = pack(Work(cached, (weights, model, out, out / "runs" / "k", "a text", 3)), writes=out)
    assert str(tmp_path).encode() not in parcel.content
    assert str(cache_folder).encode() not in parcel.content
    got = references(parcel.content)
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert got.path == Cached("images/0a1b.npy", 5)
    assert got.more[0] == Given("w.pt", 3, digest)
    assert isinstance(got.more[1], Folder)
    assert [one.name for one in got.more[1].files] == ["record.json"]
    assert got.more[2:] == (Written("."), Written("runs/k"), "a text", 3)
    assert parcel.files == {
        "images/0a1b.npy": cached, digest: weights, got.more[1].files[0].sha256: model / "record.json",
    }  # fmt: skip


def test_what_lies_in_the_results_folder_is_read(tmp_path: Path) -> None:
    """A model that an earlier run has left there, weights, even the cache folder."""
    out = tmp_path / "out"
    model, weights = out / "runs" / "k", out / "w.pt"
    model.mkdir(parents=True)
    (model / "record.json").write_bytes(b"{}")
    weights.write_bytes(b"abc")
    got = references(pack(Work(model, (weights, out, out / "runs" / "new")), writes=out).content)
    assert [one.name for one in got.path.files] == ["record.json"]
    assert isinstance(got.more[0], Given)
    assert got.more[1:] == (Written("."), Written("runs/new"))


def test_a_path_that_cannot_travel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere: no file or folder that could be sent"):
        pack(Work(tmp_path / "nowhere"))


def test_a_real_task_holds_no_path(equations: Path, tmp_path: Path, cache_folder: Path) -> None:
    plan = api.plan(
        ["tiny_cnn"], ["linear"], data=str(equations), out=tmp_path / "out", weights="none", precision="32"
    )
    placement = plan.placement(plan.tasks[0])
    parcel = pack((plan.tasks[0], placement), placement.needs.writes)
    for folder in (tmp_path, cache_folder, equations, Path.cwd()):
        assert str(folder).encode() not in parcel.content
    assert len(parcel.content) < 50_000
    assert sorted(parcel.files.values()) == sorted([placement.images, placement.fold])
    with pytest.raises(pickle.UnpicklingError):  # a reference is nothing without a machine to place it on
        pickle.loads(parcel.content)


@pytest.mark.parametrize("place", ["../x", "/etc/passwd", "a/../../x", "..\\x"])
def test_places_stay_in_their_folder(place: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not in the folder"):
        place_in(tmp_path, place)
    assert place_in(tmp_path, "runs/k") == tmp_path / "runs" / "k"
