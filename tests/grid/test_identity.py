"""Which runs are one run: keys, weights, precision, by the real command line."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy

from ..conftest import Result
from ..runs import records

Call = Callable[..., Result]

PLUGIN = '''
"""A backbone whose pretrained weights lie in a file that may be replaced, and a head that is wrong late."""
import os
import safetensors.torch
import torch
from torch import nn
from quadzoo import BackboneSpec, HeadSpec, hookimpl


class Hub(nn.Module):
    num_features = 4
    weights_source = "a test"
    weights_tag = "v1"

    def __init__(self, pretrained, in_channels):
        super().__init__()
        self.layer, self.norm = nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4)
        if pretrained:
            self.load_state_dict(safetensors.torch.load_file(os.environ["HUB_FILE"]), strict=False)
        self.in_channels = in_channels

    def forward(self, images):
        return self.norm(self.layer(images.expand(-1, 3, -1, -1)))


class NanInTest(nn.Module):
    """Right in the two passes over val, of one batch each, and NaN afterwards."""

    def __init__(self, num_features, targets):
        super().__init__()
        self.layer, self.passes = nn.Linear(num_features, len(targets)), 0

    def forward(self, features):
        return self.layer(features.mean((2, 3)))

    def loss(self, raw, target):
        return (raw - target).square().mean()

    def predict(self, raw):
        self.passes += not self.training
        return raw / 0 * 0 if self.passes > 2 else raw


def build_hub(*, pretrained, in_channels, image_size):
    return Hub(pretrained, in_channels)

def build_nan(*, num_features, targets):
    return NanInTest(num_features, targets)

@hookimpl
def register_backbones():
    return [BackboneSpec(name="hub", build=build_hub)]

@hookimpl
def register_heads():
    return [HeadSpec(name="nan_in_test", build=build_nan)]
'''


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    (folder / "hubplug.py").write_text(PLUGIN)
    info = folder / "hubplug-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hubplug\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[quadzoo]\nhubplug = hubplug\n")
    return folder


def bench(discs: Path, out: Path, *flags: object) -> list[object]:
    return [
        "bench", "--data", discs / "discs.csv", "--images", discs / "photos", "--targets", "radius",
        "--id-column", "file", "--epochs", 1, "--out", out, *flags,
    ]  # fmt: skip


def hub_file(path: Path, seed: int, *without: str) -> None:
    """Write weights for the plugin's network."""
    rng = np.random.default_rng(seed)
    weights: dict[str, Any] = {
        "layer.weight": rng.normal(size=(4, 3, 3, 3)), "layer.bias": rng.normal(size=4),
        "norm.weight": np.ones(4), "norm.bias": np.zeros(4), "norm.running_mean": np.zeros(4),
        "norm.running_var": np.ones(4), "norm.num_batches_tracked": np.zeros(()),
    }  # fmt: skip
    kept = {name: value.astype(np.float32) for name, value in weights.items() if name not in without}
    safetensors.numpy.save_file(kept, path)


@pytest.mark.slow
def test_replaced_weights_are_another_run(
    discs: Path, site: Path, quadzoo_process: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "hub.safetensors"
    monkeypatch.setenv("HUB_FILE", str(weights))
    command = bench(discs, tmp_path / "out", "--backbones", "hub", "--precision", 32)
    hub_file(weights, 1)
    done = quadzoo_process(*command, path=site)
    assert done.status == 0, done.err
    hub_file(weights, 2, "norm.weight")
    done = quadzoo_process(*command, path=site)
    assert done.status == 0, done.err
    assert "done already" not in done.err
    assert "warning: pretrained weights of hub are incomplete: a test, v1, SHA-256 " in done.err
    assert "1 tensors not in the weights: norm.weight" in done.err
    hub_file(weights, 1)
    done = quadzoo_process(*command, path=site)
    assert "1 done already" in done.err

    found = {one["loaded"]["sha256"]: one for one in records(tmp_path / "out")}
    assert len(found) == 2
    assert {tuple(one["loaded"]["missing"]) for one in found.values()} == {(), ("norm.weight",)}
    assert {one["loaded"]["tag"] for one in found.values()} == {"v1"}
    assert len({one["key"] for one in found.values()}) == 2
    assert quadzoo_process("verify", tmp_path / "out").status == 0
    rows = json.loads((tmp_path / "out" / "leaderboard.json").read_text())["rows"]
    assert len([row for row in rows if row["backbone"] == "hub"]) == 2


def test_nan_in_test_alone_is_a_failed_run(
    discs: Path, site: Path, quadzoo_process: Call, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = quadzoo_process(
        *bench(discs, out, "--backbones", "tiny_cnn", "--heads", "mlp,nan_in_test", "--weights", "none"),
        path=site,
    )
    assert done.status == 1
    found = {one["head"]: one for one in records(out)}
    assert (found["mlp"]["status"], found["nan_in_test"]["status"]) == ("ok", "failed")
    assert found["nan_in_test"]["error"]["type"] == "NonFinitePrediction"
    assert "NaN or infinity for 12 of 12 test images" in found["nan_in_test"]["error"]["message"]
    assert "Traceback" not in done.err
    assert (out / "leaderboard.html").exists()
    again = quadzoo_process("report", out, path=site)
    assert again.status == 0, again.err


def test_a_clock_that_is_set_back_loses_nothing(
    discs: Path, quadzoo: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run's process sees an earlier time than the command did when it started it."""

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(days=1)

    monkeypatch.setattr("quadzoo.grid.loop.datetime", Ahead)
    done = quadzoo(*bench(discs, tmp_path, "--backbones", "tiny_cnn", "--weights", "none"))
    assert done.status == 0, done.err
    (record,) = records(tmp_path)
    assert record["status"] == "ok"
    assert datetime.fromisoformat(record["finished"]) < datetime.now(UTC) + timedelta(hours=1)


def test_the_record_before_is_not_taken_for_the_run_s_own(
    discs: Path, stranger: Path, quadzoo_process: Call, tmp_path: Path
) -> None:
    """A run that dies without a word has failed, though a record of an earlier try is there."""
    command = bench(discs, tmp_path, "--backbones", "exits", "--weights", "none", "--precision", 32)
    for _ in range(2):
        done = quadzoo_process(*command, path=stranger)
        assert done.status == 1
    (record,) = records(tmp_path)
    assert record["error"]["type"] == "ProcessDied"
    assert record["error"]["message"].startswith("its process ended with exit status 7; the last line")


def keys(call: Call, *command: object, **options: Any) -> list[str]:
    done = call(*command, "--dry-run", "--json", **options)
    assert done.status == 0, done.err
    return [run["key"] for run in json.loads(done.out)["runs"]]


def test_the_order_of_rows_and_where_files_lie_change_no_key(
    discs: Path, quadzoo: Call, tmp_path: Path
) -> None:
    table = pd.read_csv(discs / "discs.csv")
    table.sample(frac=1, random_state=1).to_csv(tmp_path / "discs.csv", index=False)
    (tmp_path / "photos").symlink_to(discs / "photos")
    flags = ("--backbones", "tiny_cnn", "--weights", "none")
    first = keys(quadzoo, *bench(discs, tmp_path / "out", *flags))
    assert keys(quadzoo, *bench(tmp_path, tmp_path / "other", *flags, "--jobs", 2, "--threads", 1)) == first

    sides = ["train"] * 40 + ["val"] * 10 + ["test"] * 10
    division = pd.DataFrame({"id": table["file"], "split": sides})
    division.to_csv(tmp_path / "division.csv", index=False)
    command = bench(discs, tmp_path / "out", *flags, "--split", tmp_path / "division.csv")
    split = keys(quadzoo, *command)
    division.sample(frac=1, random_state=2).to_csv(tmp_path / "division.csv", index=False)
    assert keys(quadzoo, *command) == split != first
    division["split"] = random.Random(0).sample(sides, len(sides))
    division.to_csv(tmp_path / "division.csv", index=False)
    assert keys(quadzoo, *command) != split


@pytest.mark.slow
def test_precision_is_decided_once_for_a_folder_and_backbone(
    discs: Path, quadzoo_process: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUADZOO_CACHE_DIR", str(tmp_path / "cache"))
    out = tmp_path / "out"
    command = bench(discs, out, "--backbones", "tiny_cnn", "--weights", "none")
    done = quadzoo_process(*command)
    assert done.status == 0, done.err
    (choice,) = json.loads((out / "precision.json").read_text()).values()
    (record,) = records(out)
    assert (record["precision"], record["precision_note"]) == (choice["kind"], choice["note"])

    # Whatever a later trial would say, and on whatever machine.
    other = {"32": "bf16", "bf16": "32"}[choice["kind"]]
    (out / "precision.json").write_text(
        json.dumps({"tiny_cnn (quadzoo 0.1.0)": {"kind": other, "note": "as decided here"}})
    )
    done = quadzoo_process(*command, "--seeds", "0,1")
    assert done.status == 0, done.err
    assert "2 runs, 1 done already" in done.err  # a run that is done in either precision is done
    found = {one["seed"]: one for one in records(out)}
    assert (found[0]["precision"], found[1]["precision"]) == (choice["kind"], other)
    assert found[1]["precision_note"] == "as decided here"
    (row,) = (r for r in json.loads((out / "leaderboard.json").read_text())["rows"] if r["head"] != "-")
    assert row["seeds"] == 2
    for name in ("csv", "md", "html", "json"):
        assert "32, bf16" in (out / f"leaderboard.{name}").read_text()
    done = quadzoo_process(*command, "--seeds", "0,1", "--precision", other)
    assert "2 runs, 1 done already" in done.err  # one that is asked for is another run

    (out / "precision.json").write_text("nonsense")
    done = quadzoo_process(*command, "--seeds", "5")
    assert done.status == 2
    assert "precision.json: cannot be read; delete it" in done.error


def test_threads_are_those_that_were_asked_for(
    discs: Path, quadzoo: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("--backbones", "tiny_cnn", "--weights", "none")
    assert quadzoo(*bench(discs, tmp_path / "3", *flags, "--threads", 3)).status == 0
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert quadzoo(*bench(discs, tmp_path / "2", *flags)).status == 0
    assert [one["environment"]["threads"] for n in "32" for one in records(tmp_path / n)] == [3, 2]


@pytest.mark.slow
def test_an_editable_plugin_is_known_by_its_source(
    discs: Path, site: Path, quadzoo_process: Call, tmp_path: Path
) -> None:
    shutil.copytree(site, tmp_path / "site")
    origin = {"url": f"file://{tmp_path}", "dir_info": {"editable": True}}
    (tmp_path / "site" / "hubplug-1.0.dist-info" / "direct_url.json").write_text(json.dumps(origin))
    command = bench(discs, tmp_path / "out", "--backbones", "hub", "--weights", "none")
    first = keys(quadzoo_process, *command, path=tmp_path / "site")
    assert keys(quadzoo_process, *command, path=tmp_path / "site") == first
    assert keys(quadzoo_process, *command, path=site) != first  # installed, its version counts
    code = tmp_path / "site" / "hubplug.py"
    code.write_text(code.read_text().replace("stride=2", "stride=3"))
    changed = keys(quadzoo_process, *command, path=tmp_path / "site")
    assert changed != first
    code.write_text(code.read_text().replace('name="hub",', 'name="hub", revision="1",'))
    by_revision = keys(quadzoo_process, *command, path=tmp_path / "site")
    code.write_text(code.read_text() + "\n# a remark\n")
    assert keys(quadzoo_process, *command, path=tmp_path / "site") == by_revision != changed
