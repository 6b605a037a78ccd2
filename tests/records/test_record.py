from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from quadzoo.errors import DataError
from quadzoo.records.keys import hash_of
from quadzoo.records.record import is_done, read_record, read_records, write_record
from quadzoo.storage import write_atomically

from ..report.records import record


def test_round_trip(tmp_path: Path) -> None:
    written = record("k", 0.1)
    write_record(tmp_path, written)
    assert read_record(tmp_path, "k") == written
    assert read_records(tmp_path) == [written]
    assert json.loads((tmp_path / "runs" / "k" / "record.json").read_text())["schema"] == 2
    assert not is_done(tmp_path, "k")  # its key is not that of what it says was run
    done = record("0", 0.1)
    done.key = done.identity.key
    write_record(tmp_path, done)
    assert is_done(tmp_path, done.key)
    assert not is_done(tmp_path, "other")
    write_record(tmp_path, record("k", None))
    assert not is_done(tmp_path, "k")


def test_a_broken_record_is_named(tmp_path: Path) -> None:
    write_record(tmp_path, record("k", 0.1))
    path = tmp_path / "runs" / "k" / "record.json"
    path.write_text('{"schema": 1}')
    with pytest.raises(DataError, match=r"record\.json: not a record"):
        read_records(tmp_path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "file"
    write_atomically(path, b"old")

    def full_disk(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["file"]


def test_hash_ignores_the_order_of_keys() -> None:
    assert hash_of({"a": 1, "b": [1, 2]}) == hash_of({"b": [1, 2], "a": 1})
    assert hash_of({"a": 1}) != hash_of({"a": 2})
    assert len(hash_of({})) == 16
