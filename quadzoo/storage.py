"""Where files lie and how they are written: the cache folder, the one atomic write, the one lock."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import platformdirs

from quadzoo.errors import DataError


def cache_folder() -> Path:
    """Return the folder for what can be made again; the variable QUADZOO_CACHE_DIR moves it.

    Raises DataError when it cannot be made.
    """
    folder = Path(os.environ.get("QUADZOO_CACHE_DIR") or platformdirs.user_cache_dir("quadzoo"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cache folder {folder}: {error}; set QUADZOO_CACHE_DIR to another one") from error
    return folder


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that readers see only once it is complete, even after a crash or a power cut.

    Its folder is made where it is missing. Raises OSError where it cannot be written; the old content stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A sibling, so that the rename cannot cross file systems.
    descriptor, partial = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to a file so that readers see the old content or the new, nothing between.

    Raises OSError where it cannot be written; the old content stays.
    """
    with written_whole(path) as file:
        file.write(content)


def file_identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from one that takes its place; None where there is no file."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_mtime_ns
