"""What a job on a node tells the driver; nothing here needs Ray."""

from __future__ import annotations

from pathlib import Path

import pytest

from quadzoo.executors import ray_node
from quadzoo.executors.ray_node import _Sent


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_node, "_LOG", 100)
    monkeypatch.setattr(ray_node, "_LOG_BYTES", 1000)


def told(sent: _Sent, log: Path) -> bytes:
    return b"".join(report.log for report in sent.reports([], log))


@pytest.mark.usefixtures("small")
def test_a_job_that_prints_without_end_is_told_in_parts(tmp_path: Path) -> None:
    """Its log fills no disk of the node, and what else it has to tell is not kept waiting."""
    log, sent = tmp_path / "log", _Sent("none", None, tmp_path)
    with log.open("ab", buffering=0) as job:
        job.write(b"first\n")
        assert told(sent, log) == b"first\n"
        for _ in range(3):
            job.write(b"x" * 5000)
            assert b" bytes are left out here " in told(sent, log)
            assert log.stat().st_size < 1000
        job.write(b"last\n")
        assert told(sent, log) == b"last\n"

    class Endless(_Sent):
        def _printed(self, log: Path) -> bytes:
            return b"more"

    endless = Endless("none", None, tmp_path)
    assert len([*endless.reports(["a message"], log)]) <= ray_node._LOGS + 1


@pytest.mark.usefixtures("small")
def test_the_end_of_a_log_comes_whole(tmp_path: Path) -> None:
    log, sent = tmp_path / "log", _Sent("none", None, tmp_path)
    log.write_bytes(b"0123456789" * 100)
    assert b"".join(report.log for report in sent.rest(log)) == log.read_bytes()


def test_a_checkpoint_that_is_deleted_this_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its run has ended well: that must not be lost."""
    (tmp_path / "out").mkdir()
    sent = _Sent("none", tmp_path / "out" / "checkpoint.ckpt", tmp_path / "out")
    monkeypatch.setattr(ray_node, "file_identity", lambda path: (1, 2))
    assert [*sent.reports(["done"], tmp_path / "log")] != []


def test_what_a_killed_writer_has_left_does_not_travel(tmp_path: Path) -> None:
    out = tmp_path / "out" / "runs" / "k"
    out.mkdir(parents=True)
    (out / "record.json").write_text("{}")
    for end in ("partial", "writer"):
        (out / f".model.safetensors-{'0' * 16}.{end}").write_bytes(b"half of it")
    reports = [*_Sent("none", None, tmp_path / "out").rest(tmp_path / "log")]
    assert [one.piece.place for one in reports if one.piece] == ["runs/k/record.json"]
