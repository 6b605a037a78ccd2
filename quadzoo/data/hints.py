"""Guess, before any file is read, whether the decoded images of a source are in the cache."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from quadzoo.data.sources import Source
from quadzoo.storage import write_atomically


class CacheHint:
    """A guess about cost, never about truth: whether it is worth decoding the images as they are read.

    Files are taken as known where names and sizes are those of a cached set and, in the same folder, the
    times of modification too: a moved or copied folder is still known. The bytes decide afterwards. A hint
    is a small file beside the cached images, ``<images>.<names and sizes>.hint``, and deleted with them.
    """

    def __init__(self, source: Source, settings: str, folder: Path) -> None:
        listing, modified = hashlib.sha256(settings.encode()), hashlib.sha256()
        for file in source.files:
            size = time = -1
            with suppress(OSError):  # the reader of the file will say what is wrong
                facts = os.stat(os.path.join(source.folder, file))
                size, time = facts.st_size, facts.st_mtime_ns
            listing.update(f"{file}\0{size}\0".encode(errors="surrogateescape"))
            modified.update(f"{time}\0".encode())
        place = hashlib.sha256(os.path.abspath(source.folder).encode(errors="surrogateescape"))
        self.key = listing.hexdigest()[:24]
        self._folder = folder
        self._place = place.hexdigest()
        self._content = f"{self._place} {modified.hexdigest()}"

    def is_cached(self) -> bool:
        """Say whether the decoded images are probably in the cache."""
        for hint in self._folder.glob(f"*.{self.key}.hint"):
            with suppress(OSError):
                content = hint.read_text()
                if content == self._content or not content.startswith(self._place):
                    return True
        return False

    def remember(self, array_file: Path) -> None:
        """Write down which cached file these images are."""
        hint = array_file.with_suffix(f".{self.key}.hint")
        with suppress(OSError):
            if not hint.exists() or hint.read_text() != self._content:
                write_atomically(hint, self._content.encode())
