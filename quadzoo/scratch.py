"""Temporary folders, each of one process. What processes that are gone have left is deleted by the next."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from quadzoo.storage import lock

_PREFIX = ".quadzoo-"
_MARK = ".lock"  # beside the folder; whoever holds its lock uses the folder
_MARKS = f"{_PREFIX}{'[0-9a-f]' * 16}{_MARK}"
_of_others: list[
    ExitStack
] = []  # the locks of the process that this is a copy of: letting go would unlock them


@contextmanager
def scratch_folder(within: Path | None = None) -> Iterator[Path]:
    """Yield a new folder that nobody else can read, and delete it afterwards with all that is in it.

    It is made ``within`` a folder, by default that for temporary files; what processes that are gone have
    left there is deleted first. A copy of this process, such as a worker of a DataLoader, deletes nothing.
    Raises OSError where it cannot be made.
    """
    base = Path(tempfile.gettempdir()) if within is None else within
    _sweep(base.glob(_MARKS))
    folder = base / f"{_PREFIX}{secrets.token_hex(8)}"
    mark, owner, held = folder.with_name(folder.name + _MARK), os.getpid(), ExitStack()
    try:
        held.enter_context(lock(mark))
        folder.mkdir(mode=stat.S_IRWXU)
        yield folder
    finally:
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)
            held.close()
            mark.unlink(missing_ok=True)
        else:
            _of_others.append(held)


def sweep_scratch_below(folder: Path) -> None:
    """Delete the scratch folders that processes which are gone have left in a folder, at any depth."""
    _sweep(folder.rglob(_MARKS))


def _sweep(marks: Iterable[Path]) -> None:
    """Delete the folders of those marks that are this user's, and whose lock no process holds any more.

    A lock ends with its process, however that ends: no clock decides, and no number of a process, which
    another one may have by now.
    """
    with suppress(OSError):  # of a folder that nobody may list
        for mark in list(marks):
            folder = mark.with_name(mark.name.removesuffix(_MARK))
            # Timeout, where the lock is held, is an OSError.
            with suppress(OSError):
                if not _is_own(mark, stat.S_ISREG):
                    continue
                with lock(mark, blocking=False):
                    if os.path.lexists(folder) and _is_own(folder, stat.S_ISDIR):
                        shutil.rmtree(folder, ignore_errors=True)
                mark.unlink(missing_ok=True)


def _is_own(path: Path, is_kind: Callable[[int], bool]) -> bool:
    """Say whether a path is this user's, and of a kind such as ``stat.S_ISDIR``; a link is of neither."""
    facts = path.stat(follow_symlinks=False)
    return is_kind(facts.st_mode) and (not hasattr(os, "geteuid") or facts.st_uid == os.geteuid())
