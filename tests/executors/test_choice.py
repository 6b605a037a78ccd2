"""Which executor is taken, and that Ray is needed by nobody who does not ask for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from quadzoo.executors import choice
from quadzoo.executors.local import LocalExecutor

from ..conftest import Result

WITHOUT_RAY = """
import sys
sys.modules["ray"] = None  # importing it fails
import quadzoo
board = quadzoo.bench(
    backbones=["tiny_cnn"], heads=["linear"], epochs=1, weights="none", precision="32", data={data!r},
    out={out!r},
)
print(board.best.name)
"""


def test_local_by_default() -> None:
    with choice.executor_of() as executor:
        assert isinstance(executor, LocalExecutor)


def test_a_bench_never_needs_ray(equations: Path, tmp_path: Path) -> None:
    script = WITHOUT_RAY.format(data=str(equations), out=str(tmp_path / "out"))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "tiny_cnn + linear\n"


def test_the_extra_is_named(
    quadzoo: Callable[..., Result], equations: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    done = quadzoo("bench", "--data", equations, "--out", tmp_path / "out", "--executor", "ray")
    assert done.status == 2
    assert done.error == "quadzoo: error: --executor ray: Ray is not installed; pip install 'quadzoo[ray]'"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--ray-address", "auto"], "--ray-address auto: it is for Ray alone; add --executor ray"),
        (
            ["--executor", "ray", "--logger", "mlflow"],
            "--logger mlflow: its files name folders of the machine",
        ),
        (
            ["--executor", "ray", "--device", "cuda:0"],
            "--device cuda:0: Ray gives out the GPUs; with --executor",
        ),
        (
            ["--executor", "ray", "--ray-address", "127.0.0.1:1"],
            "127.0.0.1:1: nothing answers there; give HOST",
        ),
        (
            ["--executor", "ray", "--ray-address", "127.0.0.1:99999999"],
            "127.0.0.1:99999999: nothing answers there; give HOST",
        ),
        (
            ["--executor", "ray", "--ray-address", "ray://x:10001"],
            "ray://x:10001: a bench runs on a machine of",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: list[str], told: str, quadzoo: Callable[..., Result], equations: Path, tmp_path: Path
) -> None:
    if "127" in told or "ray:" in told:
        pytest.importorskip("ray", reason="the extra quadzoo[ray] is not installed")
    done = quadzoo("bench", "--data", equations, "--out", tmp_path / "out", *arguments)
    assert done.status == 2
    assert told in done.error
    assert not (tmp_path / "out").exists()
