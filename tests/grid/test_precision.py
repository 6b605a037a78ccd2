"""Which precision `--precision auto` takes: backbones that are slower, faster or wrong in bf16."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ..conftest import Result

PLUGIN = '''
"""Backbones that sleep, or are wrong, in one of two precisions."""
import time
import torch
from torch import nn
from quadzoo import BackboneSpec, hookimpl


class Net(nn.Module):
    num_features = 4

    def __init__(self, change, in_channels):
        super().__init__()
        self.layer, self.change = nn.Conv2d(in_channels, 4, 3), change

    def forward(self, images):
        return self.change(self.layer(images), torch.is_autocast_enabled("cpu"))


def slower(features, bf16):
    time.sleep(0.1 * bf16)
    return features

def faster(features, bf16):
    time.sleep(0.1 * (not bf16))
    return features

def wrong(features, bf16):
    return faster(features.flip(1) if bf16 else features, bf16)

def lost(features, bf16):  # nothing flows back to half of the weights
    return faster(torch.cat([features[:, :2].detach(), features[:, 2:]], 1) if bf16 else features, bf16)

def nan(features, bf16):
    return features / 0 if bf16 else features


@hookimpl
def register_backbones():
    for change in (slower, faster, wrong, lost, nan):
        def building(*, pretrained, in_channels, image_size, change=change):
            return Net(change, in_channels)
        yield BackboneSpec(name=change.__name__, build=building)
'''


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    (folder / "twospeeds.py").write_text(PLUGIN)
    info = folder / "twospeeds-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: twospeeds\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[quadzoo]\ntwospeeds = twospeeds\n")
    return folder


def test_bf16_is_taken_where_it_is_faster_and_right(
    equations: Path, site: Path, quadzoo_process: Callable[..., Result], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("QUADZOO_CACHE_DIR", str(tmp_path / "cache"))

    def planned(*flags: object) -> dict[str, tuple[str, str]]:
        done = quadzoo_process(
            "bench", "--backbones", "slower,faster,wrong,lost,nan", "--weights", "none", "--batch-size", 4,
            "--data", equations, "--dry-run", "--json", *flags, path=site,
        )  # fmt: skip
        assert done.status == 0, done.err
        plan = json.loads(done.out)
        return {
            run["backbone"]: (run["precision"], plan["precision"][run["backbone"]]) for run in plan["runs"]
        }

    found = planned()
    if "not native" in found["slower"][1]:
        pytest.skip("this CPU does not multiply bf16 natively")
    assert {name: kind for name, (kind, _) in found.items()} == {
        "slower": "32", "faster": "bf16", "wrong": "32", "lost": "32", "nan": "32",
    }  # fmt: skip
    assert found["slower"][1].startswith("bf16 is 0.")
    assert float(found["faster"][1].split()[2]) > 5
    assert found["wrong"][1].startswith("on the first batch bf16 is off by features 1")
    assert found["lost"][1].startswith("on the first batch bf16 is off by gradient")
    assert "nan%" in found["nan"][1]

    # Kept, since another answer would be another key; of another batch size nothing is known.
    for path in (tmp_path / "cache" / "precision").iterdir():
        path.write_text(json.dumps({"kind": "32", "note": "as kept"}))
    assert set(planned().values()) == {("32", "as kept")}
    assert set(planned("--jobs", 2).values()) == {("32", "as kept")}
    assert planned("--batch-size", 3, "--backbones", "faster")["faster"][0] == "bf16"
    assert quadzoo_process("data", "cache", "--clear").status == 0
    assert not (tmp_path / "cache" / "precision").exists()
    # What was asked for is not tried.
    assert set(planned("--precision", "bf16").values()) == {("bf16", "as asked for")}


def test_a_cache_that_holds_nonsense_is_no_answer(
    equations: Path, quadzoo: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUADZOO_CACHE_DIR", str(tmp_path))
    command = ["bench", "--backbones", "tiny_cnn", "--weights", "none", "--data", equations, "--dry-run"]
    first = quadzoo(*command)
    if "not native" in first.out:
        pytest.skip("this CPU does not multiply bf16 natively")
    (kept,) = (tmp_path / "precision").iterdir()
    kept.write_bytes(b'{"kind": "16", "note": ""}')
    done = quadzoo(*command)
    assert done.status == 0, done.err
    assert "times as fast" in done.out
