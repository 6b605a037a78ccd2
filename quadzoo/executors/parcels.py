"""Arguments that go to another machine: pickled, with references in the place of paths."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from quadzoo.storage import cache_folder

PIECE = 8 << 20
"""Bytes of a file that travel at once."""


@dataclass(frozen=True)
class Written:
    """A place below the folder that the job writes into; "." is that folder."""

    place: str


@dataclass(frozen=True)
class Cached:
    """A file of the cache folder. Its name there stands for its content, so any cache's will do."""

    place: str
    size: int

    @property
    def identity(self) -> str:
        """The file's name for whoever hands it out."""
        return self.place


@dataclass(frozen=True)
class Given:
    """Any other file that the job reads, by the SHA-256 of its content."""

    name: str
    size: int
    sha256: str

    @property
    def identity(self) -> str:
        """The file's name for whoever hands it out."""
        return self.sha256


@dataclass(frozen=True)
class Folder:
    """The files of a folder that the job reads, without what is in folders below it."""

    files: tuple[Given, ...]


Reference = Written | Cached | Given | Folder


@dataclass(frozen=True)
class Parcel:
    """A packed argument, and the files here that it refers to, by identity; these do not travel with it."""

    content: bytes
    files: dict[str, Path]


def pack(argument: Any, writes: Path | None = None) -> Parcel:
    """Pickle an argument so that no path of this machine is in it.

    ``writes`` is the folder that the job writes into; files and folders that lie in it already are read, and
    travel. Raises ValueError for a path that is neither in it nor that of a file or folder, and DataError
    where there is no cache folder.
    """
    file = io.BytesIO()
    packer = _Packer(file, writes)
    packer.dump(argument)
    return Parcel(file.getvalue(), packer.files)


def unpack(content: bytes, placed: Callable[[Reference], Path]) -> Any:
    """Return a packed argument with the paths that ``placed`` gives for its references."""
    unpickler = pickle.Unpickler(io.BytesIO(content))
    unpickler.persistent_load = placed  # type: ignore[method-assign]
    return unpickler.load()


def place_in(folder: Path, place: str) -> Path:
    """Return a file's path in a folder. Raises ValueError for a place that is not in it."""
    inside = PurePosixPath(place)
    if inside.is_absolute() or ".." in inside.parts or "\\" in place:
        raise ValueError(f"{place!r} is not in the folder")
    return folder / inside


def given(path: Path) -> Given:
    """Return a reference to a file by its content. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Given(path.name, path.stat().st_size, digest)


class _Packer(pickle.Pickler):
    def __init__(self, file: io.BytesIO, writes: Path | None) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.files: dict[str, Path] = {}
        self._writes = writes.absolute() if writes else None
        self._cache = cache_folder().absolute()

    def persistent_id(self, value: Any) -> Reference | None:
        """Return what is pickled in the place of a path."""
        return self._reference(value.absolute()) if isinstance(value, Path) else None

    def _reference(self, path: Path) -> Reference:
        inside = self._writes is not None and path.is_relative_to(self._writes)
        # What lies there already is read: a model that another run left, weights, images.
        if self._writes and (path == self._writes or (inside and not path.exists())):
            return Written(path.relative_to(self._writes).as_posix())
        if path.is_dir():
            return Folder(tuple(self._given(one) for one in sorted(path.iterdir()) if one.is_file()))
        if not path.is_file():
            raise ValueError(f"{path}: no file or folder that could be sent to another machine")
        if path.is_relative_to(self._cache):
            cached = Cached(path.relative_to(self._cache).as_posix(), path.stat().st_size)
            self.files[cached.identity] = path
            return cached
        return self._given(path)

    def _given(self, path: Path) -> Given:
        reference = given(path)
        self.files[reference.identity] = path
        return reference
