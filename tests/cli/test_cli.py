"""Every refusal: one line, exit 2, nothing written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import quadzoo as package
from quadzoo.data.equations import DETAILS_CSV, IMAGES

from ..conftest import command

Call = Callable[..., Any]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("--backbones resnet5O", "unknown backbone 'resnet5O'; did you mean resnet50"),
        ("--heads mpl", "unknown head 'mpl'; did you mean mlp?"),
        ("--backbones a,,b", "empty name"),
        ("--backbones tiny_cnn,tiny_cnn", "--backbones names tiny_cnn twice"),
        ("--seeds 0,x", "'0,x' is not a list of whole numbers"),
        ("--seeds -1", "--seeds are 0 to"),
        ("--data nowhere", "--data nowhere: no such file or folder"),
        ("--lr 0", "--lr 0.0: Input should be greater than 0"),
        ("--lr nan", "--lr nan: Input should be a finite number"),
        ("--epochs 1.5", "say auto, or a number of epochs, 0 or more"),
        (f"--epochs {'9' * 5000}", "say auto, or a number of epochs, 0 or more"),
        ("--epochs -1", "say auto, or a number of epochs, 0 or more"),
        ("--epochs 0", "--epochs 0 tests what --init loads"),
        ("--batch-size many", "'many' is not a valid integer"),
        ("--precision 16", "'16' is not one of"),
        ("--image-size 3", "--image-size '3'"),
        ("--bogus", "No such option"),
        ("--backbones tiny_cnn --split nowhere.csv", "neither grouped nor article nor a file"),
        ("--backbones tiny_cnn --split article --folds 2", "--folds 2 needs --split grouped"),
        ("--backbones tiny_cnn --device cuda", "--device cuda: torch finds no usable GPU"),
        ("--backbones tiny_cnn --device mps", "--device mps: torch "),
        ("--device cuda:x", "--device cuda:x: say auto, cpu, cuda"),
        ("--jobs 0", "'0': say auto, or a number of runs, 1 or more"),
        ("--jobs 100000000", "--jobs 100000000: at most 10,000 runs at a time"),
        ("--threads 1000000000", "--threads 1000000000: at most 10,000 threads"),
        ("--checkpoint-minutes nan", "--checkpoint-minutes nan: Input should be a finite number"),
        ("--checkpoint-minutes -1", "--checkpoint-minutes -1.0: Input should be greater than or equal to 0"),
        ("--backbones tiny_cnn --weights pretrained", "tiny_cnn has no pretrained weights available"),
        ("--backbones tiny_cnn --targets a,z", "no column 'z' (--targets)"),
        ("--backbones tiny_cnn --id-column name", "no column 'name' (--id-column)"),
    ],
)
def test_bad_flags(flags: str, told: str, equations: Path, quadzoo: Call, tmp_path: Path) -> None:
    if flags.endswith(("--device cuda", "--device mps")):
        torch = pytest.importorskip("torch")
        if torch.cuda.is_available() or torch.backends.mps.is_available():
            pytest.skip("a GPU is there")
    result = quadzoo("bench", "--data", equations, *flags.split(), "--out", tmp_path / "out")
    assert result.status == 2
    assert told in result.error
    assert result.out == ""
    assert not (tmp_path / "out").exists()


@pytest.fixture
def spoilt(equations: Path, tmp_path: Path) -> Path:
    """A copy of the equations to spoil."""
    return Path(shutil.copytree(equations, tmp_path / "spoilt"))


def test_bad_data(spoilt: Path, quadzoo: Call, tmp_path: Path) -> None:
    def refused(told: str) -> None:
        result = quadzoo("bench", "--backbones", "tiny_cnn", "--data", spoilt, "--out", tmp_path / "out")
        assert result.status == 2
        assert told in result.error
        assert not (tmp_path / "out").exists()

    table = spoilt / DETAILS_CSV
    good = table.read_text(encoding="utf-8")
    table.write_text(
        good.replace("\neqn_0004,quadratic/eqn_0004,", "\neqn_0004,quadratic/eqn_0004,one"), "utf-8"
    )
    refused(f"{table}: row 6: target 'a' is 'one")
    table.write_text(good, "utf-8")
    image = spoilt / IMAGES / "eqn_0007.png"
    image.write_bytes(image.read_bytes()[:60])
    refused(f"{table}: row 9: image {image} is unreadable")
    image.unlink()
    refused(f"{table}: row 9: no image for id 'eqn_0007'")
    table.unlink()
    refused(f"a folder is for data with a '{DETAILS_CSV}'")


def test_out_is_a_file(equations: Path, quadzoo: Call, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    result = quadzoo("bench", "--backbones", "tiny_cnn", "--data", equations, "--out", tmp_path / "file")
    assert result.status == 2
    assert "is a file" in result.error
    assert (tmp_path / "file").read_text() == "mine"


def test_a_broken_record_is_told_before_anything_trains(
    equations: Path, quadzoo: Call, tmp_path: Path
) -> None:
    (tmp_path / "runs" / "k").mkdir(parents=True)
    (tmp_path / "runs" / "k" / "record.json").write_text("{}")
    result = quadzoo("bench", "--backbones", "tiny_cnn", "--data", equations, "--out", tmp_path, "--dry-run")
    assert result.status == 0
    assert (
        "quadzoo: warning: run k cannot be read: record.json: not a record that this version reads"
        in result.err
    )


def test_cache_folder_that_cannot_be(
    equations: Path, quadzoo: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("QUADZOO_CACHE_DIR", str(tmp_path / "file" / "cache"))
    result = quadzoo("bench", "--backbones", "tiny_cnn", "--data", equations, "--out", tmp_path / "out")
    assert result.status == 2
    assert "set QUADZOO_CACHE_DIR" in result.error


@pytest.mark.parametrize("kind", [ZeroDivisionError, EOFError])
def test_a_bug_keeps_its_traceback(kind: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a file within a plugin is no interrupt, either."""
    from quadzoo.cli import main
    from quadzoo.registry import catalogue

    def bug() -> None:
        raise kind

    monkeypatch.setattr(catalogue, "load", bug)
    with pytest.raises(kind):
        main(["list"])


def test_help_and_version(quadzoo: Call) -> None:
    assert quadzoo("--version").out.strip() == f"quadzoo, version {package.__version__}"
    page = quadzoo("bench", "--help").out
    from quadzoo.model.recipe import Recipe

    default = Recipe()
    for value in (default.epochs, default.batch_size, default.lr):
        assert f"[default: {value}]" in page
    nothing = quadzoo()
    assert nothing.status == 2
    assert "Usage: quadzoo" in nothing.err


def test_list(quadzoo: Call) -> None:
    backbones = {row["name"]: row for row in json.loads(quadzoo("list", "backbones", "--json").out)}
    assert backbones["resnet50"].keys() == {"name", "plugin", "description"}
    assert {"efficientnet_b0", "timm/resnet50", "tiny_cnn", "vit_tiny_patch16_224"} <= backbones.keys()
    assert len(backbones) > 1000
    short = quadzoo("list").out
    assert "efficientnet_b0" in short
    assert "more from timm" in short
    assert len(short.splitlines()) < 40
    assert len(quadzoo("list", "--all").out.splitlines()) == len(backbones) + 1
    heads = json.loads(quadzoo("list", "heads", "--json").out)
    assert [row["name"] for row in heads if row["plugin"] == "heads"] == [
        "mlp", "linear", "gaussian", "integer", "skip", "ridge", "spatial",
    ]  # fmt: skip
    assert "torchvision" in quadzoo("list", "plugins").out
    assert quadzoo("list", "wings").status == 2


def test_dry_run_prints_the_plan_alone(equations: Path, quadzoo: Call, tmp_path: Path) -> None:
    result = quadzoo(
        "bench", "--backbones", "tiny_cnn", "--heads", "mlp,linear", "--data", equations, "--dry-run",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert result.status == 0
    assert result.out.count("to do") == 2
    assert "weights of tiny_cnn: none" in result.out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("as_json", [False, True])
def test_letters_that_a_pipe_cannot_take_are_escaped(as_json: bool) -> None:
    """As on Windows, where few can be written to one."""
    arguments = command("list", "heads", *["--json"] * as_json)
    environment = os.environ | {"PYTHONIOENCODING": "cp1252"}
    done = subprocess.run(arguments, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    told = done.stdout.decode("cp1252")
    assert "\\u03b2-NLL" in told
    if as_json:
        assert any("β-NLL" in head["description"] for head in json.loads(told))
