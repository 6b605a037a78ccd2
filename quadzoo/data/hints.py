"""Guess, before any file is read, whether the decoded images of a source are in the cache."""

from __future__ import annotations

import hashlib
import os
from array import array
from contextlib import suppress
from pathlib import Path

from quadzoo.data.sources import Source
from quadzoo.storage import read_regular, write_atomically

_MOST_BYTES = 1000  # of a hint


class CacheHint:
    """A guess about cost, never about truth: whether it is worth decoding the images as they are read.

    Files are taken as known where names and sizes are those of a cached set and, in the same folder, the
    times of modification too: a moved or copied folder is still known. The bytes decide afterwards. A hint
    is a small file beside the cached images, ``<images>.<names and sizes>.hint``, and deleted with them.
    """

    def __init__(self, source: Source, settings: str, folder: Path) -> None:
        sizes, times = array("q"), array("q")
        place = os.path.abspath(source.folder)
        for file in source.files:
            try:
                facts = os.stat(f"{place}{os.sep}{file}")
            except OSError:  # the reader will say what is wrong with the file
                sizes.append(-1)
                continue
            sizes.append(facts.st_size)
            times.append(facts.st_mtime_ns)
        self.key = _hash("\0".join([settings, *source.files]), sizes)[:24]
        self._folder = folder
        self._place = _hash(place)
        self._content = f"{self._place} {_hash(place, times)}"

    def is_cached(self) -> bool:
        """Say whether the decoded images are probably in the cache."""
        for hint in self._folder.glob(f"*.{self.key}.hint"):
            with suppress(OSError):
                content = read_regular(hint, _MOST_BYTES).decode(errors="replace")
                if content == self._content or not content.startswith(self._place):
                    return True
        return False

    def remember(self, array_file: Path) -> None:
        """Write down which cached file these images are."""
        hint = array_file.with_suffix(f".{self.key}.hint")
        with suppress(OSError):
            known = read_regular(hint, _MOST_BYTES) if hint.exists() else b""
            if known != self._content.encode():
                write_atomically(hint, self._content.encode())


def _hash(text: str, numbers: array[int] | None = None) -> str:
    content = hashlib.sha256(text.encode(errors="surrogateescape"))
    content.update(numbers or b"")
    return content.hexdigest()
