"""Where files are kept and how they are written: the cache folder, the one atomic write, the one lock."""

from __future__ import annotations

import errno
import glob
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader, FileIO
from pathlib import Path
from typing import BinaryIO

import platformdirs
from filelock import FileLock, SoftFileLock

from quadzoo.errors import DataError

_PARTIAL = ".partial"
_OWN = 0o700  # the permissions of a folder that is nobody else's


def has_current_folder() -> bool:
    """Say whether the current folder still exists."""
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def cache_folder() -> Path:
    """Return the folder for what can be made again; the variable QUADZOO_CACHE_DIR moves it.

    Nobody else can write in it: of a folder that others can write in, or that is another user's, it is a
    folder of this user's own. Raises DataError when it cannot be made, or somebody else has made it.
    """
    folder = _cache_folder()
    with cache_errors():
        folder.mkdir(mode=_OWN, parents=True, exist_ok=True)
        if not _is_own(folder):
            folder /= f"quadzoo-{os.geteuid()}"
            with suppress(FileExistsError):
                folder.mkdir(mode=_OWN)
            if folder.is_symlink() or not _is_own(folder):
                raise PermissionError(
                    errno.EACCES, "it is a link or another user's, or others can write in it", str(folder)
                )
    return folder


def _is_own(folder: Path) -> bool:
    """Say whether a folder is this user's, and nobody else can write in it."""
    if not hasattr(os, "geteuid"):
        return True
    facts = folder.stat()
    return facts.st_uid == os.geteuid() and not facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


@contextmanager
def cache_errors() -> Iterator[None]:
    """Turn an OSError of writing to the cache into a message that says how to move the cache.

    Raises DataError.
    """
    try:
        yield
    except OSError as error:
        raise DataError(
            f"cache folder {_cache_folder()}: {error}; set QUADZOO_CACHE_DIR to another one"
        ) from error


def _cache_folder() -> Path:
    return Path(os.environ.get("QUADZOO_CACHE_DIR") or platformdirs.user_cache_dir("quadzoo"))


def lock(path: Path, *, blocking: bool = True) -> FileLock:
    """Return the exclusive lock that a file stands for; it is taken by ``with``, or by ``acquire()``.

    Without ``blocking``, taking it raises filelock.Timeout where another process, or another part of this
    one, has it. It ends with its process, however that ends; its file stays, or two could hold it.
    Raises OSError where there can be no such file, and for a link in its place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # filelock tries for ever where a file cannot be made, as in a folder that was deleted.
    # Where a system has no locks, the file itself is the lock: there it must not be made before.
    if not issubclass(FileLock, SoftFileLock):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644))
    return FileLock(path, blocking=blocking, thread_local=False)


@contextmanager
def using(path: Path) -> Iterator[None]:
    """Be a user of a file, one of any number, until the block or the process ends; ``has_users`` tells.

    Each user locks a file of its own. Start, and ask ``has_users``, under one lock where both matter.
    """
    mark, _ = _user_marks(path)
    try:
        with lock(mark):
            yield
    finally:
        mark.unlink(missing_ok=True)


def has_users(path: Path) -> bool:
    """Say whether any process is using a file; delete the marks of those that have died."""
    _, marks = _user_marks(path)
    return not all([_removed(mark) for mark in marks])


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that readers see only once it is complete, even after a crash or a power cut.

    Its folder is made where it is missing; what killed writers of the same file have left is deleted.
    Raises OSError where it cannot be written; the old content stays.
    """
    sweep(path)
    # Siblings, so that the rename cannot cross file systems. The mark's lock says that somebody is writing.
    mark, _ = _writer_marks(path)
    partial = mark.with_suffix(_PARTIAL)
    try:
        with lock(mark):
            with partial.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
        mark.unlink(missing_ok=True)


def sweep(path: Path) -> None:
    """Delete what killed writers of a file have left beside it; writers at work keep theirs."""
    _, marks = _writer_marks(path)
    for mark in marks:
        _removed(mark, mark.with_suffix(_PARTIAL))


def sweep_below(folder: Path) -> None:
    """Delete what killed writers have left in a folder, beside files that nobody writes again, too."""
    for mark in folder.rglob(f".*-{'[0-9a-f]' * 16}.writer"):
        _removed(mark, mark.with_suffix(_PARTIAL))


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to a file so that readers see the old content or the new, nothing between.

    Raises OSError where it cannot be written; the old content stays.
    """
    with written_whole(path) as file:
        file.write(content)


def open_log(path: Path) -> FileIO:
    """Open a file to append to, unbuffered; a link or a pipe that has its name gives way to it.

    A link may lead to any file of the user's, and a pipe waits for a reader. Raises OSError where there can
    be no such file.
    """
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(path.lstat().st_mode):
            path.unlink()
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    return FileIO(os.open(path, flags, 0o666), "ab")


def shorten(path: Path, most: int) -> None:
    """Cut the middle out of a file that another process appends to, where it has more than ``most`` bytes.

    What is appended at that moment may be lost. A link is not followed.
    """
    flags = os.O_RDWR | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with suppress(OSError), os.fdopen(os.open(path, flags), "r+b", buffering=0) as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode) or facts.st_size <= most:
            return
        part = most // 4
        first = file.read(part)
        file.seek(-part, os.SEEK_END)
        last = file.read(part)
        file.truncate(0)
        left_out = facts.st_size - 2 * part
        file.write(first + f"\n… {left_out:,} bytes are left out here …\n".encode() + last)


def file_identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from one that takes its place; None where there is no file."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_mtime_ns


def _user_marks(path: Path) -> tuple[Path, list[Path]]:
    """Return a mark for a new user of a file, and the marks that there are."""
    return _marks(path, f"{path.name}.", ".user")


def _writer_marks(path: Path) -> tuple[Path, list[Path]]:
    """Return a mark for a new writer of a file, and the marks that there are."""
    return _marks(path, f".{path.name}-", ".writer")


def _marks(path: Path, start: str, end: str) -> tuple[Path, list[Path]]:
    there = path.parent.glob(f"{glob.escape(start)}{'[0-9a-f]' * 16}{end}")
    return path.with_name(f"{start}{secrets.token_hex(8)}{end}"), list(there)


def _removed(mark: Path, *others: Path) -> bool:
    """Delete a mark, other files first, unless a process holds the mark's lock; say whether it is gone."""
    try:
        with lock(mark, blocking=False):
            for one in others:
                one.unlink(missing_ok=True)
    except OSError:  # Timeout is one; another is a link, which whoever owns the folder may have put there
        return False
    mark.unlink(missing_ok=True)
    return True


def read_regular(path: Path, most: int, *, follow: bool = False) -> bytes:
    """Return the content of a file that anybody may have put there.

    Raises OSError for one that cannot be read, is larger than ``most`` bytes, or is a pipe, a device or a
    folder, whose reading might never end; and for a link, unless ``follow``, which is for files that a user
    has named: one in a folder of somebody else's may lead out of it.
    """
    with open_regular(path, follow=follow) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise OSError(errno.EFBIG, f"it has {size:,} bytes, at most {most:,} are read", str(path))
        return file.read(size)


@contextmanager
def open_regular(path: Path, *, follow: bool = False) -> Iterator[BufferedReader]:
    """Open a regular file for reading; ``follow`` as for `read_regular`.

    Raises OSError for anything else, without waiting for it.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags if follow else flags | getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        if error.errno == errno.ELOOP and path.is_symlink() and not follow:
            raise OSError(errno.ELOOP, "it is a link, which is not followed", str(path)) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    with os.fdopen(descriptor, "rb") as file:
        yield file
