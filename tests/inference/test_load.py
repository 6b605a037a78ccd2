"""What a model is called, and what becomes of folders that are not what they say."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import quadzoo as package
from quadzoo import api
from quadzoo.errors import ConfigError, QuadzooError
from quadzoo.inference.load import load_model
from quadzoo.records.record import RunRecord
from quadzoo.records.trained import read_trained
from quadzoo.registry import catalogue
from tests.inference.conftest import record_of, rewritten

Find = Callable[..., Path]
ONE = np.full((32, 48, 3), (200, 10, 10), np.uint8)


def refused(run: object, out: object = "results") -> str:
    """The one line that a model is refused with."""
    with pytest.raises(QuadzooError) as error:
        package.load(run, out)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_run_has_many_names(run_of: Find, out: Path, tmp_path: Path) -> None:
    folder = run_of("linear")
    keys = [one.name for one in (out / "runs").iterdir()]
    short = next(
        folder.name[:n] for n in range(1, 17) if sum(key.startswith(folder.name[:n]) for key in keys) == 1
    )
    exported = tmp_path / "exported"
    exported.mkdir()
    shutil.copy(folder / "record.json", exported / "config.json")
    shutil.copy(folder / "model.safetensors", exported)
    wanted = package.load(folder).predict(ONE)
    for name, where in (
        (str(folder), "results"),
        (folder.name, out),
        (short, str(out)),
        (exported, "results"),
    ):
        assert package.load(name, where).predict(ONE).equals(wanted)


def test_names_of_nothing(out: Path, tmp_path: Path, run_of: Find) -> None:
    assert "no folder of a run, no registered model" in refused("nothing", out)
    assert "and no key in" in refused("zz", out)
    assert "a results folder holds many runs" in refused(out)
    assert "no trained model lies there" in refused(tmp_path)
    assert "an empty name" in refused(f"{run_of('linear').name},", out)
    with pytest.raises(QuadzooError, match="`device` 'tpu': say auto, cpu, cuda or mps"):
        package.load(run_of("linear"), device="tpu")


def test_several_runs_are_named_and_each_once(run_of: Find, out: Path) -> None:
    one, other = run_of("linear"), run_of("integer")
    told = package.load(f"{one.name},{other.name}", out).told
    assert told == [
        f"{one.name} is run {one.name}: tiny_cnn + linear, seed 0",
        f"{other.name} is run {other.name}: tiny_cnn + integer, seed 0",
    ]
    assert f"run {one.name} is in it twice; name each run once" in refused(f"{one},{one.name}", out)


def test_runs_in_two_units_have_no_mean(run_of: Find) -> None:
    metres, other = (read_trained(run_of(head), head) for head in ("linear", "integer"))
    ends = {
        end: [1000 * value for value in getattr(other.record, end)] for end in ("target_low", "target_high")
    }
    millimetres = dataclasses.replace(other, record=other.record.model_copy(update=ends))
    with pytest.raises(ConfigError, match=r"radius is .* in run .*: of two units there is no mean"):
        load_model([(metres, 0.5), (millimetres, 0.5)], catalogue.load(), "cpu")


def test_one_value_for_a_list(run_of: Find, tmp_path: Path) -> None:
    spec = package.HeadSpec(name="mine", build=lambda **_: None, revision="1")  # type: ignore[arg-type]
    with pytest.raises(QuadzooError, match="`specs` mine: a list is needed"):
        package.load(run_of("linear"), specs=spec)  # type: ignore[arg-type]
    with pytest.raises(QuadzooError, match=r"`plugin` net.py: a list is needed, such as \['net.py'\]"):
        package.load(run_of("linear"), plugin=Path("net.py"))  # type: ignore[arg-type]
    with pytest.raises(QuadzooError, match="`images` photos: a list is needed"):
        api.export(run_of("linear"), tmp_path / "model", onnx=True, images="photos")
    twin = tmp_path / "runs"
    for name in ("ab1", "ab2"):
        shutil.copytree(run_of("linear"), twin / name)
    assert "keys ab1, ab2 of" in refused("ab", tmp_path)


def test_a_gpu_that_cannot_be_used_is_left_for_the_cpu_with_the_reason(
    run_of: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = package.load(run_of("linear"), device="cpu").predict(ONE)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("quadzoo.inference.load.why_unusable", lambda device: f"no kernel for {device}")
    with pytest.warns(UserWarning, match="the GPU cannot be used: no kernel for cuda"):
        assert package.load(run_of("linear")).predict(ONE).equals(wanted)
    with pytest.raises(QuadzooError, match="`device` cuda: it cannot be used: no kernel for cuda; say cpu"):
        package.load(run_of("linear"), device="cuda")
    monkeypatch.undo()
    with pytest.raises(QuadzooError, match="`device` mps: there is no MPS device"):
        package.load(run_of("linear"), device="mps")


def cut(folder: Path) -> str:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:-100])
    return "the file was changed or cut off"


def lose(folder: Path) -> str:
    (folder / "model.safetensors").unlink()
    return "its weights cannot be read"


def pipe(folder: Path) -> str:
    import os

    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")
    return "not a regular file"


def tamper(folder: Path) -> str:
    fields = record_of(folder)
    fields["image"]["crop"][0] += 1
    (folder / "record.json").write_text(json.dumps(fields))
    return "its record was changed"


def shifted(folder: Path) -> str:
    fields = record_of(folder)
    for end in ("target_low", "target_high"):
        fields[end] = [value - 8 for value in fields[end]]
    (folder / "record.json").write_text(json.dumps(fields))
    return "its record names other targets, or other ranges of them, than model.safetensors was made for"


def swapped(folder: Path) -> str:
    content = (folder / "record.json").read_text()
    for one, other in (('"radius"', '"?"'), ('"x"', '"radius"'), ('"?"', '"x"')):
        content = content.replace(one, other)
    fields = json.loads(content)
    fields["key"] = RunRecord.model_validate(fields).identity.key
    (folder / "record.json").write_text(json.dumps(fields))
    return "its record names other targets, or other ranges of them, than model.safetensors was made for"


def fail(folder: Path) -> str:
    error = {"type": "X", "message": "", "traceback": ""}
    failed = {"status": "failed", "error": error, "metrics": {}}
    (folder / "record.json").write_text(json.dumps(record_of(folder) | failed))
    return "that run has no model: it has failed (X:)"


def empty(folder: Path) -> str:
    (folder / "record.json").write_text("{}")
    return "not a record that this version reads"


def foreign(folder: Path) -> str:
    """Weights of another network, and a record that names them."""
    weights = {name: value for name, value in load_file(folder / "model.safetensors").items()}
    weights["head.layers.0.weight"] = np.zeros((2, 7), np.float32)
    save_file(weights, folder / "model.safetensors")
    digest = __import__("hashlib").sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    rewritten(folder, lambda fields: fields["files"].update({"model.safetensors": digest}))
    return "do not fit tiny_cnn + linear"


def pickled(folder: Path) -> str:
    """What is no safetensors file is not unpickled."""
    import pickle

    class Bomb:
        def __reduce__(self) -> Any:
            return Path.touch, (folder / "exploded",)

    (folder / "model.safetensors").write_bytes(pickle.dumps(Bomb()))
    digest = __import__("hashlib").sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    rewritten(folder, lambda fields: fields["files"].update({"model.safetensors": digest}))
    return "model.safetensors is no safetensors file, or cut off"


def huge(folder: Path) -> str:
    fields = record_of(folder)
    fields["image"]["size"] = [10**7, 10**7]
    (folder / "record.json").write_text(json.dumps(fields))
    return "image.size.0: Input should be less than or equal to 4096"


def uninstalled(folder: Path) -> str:
    code = {"name": "gone_net", "distribution": "quadzoo-gone", "version": "2.0"}
    rewritten(
        folder,
        lambda fields: (fields.update(backbone="gone_net"), fields["provenance"].update(backbone=code)),
    )
    return "needs backbone 'gone_net', which is not installed: pip install quadzoo-gone (it was version 2.0)"


def ugly(folder: Path) -> str:
    """What no distribution can be called is not repeated as a command."""
    code = {"name": "gone_net", "distribution": "--index-url http://evil x; rm", "version": "2.0"}
    rewritten(
        folder,
        lambda fields: (fields.update(backbone="gone_net"), fields["provenance"].update(backbone=code)),
    )
    return "needs backbone 'gone_net', which is not installed"


def namesake(folder: Path) -> str:
    code = {"name": "tiny_cnn", "distribution": "another", "version": "1"}
    rewritten(folder, lambda fields: fields["provenance"].update(backbone=code))
    return "its backbone 'tiny_cnn' was that of 'another', but 'tiny_cnn' is 'tiny_cnn' of 'quadzoo' here"


PIPE = pytest.param(pipe, marks=pytest.mark.posix)
SPOILED = [
    cut,
    lose,
    PIPE,
    tamper,
    shifted,
    swapped,
    fail,
    empty,
    foreign,
    pickled,
    huge,
    uninstalled,
    ugly,
    namesake,
]


@pytest.mark.parametrize("spoil", SPOILED)
def test_a_folder_that_is_not_what_it_says_is_refused(
    spoil: Callable[[Path], str], run_of: Find, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(run_of("linear"), folder)
    told = spoil(folder)
    line = refused(folder)
    assert told in line
    assert len(line.replace(str(tmp_path), "")) <= 300
    assert not (folder / "exploded").exists()
    assert "evil" not in line


def test_another_version_of_the_code_is_told(run_of: Find, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(run_of("linear"), folder)
    rewritten(folder, lambda fields: fields["provenance"]["backbone"].update(revision="7"))
    with pytest.warns(UserWarning, match=r"tiny_cnn is version 0\.1\.0 here, the model was trained with 7"):
        package.load(folder)


def test_old_records_have_no_originals(run_of: Find, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(run_of("linear"), folder)
    rewritten(folder, lambda fields: fields.pop("originals"))
    assert package.load(folder).predict(ONE).equals(package.load(run_of("linear")).predict(ONE))


def test_nothing_is_looked_for_on_the_network(run_of: Find) -> None:
    """Also a registered model, of which the bench would load pretrained weights, is built without them."""
    code = f"""
import socket
def refuse(*_): raise AssertionError("a connection")
socket.socket.connect = refuse
import quadzoo, numpy
print(quadzoo.load({str(run_of("integer"))!r}).predict(numpy.full((32, 48, 3), (200, 10, 10), numpy.uint8)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "radius" in done.stdout
