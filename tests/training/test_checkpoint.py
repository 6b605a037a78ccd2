"""Long runs survive: a run that was ended goes on from its checkpoint, and ends with the same digits."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import safetensors.torch
import torch
from pytorch_lightning.utilities.exceptions import SIGTERMException

from quadzoo import api, storage
from quadzoo.errors import OutOfMemory
from quadzoo.records.record import WEIGHTS, RunRecord, read_record, run_folder
from quadzoo.training.checkpoint import Checkpoints
from quadzoo.training.run import run
from quadzoo.training.task import CHECKPOINT, Placement, Task

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
Whole = tuple[RunRecord, dict[str, torch.Tensor]]
RECIPES: dict[str, dict[str, Any]] = {
    "default": {},
    "averaged": {"recipe": {"average": 0.9}},
    "frozen": {"freeze": True},
    "the tutorial's": {"recipe": "tutorial"},
    "photo": {"augment": "photo", "heads": ["gaussian"]},
    "two things": {"precision": "bf16", "heads": ["integer"], "train_share": [0.5]},
}


@pytest.fixture(scope="module", params=RECIPES)
def work(
    request: pytest.FixtureRequest, equations: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Task, Placement]:
    recipe = RECIPES[request.param]
    plan = api.plan(
        **{
            "backbones": ["tiny_cnn"], "data": str(equations), "epochs": 4, "weights": "none",
            "precision": "32", "threads": 1, "checkpoint_minutes": 0,
            "out": tmp_path_factory.mktemp("none"), **recipe,
        },
    )  # fmt: skip
    (task,) = plan.tasks
    return task, plan.placement(task)


@pytest.fixture(scope="module")
def whole(work: tuple[Task, Placement], tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The run without an interruption: its record and its weights."""
    return ended(elsewhere(work, tmp_path_factory.mktemp("whole")))


def ended(work: tuple[Task, Placement], send: Callable[[Any], None] = lambda message: None) -> Whole:
    task, placement = work
    run(work, send)
    record = read_record(placement.out, task.key)
    assert record is not None
    assert record.error is None, record.error
    folder = run_folder(placement.out, task.key)
    assert not [path for path in folder.glob(f"*{CHECKPOINT}*") if path.is_file()]
    return record, safetensors.torch.load_file(folder / WEIGHTS)


@pytest.fixture
def killed_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, tuple[Task, Placement]], Path]:
    """Run until the end of an epoch, and end as a process does whose parent is gone: without a record."""

    def call(epoch: int, work: tuple[Task, Placement]) -> Path:
        with monkeypatch.context() as patched:
            whole = Checkpoints.on_train_epoch_end

            def then_end(self: Checkpoints, trainer: Any, module: Any) -> None:
                whole(self, trainer, module)
                if trainer.current_epoch + 1 == epoch:
                    raise BrokenPipeError

            patched.setattr(Checkpoints, "on_train_epoch_end", then_end)
            with pytest.raises(BrokenPipeError):
                run(work, lambda message: None)
        folder = run_folder(work[1].out, work[0].key)
        assert not (folder / "record.json").exists()
        return folder / CHECKPOINT

    return call


def elsewhere(work: tuple[Task, Placement], out: Path) -> tuple[Task, Placement]:
    run_folder(out, work[0].key).mkdir(parents=True)
    return work[0], replace(work[1], out=out)


def test_it_ends_with_the_digits_of_an_uninterrupted_run(
    work: tuple[Task, Placement], whole: Whole, killed_after: Callable[..., Path], tmp_path: Path
) -> None:
    expected, weights = whole
    cut = elsewhere(work, tmp_path / "cut")
    assert killed_after(2, cut).exists()
    assert killed_after(3, cut).exists()
    record, resumed_weights = ended(cut)
    assert record.environment.resumed == [2, 3]
    assert expected.environment.resumed == []
    assert (record.metrics, record.history) == (expected.metrics, expected.history)
    assert record.best_epoch == expected.best_epoch
    assert weights.keys() == resumed_weights.keys()
    assert all(torch.equal(value, resumed_weights[name]) for name, value in weights.items())
    assert record.cost.train_images_per_second is not None


@pytest.mark.parametrize("work", ["default"], indirect=True)
def test_a_run_killed_after_its_last_epoch_is_only_tested(
    work: tuple[Task, Placement], whole: Whole, killed_after: Callable[..., Path], tmp_path: Path
) -> None:
    cut = elsewhere(work, tmp_path / "cut")
    killed_after(4, cut)
    record, _ = ended(cut)
    assert record.environment.resumed == [4]
    assert record.metrics == whole[0].metrics


# What a checkpoint lacks, or has of other code; Lightning goes on without some of it, to other digits.
CHANGED: dict[str, Callable[[dict[str, Any]], object]] = {
    "no checkpoint": lambda kept: [kept.pop(name) for name in [*kept] if name != "epoch"],
    "no optimizer": lambda kept: kept.pop("optimizer_states"),
    "an optimizer of another network": lambda kept: kept["optimizer_states"][0]["param_groups"].pop(),
    "no schedule": lambda kept: kept.pop("lr_schedulers"),
    "no loops": lambda kept: kept.pop("loops"),
    "no weights of a layer": lambda kept: kept["state_dict"].popitem(),
    "no best weights": lambda kept: kept["callbacks"].pop("BestWeights"),
    "no callbacks": lambda kept: kept.pop("callbacks"),
    "no order of the images": lambda kept: kept.pop("DataModule"),
    "no history": lambda kept: kept.pop("history"),
    "another learning rate": lambda kept: kept["quadzoo"].update(lr=0.5),
    "no random states": lambda kept: kept["quadzoo"].pop("random"),
    "broken random states": lambda kept: kept["quadzoo"].update(random={"python": [3, [1], None]}),
}


@pytest.mark.parametrize("work", ["default"], indirect=True)
@pytest.mark.parametrize("spoil", ["cut", "empty", "another run's", "pickled code", "a folder", *CHANGED])
def test_what_cannot_be_used_is_left_aside(
    work: tuple[Task, Placement], whole: Whole, killed_after: Callable[..., Path], spoil: str, tmp_path: Path
) -> None:
    """Nothing in it is run, and the run ends as if it had not been there."""
    cut = elsewhere(work, tmp_path / "cut")
    path, trap = killed_after(2, cut), tmp_path / "trap"
    if spoil == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    elif spoil == "empty":
        path.write_bytes(b"")
    elif spoil == "another run's":
        kept = torch.load(path, weights_only=True)
        kept["quadzoo"]["key"] = "0" * 16
        torch.save(kept, path)
    elif spoil == "pickled code":
        torch.save({"quadzoo": Trap(trap)}, path)
    elif spoil == "a folder":
        path.unlink()
        path.mkdir()
    else:
        kept = torch.load(path, weights_only=True)
        CHANGED[spoil](kept)
        torch.save(kept, path)
    sent: list[Any] = []
    record, _ = ended(cut, sent.append)
    told, *_ = [one for one in sent if isinstance(one, str)]
    assert told.startswith("checkpoint.ckpt cannot be used (")
    assert told.endswith("); training starts anew")
    assert record.environment.resumed == []
    assert record.metrics == whole[0].metrics
    assert not trap.exists()


class Trap:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._path,))


@pytest.mark.parametrize("work", ["default"], indirect=True)
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OutOfMemory(), MemoryError()])
def test_what_the_surroundings_did_costs_no_checkpoint(
    work: tuple[Task, Placement], whole: Whole, error: Exception, tmp_path: Path
) -> None:
    """A disk that gets full when ten hours of training are to be saved: they are not lost."""
    cut = elsewhere(work, tmp_path)
    assert failed_with(error, cut).exists()
    record, _ = ended(cut)
    assert record.environment.resumed == [4]
    assert record.metrics == whole[0].metrics


@pytest.mark.parametrize("work", ["default"], indirect=True)
def test_what_would_fail_again_leaves_no_checkpoint(work: tuple[Task, Placement], tmp_path: Path) -> None:
    assert not failed_with(ValueError("a plugin's"), elsewhere(work, tmp_path)).exists()


def failed_with(error: Exception, work: tuple[Task, Placement]) -> Path:
    """Have a run fail when it is trained; return where its checkpoint may be."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("quadzoo.training.run.save", raising(error))
        run(work, lambda message: None)
    record = read_record(work[1].out, work[0].key)
    assert record is not None
    assert record.error is not None
    assert record.error.type == type(error).__name__
    return run_folder(work[1].out, work[0].key) / CHECKPOINT


@pytest.mark.parametrize("work", ["default"], indirect=True)
def test_sigterm_ends_a_run_and_is_no_error_of_it(
    work: tuple[Task, Placement], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning makes an exception of the signal; there is no record then, and the checkpoint stays."""

    class Ended(BaseException):
        pass

    def end_by(number: int) -> None:
        assert number == signal.SIGTERM
        raise Ended

    monkeypatch.setattr("quadzoo.training.run.end_by", end_by)
    monkeypatch.setattr("quadzoo.training.run._run", raising(SIGTERMException()))
    task, placement = elsewhere(work, tmp_path)
    (run_folder(tmp_path, task.key) / CHECKPOINT).write_bytes(b"kept")
    with pytest.raises(Ended):
        run((task, placement), lambda message: None)
    assert [path.name for path in run_folder(tmp_path, task.key).iterdir()] == [CHECKPOINT]


def raising(error: BaseException) -> Callable[..., None]:
    def call(*_: object, **__: object) -> None:
        raise error

    return call


class Full(io.BytesIO):
    """A file on a disk that has room for so many bytes, and for the smallest parts after that."""

    room = 0

    def write(self, content: Any) -> int:
        if self.tell() + len(content) > self.room and len(content) > 100:
            raise OSError(28, "No space left on device")
        return super().write(content)


@pytest.mark.parametrize("room", [0, 1000, 1_000_000])
@pytest.mark.parametrize("work", ["default"], indirect=True)
def test_a_checkpoint_that_cannot_be_written_costs_no_run(
    work: tuple[Task, Placement], room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch goes on to the end of a file that failed before it, and its own error then hides the file's."""

    whole = storage.written_whole

    @contextmanager
    def written_whole(path: Path) -> Iterator[BinaryIO]:
        with whole(path) as file:
            full = Full()
            full.room = room
            yield full if path.name == CHECKPOINT else file

    monkeypatch.setattr(storage, "written_whole", written_whole)
    sent: list[Any] = []
    record, _ = ended(elsewhere(work, tmp_path), sent.append)
    assert record.status == "ok"
    assert sent.count("no checkpoint could be written: [Errno 28] No space left on device") == 4


def test_a_run_shorter_than_the_interval_writes_none(
    equations: Path, quadzoo: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = api.plan(
        backbones=["tiny_cnn"], data=str(equations), epochs=2, weights="none", precision="32", threads=1,
        out=tmp_path,
    )  # fmt: skip
    (task,) = plan.tasks
    written: list[object] = []
    monkeypatch.setattr("pytorch_lightning.Trainer.save_checkpoint", lambda *given: written.append(given))
    run((task, plan.placement(task)), lambda message: None)
    assert not written
    record = json.loads((run_folder(tmp_path, task.key) / "record.json").read_text())
    assert record["environment"]["resumed"] == []
