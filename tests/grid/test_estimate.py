"""How long a bench will take: said before it trains, and never a reason not to train."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from quadzoo.grid import estimate as module
from quadzoo.records.record import read_record_file, write_record
from quadzoo.report.text import duration

from ..conftest import Result

Call = Callable[..., Result]


def bench(discs: Path, out: Path, *flags: object) -> list[object]:
    return [
        "bench", "--data", discs / "discs.csv", "--images", discs / "photos", "--targets", "radius",
        "--id-column", "file", "--weights", "none", "--precision", 32, "--out", out, *flags,
    ]  # fmt: skip


def planned(call: Call, *command: object) -> dict[str, Any]:
    done = call(*command, "--dry-run", "--json")
    assert done.status == 0, done.err
    plan: dict[str, Any] = json.loads(done.out)
    return plan


def test_the_plan_says_how_long_it_takes(discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    command = bench(discs, tmp_path, "--backbones", "tiny_cnn")
    short, long = (planned(quadzoo, *command, "--epochs", epochs) for epochs in (1, 20_000))
    assert 0 < short["estimated_seconds"] < 60
    assert long["estimated_seconds"] > 20 * short["estimated_seconds"]
    assert short["estimate"].startswith("about ")
    assert short["estimate"].endswith("1 run of tiny_cnn (10 s)")
    assert not (tmp_path / "runs").exists()
    text = quadzoo(*command, "--epochs", 1, "--seeds", "0,1", "--dry-run").out
    assert text.splitlines()[-1].startswith("about ")
    assert "2 runs of tiny_cnn" in text


def test_with_freeze_a_step_is_the_head_s(discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    command = bench(discs, tmp_path, "--backbones", "resnet18", "--epochs", 2000)
    frozen, trained = (planned(quadzoo, *command, *flags) for flags in (["--freeze"], []))
    assert 0 < frozen["estimated_seconds"] < trained["estimated_seconds"] / 3


def test_a_bench_of_few_images_is_not_timed(
    discs: Path, quadzoo: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_timed", lambda *_: pytest.fail("it was timed"))
    done = quadzoo(*bench(discs, tmp_path, "--backbones", "tiny_cnn", "--epochs", 1))
    assert done.status == 0
    assert "about" not in done.err


def test_on_a_gpu_only_a_long_bench_is_timed() -> None:
    """A process there takes longer to begin than to train on a few thousand images."""
    task = SimpleNamespace(epochs=20, split=SimpleNamespace(n_train=1263))

    def is_timed(kind: str, n: int) -> bool:
        return module.is_worth_timing(
            SimpleNamespace(to_do=[task] * n, device=SimpleNamespace(kind=kind))  # type: ignore[arg-type]
        )

    assert [is_timed("cpu", 1), is_timed("cuda", 2), is_timed("cuda", 100)] == [True, False, True]


def test_a_bench_says_it_before_it_trains(
    discs: Path, quadzoo: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed = []
    monkeypatch.setattr(
        module, "_timed", lambda plan, task, *_: timed.append(task.backbone) or module.Timing(1, 0.3, 2, 32)
    )
    command = bench(discs, tmp_path, "--backbones", "tiny_cnn", "--epochs", 1)
    monkeypatch.setitem(module._FEW, "cpu", 0)
    first = quadzoo(*command)
    assert first.status == 0
    assert "quadzoo: about 10 s: 1 run of tiny_cnn (10 s)\n" in first.err
    assert first.err.index("about 10 s") < first.err.index("[1/1]")
    assert timed == ["tiny_cnn"]
    # What is finished is not timed, nor is what a finished run of the same kind tells.
    assert "about" not in quadzoo(*command).err
    (path,) = tmp_path.glob("runs/*/record.json")
    record = read_record_file(path)
    record.cost.fit_seconds = 3600.0
    write_record(tmp_path, record)
    more = planned(quadzoo, *command, "--seeds", "0,1,2", "--train-share", "0.5,1")
    assert timed == ["tiny_cnn"]
    assert more["estimate"] == "about 4 h: 5 runs of tiny_cnn (4 h)"  # 2 of 1 h, and 3 of about 0.6 h
    assert planned(quadzoo, *command)["estimated_seconds"] == 0
    # Of another machine's times nothing follows.
    record.environment.device_name = "another"
    write_record(tmp_path, record)
    assert planned(quadzoo, *command, "--seeds", "1")["estimated_seconds"] < 60
    assert timed == ["tiny_cnn"] * 2


def test_what_cannot_be_timed_stops_nothing(
    discs: Path, stranger: Path, quadzoo_process: Call, tmp_path: Path
) -> None:
    done = quadzoo_process(
        *bench(discs, tmp_path, "--backbones", "exits,tiny_cnn", "--epochs", 40, "--seeds", "0"),
        path=stranger,
    )
    assert "1 run of tiny_cnn (" in done.err
    assert "; not counted: exits could not be timed: its process ended with exit status 7" in done.err
    assert "[2/2] tiny_cnn · mlp · seed 0: val MSE" in done.err
    dry = quadzoo_process(
        *bench(discs, tmp_path, "--backbones", "exits", "--dry-run", "--json"), path=stranger
    )
    assert dry.status == 1  # a check has found something
    plan = json.loads(dry.out)
    assert plan["estimated_seconds"] is None
    assert plan["estimate"].startswith("no estimate: exits could not be timed")


def test_jobs_share_the_time(discs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from quadzoo import api

    monkeypatch.setattr(module, "_timed", lambda *_: module.Timing(1, 0.3, 2, 32))
    monkeypatch.setattr(module, "available_cpus", lambda: 8)
    given: dict[str, Any] = {
        "data": str(discs / "discs.csv"), "images": discs / "photos", "targets": ("x",), "id_column": "file",
        "backbones": ["tiny_cnn"], "weights": "none", "precision": "32", "out": tmp_path, "seeds": (0, 1, 2),
    }  # fmt: skip
    one, two, many = (api.plan(**given, jobs=jobs).estimate for jobs in (1, 2, 100))
    assert one
    assert two
    assert many
    assert one.seconds == pytest.approx(2 * (two.seconds or 0))
    assert many.seconds == pytest.approx((one.seconds or 0) / 3)  # no run is faster for being alone
    monkeypatch.setattr(module, "available_cpus", lambda: 1)  # which all of them share
    crowd = api.plan(**given, jobs=100).estimate
    assert crowd
    assert crowd.seconds == pytest.approx(one.seconds)


def test_trials_of_learning_rates_are_counted(
    discs: Path, quadzoo: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_timed", lambda *_: module.Timing(32.0, 0.0, 0.0, 32))  # 1 s an image
    command = bench(discs, tmp_path, "--backbones", "tiny_cnn", "--epochs", 8, "--seeds", "0,1")
    plain, tuned = planned(quadzoo, *command), planned(quadzoo, *command, "--tune", "lr:4")
    # Four trials of a quarter of the epochs are as long as one of the two runs.
    assert tuned["estimated_seconds"] == pytest.approx(1.5 * plain["estimated_seconds"], rel=0.01)
    assert "2 runs of tiny_cnn (15 min) and 4 trials (" in tuned["estimate"]
    more = planned(quadzoo, *command, "--tune", "lr:4", "--train-share", "0.5,1")
    assert more["trials"] == 8
    assert tuned["estimated_seconds"] < more["estimated_seconds"] < 2 * tuned["estimated_seconds"]


def test_of_shares_the_trials_differ_in_length(discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    command = bench(discs, tmp_path, "--backbones", "tiny_cnn", "--train-share", "0.25,1", "--tune", "lr:2")
    done = quadzoo(*command, "--dry-run")
    assert "before that 4 trials, each of 50 epochs (about 50 steps)" in done.out
    done = quadzoo(*command, "--batch-size", 8, "--dry-run")
    assert "before that 4 trials, each of 13 to 50 epochs (about 50 to 52 steps)" in done.out


def test_epochs_that_a_small_set_gets_are_counted(
    discs: Path, quadzoo: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_timed", lambda *_: module.Timing(32.0, 0.0, 0.0, 32))
    command = bench(discs, tmp_path, "--backbones", "tiny_cnn")
    auto = planned(quadzoo, *command)
    assert auto["runs"][0]["epochs"] == 200
    assert auto["estimated_seconds"] > 200 * 32
    assert auto["estimated_seconds"] < planned(quadzoo, *command, "--epochs", 200)["estimated_seconds"]


def test_a_head_in_closed_form_takes_no_steps(discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    command = bench(discs, tmp_path, "--backbones", "tiny_cnn", "--freeze", "--epochs", 1_000_000)
    alone, both = (planned(quadzoo, *command, "--heads", heads) for heads in ("ridge", "ridge,mlp"))
    assert 0 < alone["estimated_seconds"] < 60
    assert both["estimated_seconds"] > 600
    done = quadzoo(*command, "--heads", "ridge")
    assert done.status == 0
    assert "note: --epochs: a head that is fitted in closed form takes no steps" in done.err
    again = planned(quadzoo, *command, "--heads", "ridge", "--seeds", "0,1")
    assert 0 < again["estimated_seconds"] < 60


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "10 s"), (24, "20 s"), (56, "1 min"), (100, "2 min"), (185, "3 min"), (680, "10 min"),
        (3300, "55 min"), (3600, "1 h"), (5000, "1.5 h"), (7200, "2 h"), (36_000, "10 h"), (90_000, "25 h"),
        (200_000, "2 days"),
    ],
)  # fmt: skip
def test_durations_are_rounded(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_bench_that_tries_learning_rates_is_timed(
    discs: Path, quadzoo: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module._FEW, "cpu", 0)
    done = quadzoo(*bench(discs, tmp_path, "--backbones", "tiny_cnn", "--epochs", 2, "--tune", "lr:2"))
    assert done.status == 0
    assert "no estimate" not in done.err
    assert "quadzoo: about " in done.err


def test_one_slow_step_is_not_taken_for_all() -> None:
    """A neighbour's burst, or the start of a library: on a CPU the first step alone counts from 20 s on."""
    assert not module._are_enough([8.0], warm_up=1)
    assert module._are_enough([8.0, 6.0], warm_up=1)
    assert module._are_enough([21.0], warm_up=1)
    assert not module._are_enough([21.0], warm_up=5)
    assert not module._are_enough([1.0, 0.05, 0.05], warm_up=1)
    assert module._are_enough([1.0, 0.1, 0.1, 0.1], warm_up=1)
