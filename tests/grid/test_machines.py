"""Benches on several machines, which an executor in this process pretends to have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from quadzoo import api
from quadzoo.errors import ConfigError
from quadzoo.grid.observer import Silent
from quadzoo.grid.runner import bench, plan_bench
from quadzoo.records.record import read_record

from ..in_process import InProcess


@pytest.fixture(autouse=True)
def same_torch() -> Iterator[None]:
    """Runs in this process leave torch as it was."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


GIVEN: dict[str, Any] = {
    "backbones": ["tiny_cnn"], "heads": ["linear"], "weights": "none", "precision": "32", "epochs": 1,
}  # fmt: skip


def test_machines_set_threads_and_no_key(equations: Path, tmp_path: Path) -> None:
    """All runs have the CPUs of the smallest machine; what the driver's machine is does not matter."""
    config = api.config_of(data=str(equations), out=tmp_path, **GIVEN)
    executor = InProcess(pretended=["one", "two"], cpus=3)
    bench(config, executor, Silent())
    assert {needs.cpus for work, needs, _ in executor.submitted if work.endswith("run:run")} == {3}
    elsewhere = plan_bench(config, InProcess(), Silent())
    assert [task.key for task in elsewhere.tasks] == [path.name for path in (tmp_path / "runs").iterdir()]
    record = read_record(tmp_path, elsewhere.tasks[0].key)
    assert record is not None
    assert record.status == "ok", record.error
    assert record.environment.threads == 3
    asked = plan_bench(config.model_copy(update={"threads": 2}), executor, Silent())
    assert asked.placement(asked.tasks[0]).threads == 2


@pytest.mark.parametrize(
    ("there", "told"),
    [
        (None, "`backbones` tiny_cnn: node two does not have it; install quadzoo 0.1.0 there"),
        (
            {"distribution": "quadzoo", "version": "0.0.9"},
            "`backbones` tiny_cnn: node two has quadzoo 0.0.9, this machine quadzoo 0.1.0; install the same "
            "on all",
        ),
        (
            {"distribution": "quadzoo", "version": "0.1.0", "source": "another"},
            "`backbones` tiny_cnn: node two has quadzoo 0.1.0 with other source files; install the same on "
            "all",
        ),
    ],
)
def test_other_code_on_a_machine_is_refused(there: Any, told: str, equations: Path, tmp_path: Path) -> None:
    def changed(machine: str | None, work: str, message: Any) -> Any:
        if machine == "two":
            message[("backbones", "tiny_cnn")] = there
        return message

    executor = InProcess(pretended=["one", "two"], changed=changed)
    with pytest.raises(ConfigError) as refused:
        plan_bench(api.config_of(data=str(equations), out=tmp_path, **GIVEN), executor, Silent())
    assert str(refused.value) == told
    assert {work for work, *_ in executor.submitted} == {"quadzoo.grid.machines:tell_code"}
    assert not [*tmp_path.iterdir()]


def test_a_machine_that_cannot_say_is_named(equations: Path, tmp_path: Path) -> None:
    class Silenced(InProcess):
        def submit(self, work: str, *given: Any) -> Any:
            return super().submit("math:sqrt", *given)

    with pytest.raises(ConfigError, match="node one does not answer: its process ended with exit status 1"):
        plan_bench(
            api.config_of(data=str(equations), out=tmp_path, **GIVEN), Silenced(pretended=["one"]), Silent()
        )
