from __future__ import annotations

import errno
import inspect
from pathlib import Path

import pytest

from quadzoo import errors
from quadzoo.storage import write_atomically


def test_docstring_draws_every_error() -> None:
    classes = [
        cls for _, cls in inspect.getmembers(errors, inspect.isclass) if cls.__module__ == errors.__name__
    ]
    assert len(classes) > 1
    for cls in classes:
        assert issubclass(cls, errors.QuadzooError)
        assert cls.__name__ in (errors.__doc__ or "")


def test_only_want_of_space_is_no_fault_of_what_was_given() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    told = errors.unwritable("--to x", full, "name a folder")
    assert isinstance(told, errors.StorageError)
    assert str(told) == "--to x: No space left on device; name a folder"
    denied = OSError(errno.EACCES, "Permission denied")
    assert isinstance(errors.unwritable("--to x", denied, "name a folder"), errors.ConfigError)


def test_the_file_that_is_named_is_one_that_somebody_knows(tmp_path: Path) -> None:
    """Not the one beside it, which is written first and gone by then."""
    (tmp_path / "table.csv").mkdir()
    with pytest.raises(OSError, match="directory") as caught:
        write_atomically(tmp_path / "table.csv", b"")
    assert errors.reason_of(caught.value).startswith(f"{tmp_path / 'table.csv'}: ")
