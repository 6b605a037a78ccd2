"""Weights that people have, in a bench by the real command line: a file, a folder, a plugin of one file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from quadzoo.registry import additions

from ..conftest import Result
from ..runs import records

Call = Callable[..., Result]

NET = """
from quadzoo import BackboneSpec, hookimpl
from quadzoo.model.backbones.tiny import build_tiny_cnn

@hookimpl
def register_backbones():
    return [BackboneSpec(name="mynet", build=build_tiny_cnn, description="mine")]
"""


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    before = additions.current()
    yield
    additions.install(before)


def bench(discs: Path, out: Path, *flags: object) -> list[object]:
    return [
        "bench", "--data", discs / "discs.csv", "--images", discs / "photos", "--targets", "radius",
        "--id-column", "file", "--image-size", "32x48", "--epochs", 1, "--precision", 32,
        "--out", out, *flags,
    ]  # fmt: skip


def keys(done: Result) -> list[str]:
    assert done.status == 0, done.err
    return [run["key"] for run in json.loads(done.out)["runs"]]


@pytest.fixture(scope="module")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with tiny_cnn's weights and a head's, as another training loop may leave it."""
    import torch

    from quadzoo.model.backbones.tiny import build_tiny_cnn

    torch.manual_seed(3)
    net = build_tiny_cnn(pretrained=False, in_channels=3, image_size=(32, 48))
    state = {f"module.{name}": tensor for name, tensor in net.state_dict().items()}
    path = tmp_path_factory.mktemp("weights") / "mine.pth"
    torch.save({"state_dict": {**state, "fc.weight": torch.zeros(2, 2)}, "epoch": 7}, path)
    return path


def test_a_bench_starts_from_a_file(discs: Path, tiny_weights: Path, quadzoo: Call, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = bench(discs, out, "--backbones", "tiny_cnn", "--weights", tiny_weights)
    done = quadzoo(*command)
    assert done.status == 0, done.err
    assert "warning: pretrained weights of tiny_cnn are not all used: mine.pth, SHA-256" in done.err
    assert "starts from weights of a file (mine.pth, " in done.err
    (record,) = records(out)
    loaded = record["loaded"]
    assert record["weights"] == "file"
    assert (loaded["source"], loaded["tensors"], loaded["missing"]) == ("mine.pth", 20, [])
    assert loaded["unexpected"] == ["fc.weight"]
    assert record["flags"]["--weights"] == "./mine.pth"
    assert str(tiny_weights.parent) not in json.dumps(record)
    assert "ridge-features:tiny_cnn" in record["baselines"]  # as for any pretrained backbone
    assert quadzoo("verify", out).status == 0

    # The name and the place of the file do not count, what is in it does.
    moved = Path(shutil.copy(tiny_weights, tmp_path / "other name.pt"))
    plan = bench(discs, out, "--backbones", "tiny_cnn", "--dry-run", "--json", "--weights")
    assert keys(quadzoo(*plan, moved)) == [record["key"]]
    assert keys(quadzoo(*plan, "none")) != [record["key"]]


def test_ridge_regression_need_not_beat_itself(
    discs: Path, tiny_weights: Path, quadzoo: Call, tmp_path: Path
) -> None:
    """A screening of frozen networks is by the method of the baseline ridge-features."""
    frozen = ("--backbones", "tiny_cnn", "--weights", tiny_weights, "--freeze", "--heads")
    done = quadzoo(*bench(discs, tmp_path, *frozen, "ridge"))
    assert done.status == 0, done.err
    (alone,) = records(tmp_path)
    assert not any(name.startswith("ridge-features") for name in alone["baselines"])
    # Beside a head that is trained by steps there is that baseline, and only this one has to beat it.
    assert quadzoo(*bench(discs, tmp_path, *frozen, "ridge,linear", "--epochs", 1)).status == 0
    table = json.loads((tmp_path / "leaderboard.json").read_text())
    verdicts = {row["head"]: row["verdict"] for row in table["rows"] if row["head"] != "-"}
    assert {row["backbone"] for row in table["rows"]} >= {"ridge-features:tiny_cnn"}
    assert "features" not in verdicts["ridge"]


def test_features_that_are_not_finite_cost_one_baseline(
    discs: Path, tiny_weights: Path, quadzoo: Call, tmp_path: Path
) -> None:
    import torch

    state = torch.load(tiny_weights, weights_only=True)["state_dict"]
    path = tmp_path / "huge.pth"
    for name in ("weight", "bias"):  # of the last batch norm
        state[f"module.10.{name}"].fill_(3e38)
    torch.save(state, path)
    done = quadzoo(*bench(discs, tmp_path / "out", "--backbones", "tiny_cnn", "--weights", path))
    assert done.status == 1
    assert "Traceback" not in done.err
    assert "warning: no ridge-features:tiny_cnn: its features of " in done.err
    assert "are NaN or infinite" in done.err
    (record,) = records(tmp_path / "out")
    assert record["status"] == "failed"
    assert "ridge-pixels" in (tmp_path / "out" / "leaderboard.md").read_text()


def test_training_begins_with_the_file_s_weights(
    discs: Path, tiny_weights: Path, quadzoo: Call, tmp_path: Path
) -> None:
    import safetensors.torch
    import torch

    done = quadzoo(*bench(discs, tmp_path, "--backbones", "tiny_cnn", "--freeze", "--weights", tiny_weights))
    assert done.status == 0, done.err
    (folder,) = (tmp_path / "runs").iterdir()
    kept = safetensors.torch.load_file(folder / "model.safetensors")
    given = torch.load(tiny_weights, weights_only=True)["state_dict"]
    assert torch.equal(kept["backbone.0.weight"], given["module.0.weight"])


def refused(discs: Path, quadzoo: Call, tmp_path: Path, *flags: object) -> str:
    done = quadzoo(*bench(discs, tmp_path / "out", *flags))
    assert done.status == 2
    assert not (tmp_path / "out").exists()
    line = done.err.strip().splitlines()[-1]
    assert line.startswith("quadzoo: error: ")
    assert len(line) <= 320
    return line


def test_a_file_that_does_not_fit_is_refused(
    discs: Path, tiny_weights: Path, quadzoo: Call, tmp_path: Path
) -> None:
    def told(*flags: object) -> str:
        return refused(discs, quadzoo, tmp_path, *flags)

    assert "--weights: resnet18 cannot take mine.pth: " in told(
        "--backbones", "resnet18", "--weights", tiny_weights
    )
    assert "--weights none.pt: there is no such file" in told("--weights", "none.pt")
    assert "--weights best: say auto, pretrained, none, or a file" in told("--weights", "best")
    assert "--init brings the weights" in told("--init", "x", "--weights", tiny_weights)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network as timm's own function saves it."""
    import timm
    import torch
    from timm.models import save_for_hf

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("hub") / "mynet"
    net = timm.create_model("resnet10t", num_classes=2)
    net.pretrained_cfg["tag"] = "mine"
    save_for_hf(net, str(path), model_args={"drop_rate": 0.1}, safe_serialization=True)
    return path


def test_a_folder_in_timm_s_schema(discs: Path, folder: Path, quadzoo: Call, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = quadzoo(*bench(discs, out, "--backbones", f"local-dir:{folder}"))
    assert done.status == 0, done.err
    (record,) = records(out)
    assert (record["backbone"], record["weights"]) == ("local-dir:mynet", "pretrained")
    assert (record["loaded"]["source"], record["loaded"]["tag"]) == ("local-dir:mynet", "mine")
    assert record["network"]["architecture"] == "resnet10t"
    assert record["network"]["model_args"]["drop_rate"] == 0.1
    assert str(folder.parent) not in json.dumps(record)
    assert "local-dir:mynet" in (out / "leaderboard.md").read_text()
    use = ("predict", out / "runs" / record["key"], discs / "photos" / "disc 00.png")
    assert "disc 00.png" in quadzoo(*use).out

    # The same from elsewhere, and other weights.
    plan = (*bench(discs, out), "--dry-run", "--json", "--backbones")
    copy = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    assert keys(quadzoo(*plan, f"local-dir:{copy}")) == [record["key"]]

    # A run can be used when its folder is gone.
    (run,) = (out / "runs").iterdir()
    additions.install(additions.Additions())
    command: list[Any] = bench(discs, tmp_path / "again", "--init", run)
    del command[command.index("--image-size") : command.index("--image-size") + 2]
    command[command.index("--epochs") + 1] = 0
    done = quadzoo(*command)
    assert done.status == 0, done.err
    (tested,) = records(tmp_path / "again")
    assert tested["metrics"] == record["metrics"]
    assert tested["network"] == record["network"]


def test_a_folder_without_its_weights_is_refused(
    discs: Path, folder: Path, quadzoo: Call, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "net"))
    (copy / "model.safetensors").unlink()
    told = refused(discs, quadzoo, tmp_path, "--backbones", f"local-dir:{copy}")
    assert "--backbones local-dir:net: it names weights, and these are not available" in told
    assert "--weights none trains it from scratch" in told


def test_a_plugin_of_one_file(discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    plugin, out = tmp_path / "zoo.py", tmp_path / "out"
    plugin.write_text(NET)
    flags = ("--plugin", plugin, "--backbones", "my*", "--weights", "none")
    done = quadzoo(*bench(discs, out, *flags))
    assert done.status == 0, done.err
    assert "--backbones my*: mynet" in done.err
    if "to use " in done.err:
        assert done.err.rstrip().endswith(f"--plugin {plugin}")
    (record,) = records(out)
    assert record["status"] == "ok"
    assert record["provenance"]["backbone"]["distribution"] == "./zoo.py"
    assert record["flags"]["--plugin"] == "./zoo.py"
    assert str(tmp_path) not in json.dumps(record)
    plan = (*bench(discs, out, *flags), "--dry-run", "--json")
    assert keys(quadzoo(*plan)) == [record["key"]]
    use = ("predict", out / "runs" / record["key"], discs / "photos" / "disc 00.png")
    assert "disc 00.png" in quadzoo(*use, "--plugin", plugin).out
    assert "it is from a one-file plugin; give the file with --plugin" in quadzoo(*use).error
    renamed = Path(shutil.copy(plugin, tmp_path / "other.py"))
    assert quadzoo(*use, "--plugin", renamed).out == quadzoo(*use, "--plugin", plugin).out
    plugin.write_text(NET + "# changed\n")
    assert keys(quadzoo(*plan)) != [record["key"]]

    # Without the flag nobody knows it; not even where it lies in the current folder.
    without = bench(discs, tmp_path / "new", "--backbones", "mynet", "--weights", "none")
    assert "unknown backbone 'mynet'" in quadzoo(*without).error


def test_a_plugin_of_one_file_is_listed_and_checked(quadzoo: Call, tmp_path: Path) -> None:
    plugin = tmp_path / "zoo.py"
    plugin.write_text(NET)
    assert "mynet" in quadzoo("list", "--plugin", plugin).out
    rows = json.loads(quadzoo("list", "plugins", "--json", "--plugin", plugin).out)
    assert [row["name"] for row in rows if row["distribution"] == "./zoo.py"] == ["zoo"]
    assert "say what to check: a NAME, or one --plugin" in quadzoo("plugin", "check").error
    plugin.write_text("import nothing_of_that_name")
    for command in (["list"], ["plugin", "check"], ["bench", "--backbones", "mynet"]):
        done = quadzoo(*command, "--plugin", plugin)
        assert done.status == 2
        assert "--plugin zoo.py: ModuleNotFoundError: No module named 'nothing_of_that_name'" in done.error


def test_a_suite_s_file_names_no_code(discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    suite = tmp_path / "s.toml"
    suite.write_text(f'plugin = ["x.py"]\n[sets.a]\ndata = "{discs / "discs.csv"}"\n')
    done = quadzoo("bench", "--suite", suite)
    assert "plugin cannot stand in the file; give --plugin beside it" in done.error
