"""Which precision `--precision auto` takes: by what a backbone computes, and whether bf16 is right."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quadzoo.executors.local import LocalExecutor
from quadzoo.grid.devices import find_device
from quadzoo.grid.intensity import TRIED, judge_on_cpu

from ..conftest import Result

PLUGIN = '''
"""Dense backbones that are right or wrong in bf16, one that is light, one that refuses steps."""
import torch
from torch import nn
from quadzoo import BackboneSpec, hookimpl


class Net(nn.Module):
    num_features = 64

    def __init__(self, change, in_channels, width=64):
        super().__init__()
        self.first, self.change = nn.Conv2d(in_channels, width, 4, 4), change
        self.second = nn.Conv2d(width, 64, 3)

    def forward(self, images):
        return self.change(self.second(self.first(images)), torch.is_autocast_enabled("cpu"))


def right(features, bf16):
    return features

def light(features, bf16):
    return features

def wrong(features, bf16):
    return features.flip(1) if bf16 else features

def lost(features, bf16):  # nothing flows back to half of the weights
    return torch.cat([features[:, :32].detach(), features[:, 32:]], 1) if bf16 else features

def nan(features, bf16):
    return features / 0 if bf16 else features

def counts(features, bf16):
    assert not torch.is_grad_enabled() or len(features) == 1, "a step was taken"
    return features


@hookimpl
def register_backbones():
    for change in (right, light, wrong, lost, nan, counts):
        def building(*, pretrained, in_channels, image_size, change=change):
            net = Net(change, in_channels, 1 if change is light else 64)
            sum(p.sum().item() for p in net.parameters())  # it needs numbers
            return net
        yield BackboneSpec(name=change.__name__, build=building)
'''


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    (folder / "twoways.py").write_text(PLUGIN)
    info = folder / "twoways-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: twoways\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[quadzoo]\ntwoways = twoways\n")
    return folder


@pytest.fixture(scope="module")
def native() -> None:
    if not find_device(LocalExecutor(), "cpu").bf16:
        pytest.skip("this CPU does not multiply bf16 natively")


@pytest.mark.slow
@pytest.mark.usefixtures("native")
def test_bf16_is_taken_where_a_backbone_gains_by_it_and_it_is_right(
    equations: Path, site: Path, quadzoo_process: Callable[..., Result], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("QUADZOO_CACHE_DIR", str(tmp_path / "cache"))
    out = tmp_path / "out"
    command = ["bench", "--weights", "none", "--batch-size", 8, "--data", equations, "--epochs", 8,
               "--image-size", "64x64", "--heads", "linear", "--out", out]  # fmt: skip

    def planned(*flags: object) -> dict[str, tuple[str, str]]:
        done = quadzoo_process(*command, "--dry-run", "--json", *flags, path=site)
        assert done.status == 0, done.err
        plan = json.loads(done.out)
        return {
            run["backbone"]: (run["precision"], plan["precision"][run["backbone"]]) for run in plan["runs"]
        }

    # A dry run counts, and takes no step.
    found = planned("--backbones", "right,light,wrong,counts,resnet18,tiny_cnn")
    assert {name: kind for name, (kind, _) in found.items()} == {
        "right": "bf16", "light": "32", "wrong": "bf16", "counts": "bf16", "resnet18": "bf16",
        "tiny_cnn": "32",
    }  # fmt: skip
    assert found["wrong"][1].endswith(f"to be tried on {TRIED} images before training")
    assert found["light"][1].endswith("memory bounds it, and bf16 gains little")
    assert found["resnet18"][1].endswith("layers known to agree in bf16, not tried")
    assert not out.exists()

    quadzoo_process(*command, "--backbones", "right,wrong,lost,nan", path=site)
    choices: dict[str, Any] = json.loads((out / "precision.json").read_text())
    notes = {name.split()[0]: choice["note"] for name, choice in choices.items()}
    assert {name.split()[0]: choice["kind"] for name, choice in choices.items()} == {
        "right": "bf16", "wrong": "32", "lost": "32", "nan": "32",
    }  # fmt: skip
    assert notes["wrong"].startswith("on the first batch bf16 is off by features 1")
    assert notes["lost"].startswith("on the first batch bf16 is off by gradient")
    assert "nan%" in notes["nan"]

    # Kept, since another answer would be another key, on this machine, too.
    assert planned("--backbones", "wrong", "--seeds", 1)["wrong"] == ("32", notes["wrong"])
    assert planned("--backbones", "wrong", "--out", tmp_path / "new")["wrong"] == ("32", notes["wrong"])
    assert quadzoo_process("data", "cache", "--clear").status == 0
    assert not (tmp_path / "cache" / "precision").exists()
    # What was asked for is not tried.
    assert planned("--precision", "bf16", "--backbones", "wrong")["wrong"] == ("bf16", "as asked for")


def test_a_training_too_short_for_a_trial_stays_in_float32() -> None:
    dense = {"intensity": 400.0, "well_known": False}
    choice, anywhere = judge_on_cpu(dense, dry=False)
    assert choice.kind == "32"
    assert choice.note.endswith("training is too short to try bf16")
    assert not anywhere  # another training is longer
    assert judge_on_cpu({**dense, "well_known": True}, dry=False)[0].kind == "bf16"


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
    assert "multiply-adds an output" in done.out
