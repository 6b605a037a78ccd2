"""`quadzoo export` on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Result

Call = Callable[..., Result]


def test_it_says_what_it_wrote(disc_runs: Path, quadzoo: Call, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    done = quadzoo("export", "best", folder, "--out", disc_runs)
    assert (done.status, done.out) == (0, f"{folder}\n")
    told, files, warned = done.err.splitlines()
    assert told.startswith("quadzoo: best is tiny_cnn + integer, seed ")
    assert files.endswith("README.md, config.json, model.safetensors, predictions.csv, seen_images.npy")
    assert warned.startswith(
        "quadzoo: warning: tiny_cnn + integer has a lower val MSE than all baselines, but on"
    )


REFUSED = {
    "no such run": (("nothing", "mine"), "no key in results begins so"),
    "images for nothing": (("best", "mine", "--images", "photos"), "--images are what the ONNX graph"),
    "no token": (("best", "mine", "--push", "me/mine"), "--push me/mine: there is no token"),
    "no repository": (("best", "mine", "--push", "../mine"), "a repository is OWNER/NAME"),
    "not a folder of ours": (("best", "."), "folder .: it holds 'plugins', which no export has"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused(
    case: str, disc_runs: Path, quadzoo: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "results").symlink_to(disc_runs)
    arguments, told = REFUSED[case]
    done = quadzoo("export", *arguments)
    assert done.status == 2
    assert told in done.error
    assert len(done.error) <= 300
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plugins", "results"]


def test_a_push_that_fails_leaves_the_folder(
    disc_runs: Path, quadzoo: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import HfApi

    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_x")
    monkeypatch.setattr(HfApi, "create_repo", unreachable)
    done = quadzoo("export", "best", tmp_path / "mine", "--out", disc_runs, "--push", "me/mine")
    assert done.status == 1
    assert done.err.splitlines()[-1].startswith("quadzoo: error: --push me/mine: not sent (no route to host)")
    assert (tmp_path / "mine" / "README.md").is_file()


def test_the_current_folder_is_not_taken_away(
    disc_runs: Path, quadzoo: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "deeper").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here" / "deeper")
    done = quadzoo("export", "best", ".", "--out", disc_runs)
    assert done.status == 2
    assert "it is or holds the current folder, and would be replaced; name a new one" in done.err
    assert quadzoo("export", "best", "new", "--out", disc_runs).status == 0
