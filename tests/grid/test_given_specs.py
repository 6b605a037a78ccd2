"""Benches of specs that a program gives as objects: trained in processes of their own, then used."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import quadzoo
from quadzoo.errors import ConfigError, DataError
from tests.runs import records

# Run as a script, which takes long to start, and once more with other code under the same names.
SCRIPT = '''
import sys
from pathlib import Path
import quadzoo
from torch import nn

WIDTH = 4

class Net(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.num_features = WIDTH
        self.layers = nn.Sequential(nn.Conv2d(channels, WIDTH, 3, 4), nn.ReLU())

    def forward(self, images):
        return self.layers(images)

class Head(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)

    def forward(self, features):
        return self.layer(features.mean((2, 3)))

    def loss(self, raw, target):
        return (raw - target).square().mean()

    def predict(self, raw):
        return raw

def bench():
    mine = quadzoo.BackboneSpec(name="mine", build=lambda *, in_channels, **_: Net(in_channels))
    head = quadzoo.HeadSpec(
        name="my_head", build=lambda *, num_features, **_: Head(num_features, 1), revision="3"
    )
    return quadzoo.bench(
        backbones=[mine], heads=[head], data=DATA, images=IMAGES, targets=["radius"], id_column="file",
        epochs=1, weights="none", precision="32", out=OUT,
    )

'''  # fmt: skip
USE = """
for _ in range(2):  # the second time it is done
    board = bench()
    (key,) = [path.name for path in Path(OUT, "runs").iterdir()]
print(board.best.name)
print(*quadzoo.load(key, out=OUT).predict(IMAGES)["radius"])
"""


@pytest.fixture(scope="module")
def paths(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {
        "DATA": str(discs / "discs.csv"), "IMAGES": str(discs / "photos"),
        "OUT": str(tmp_path_factory.mktemp("own") / "results"),
    }  # fmt: skip


@pytest.fixture(scope="module")
def printed(paths: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the script prints that trains a spec of its own."""
    return run(SCRIPT + USE, paths, tmp_path_factory.mktemp("script"))


@pytest.fixture(scope="module")
def trained(printed: list[str], paths: dict[str, str]) -> Path:
    """The folder of its run."""
    (folder,) = Path(paths["OUT"], "runs").iterdir()
    return folder


def run(script: str, paths: dict[str, str], folder: Path) -> list[str]:
    """Run a script from a folder that is on no path of its children; return what it prints."""
    values = "".join(f"{name} = {value!r}\n" for name, value in paths.items())
    (folder / "script.py").write_text(values + script)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(Path(quadzoo.__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def predicted(printed: list[str], trained: Path) -> tuple[np.ndarray, np.ndarray]:
    """What the script predicted for val and test, and what the run had."""
    kept = pd.read_csv(trained / "predictions.csv")
    there = dict(
        zip((f"disc {index:02d}" for index in range(60)), map(float, printed[1].split()), strict=True)
    )
    return kept["id"].map(there).to_numpy(), kept["radius_pred"].to_numpy()


def test_a_script_trains_and_uses_its_own(printed: list[str], trained: Path, paths: dict[str, str]) -> None:
    assert printed[0] == "mine + my_head"
    (record,) = records(Path(paths["OUT"]))
    assert record["status"] == "ok", record["error"]
    assert record["environment"]["plugins"]["python:my_head"] == "3"
    assert len(record["provenance"]["backbone"]["source"]) == 64
    assert np.allclose(*predicted(printed, trained), atol=1e-4)
    assert "quadzoo bench --backbones mine" not in Path(paths["OUT"], "leaderboard.json").read_text()


def test_other_code_is_another_run(printed: list[str], paths: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "results"
    shutil.copytree(paths["OUT"], out)
    changed = SCRIPT.replace("nn.ReLU()", "nn.Tanh()") + "bench()\n"
    run(changed, paths | {"OUT": str(out)}, tmp_path)
    assert len({record["key"] for record in records(out)}) == 2


def own(paths: dict[str, str]) -> dict[str, Any]:
    """What the script defines, defined in this process from text: it has no source, and needs a revision."""
    found: dict[str, Any] = dict(paths)
    exec(SCRIPT, found)
    return found


def test_another_process_is_told_what_is_missing(trained: Path) -> None:
    with pytest.raises(
        DataError, match=r"needs backbone 'mine', which is not installed: a program gave it"
    ) as e:
        quadzoo.load(trained)
    assert len(str(e.value)) <= 300
    assert "\n" not in str(e.value)


def test_a_spec_can_be_given_again(trained: Path, paths: dict[str, str]) -> None:
    made = own(paths)
    mine = quadzoo.BackboneSpec(
        name="mine",
        revision="1",
        build=lambda *, pretrained, in_channels, image_size: made["Net"](in_channels),
    )
    head = quadzoo.HeadSpec(
        name="my_head", revision="3", build=lambda *, num_features, targets: made["Head"](num_features, 1)
    )
    with pytest.warns(UserWarning, match="mine is version 1 here, the model was trained with"):
        model = quadzoo.load(trained, specs=[mine, head])
    kept = pd.read_csv(trained / "predictions.csv")
    photos = [Path(paths["IMAGES"], f"{one}.png") for one in kept["id"]]
    assert np.allclose(model.predict(photos)["radius"], kept["radius_pred"], atol=1e-4)
    with pytest.raises(DataError, match="needs backbone 'mine'"):
        quadzoo.load(trained)  # what one call is given is not there for the next


OfThreads = tuple[dict[int, Any], dict[int, Path]]


@pytest.fixture(scope="module")
def of_threads(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> OfThreads:
    """The boards and folders of two benches at once: both have a backbone `mine`, of their own width."""
    from torch import nn

    def spec(width: int) -> quadzoo.BackboneSpec:
        def build(*, pretrained: bool, in_channels: int, image_size: tuple[int, int]) -> nn.Module:
            if pretrained:
                raise ValueError("there are none")
            net = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Conv2d(in_channels, width, 1))
            net.num_features = width  # type: ignore[assignment]
            return net

        return quadzoo.BackboneSpec(name="mine", build=build)

    boards: dict[int, Any] = {}
    folders = {width: tmp_path_factory.mktemp("thread") for width in (2, 5)}

    def bench(width: int) -> None:
        boards[width] = quadzoo.bench(
            backbones=[spec(width)], heads=["linear"], data=str(discs / "discs.csv"), images=discs / "photos",
            targets=["radius"], id_column="file", epochs=1, weights="auto", precision="32",
            out=folders[width],
        )  # fmt: skip

    threads = [threading.Thread(target=bench, args=[width]) for width in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return boards, folders


# Weights and biases of the convolution, and of the linear head on its mean features.
PARAMS = {2: 8 + 3, 5: 20 + 6}


def test_two_threads_do_not_mix_up(of_threads: OfThreads) -> None:
    boards, folders = of_threads
    params = {width: board.to_frame()["params"].dropna().tolist() for width, board in boards.items()}
    assert params == {width: [n] for width, n in PARAMS.items()}
    for folder in folders.values():  # pretrained weights were asked for in a process that had the spec
        (record,) = records(folder)
        assert record["weights_note"] == "there are none"


def test_each_run_finds_its_own_spec_again(of_threads: OfThreads, discs: Path, tmp_path: Path) -> None:
    runs = {width: next((folder / "runs").iterdir()) for width, folder in of_threads[1].items()}
    for width, run in runs.items():  # by its code, since both have one name
        module = quadzoo.load(run).module
        assert sum(parameter.numel() for parameter in module.parameters()) == PARAMS[width]
    board = quadzoo.bench(
        data=str(discs / "discs.csv"), images=discs / "photos", targets=["radius"], id_column="file",
        init=runs[2], epochs=0, precision="32", out=tmp_path,
    )  # fmt: skip
    assert board.to_frame()["params"].dropna().tolist() == [PARAMS[2]]


REFUSED = {
    "a spec for a list": (
        lambda spec: {"backbones": spec}, "`backbones` mine: a list is needed, such as [mine]",
    ),
    "a backbone for a head": (
        lambda spec: {"heads": [spec]}, "`heads` mine: it is a BackboneSpec; give it in `backbones`",
    ),
    "twice": (lambda spec: {"backbones": [spec, spec]}, "`backbones` names mine twice"),
    "specs": (lambda spec: {"specs": [spec]}, "there is no parameter 'specs'"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_one_line(case: str) -> None:
    parameters, message = REFUSED[case]
    spec = quadzoo.BackboneSpec(name="mine", build=lambda **_: None, revision="1")  # type: ignore[arg-type,return-value]
    with pytest.raises(ConfigError) as refused:
        quadzoo.bench(**parameters(spec))
    assert message in str(refused.value)
