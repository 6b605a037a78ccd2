"""Find the image of an id inside one folder, and say what was probably meant where there is none."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path

from quadzoo.data.texts import folded, key, listed, printable, quoted, where, without_zeros
from quadzoo.errors import DataError

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".npy"})
_UNREADABLE = frozenset({
    ".heic", ".heif", ".avif", ".jxl", ".jp2", ".jfif", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".dcm",
})  # fmt: skip
_MOST_HINTS = 100_000  # images that are looked through for what was meant


class NotFound(Exception):
    """Why an id names no image; ``is_id`` says whether the id itself is at fault."""

    def __init__(self, text: str, *, is_id: bool = False) -> None:
        super().__init__(text)
        self.is_id = is_id


def is_image(name: str, *, readable: bool = True) -> bool:
    """Say whether a file has the suffix of an image; unless ``readable``, also one of cameras and phones."""
    suffix = os.path.splitext(name)[1].lower()
    return suffix in _SUFFIXES or (suffix in _UNREADABLE and not readable)


def images_under(folder: Path, *, readable: bool = True) -> Iterator[str]:
    """Yield the paths, relative to the folder, of all files that `is_image`."""
    for place, _, names in os.walk(folder):
        inside = os.path.relpath(place, folder)
        for name in names:
            if is_image(name, readable=readable):
                yield os.path.normpath(os.path.join(inside, name))


class ImageFinder:
    """Finds the image of an id, written with or without its suffix, inside one folder only.

    An id may name a sub-folder, but not leave the folder by ``..`` or an absolute path. Links inside the
    folder are followed: its owner has put them there. Names of files and folders are compared in Unicode's
    normal form C, since some systems write ü as u and two dots. Raises DataError where there is no folder.
    """

    def __init__(self, folder: Path) -> None:
        if not os.path.isdir(folder):
            raise DataError(f"`images` {where(folder)}: no such folder")
        self.folder = folder
        self._absolute = folder.absolute()
        self._listed = cache(self._list)

    def find(self, identity: str) -> str:
        """Return the image's path under the folder. Raises NotFound."""
        place, found = self._look(identity)
        if not found:
            raise NotFound(
                f"no image for id {quoted(identity)} in {where(self.folder)}{self._hint(identity)}"
            )
        if len(found) > 1:
            raise NotFound(f"id {quoted(identity)} could be {listed(sorted(found))}; add the suffix")
        return os.path.join(place, found[0])

    def file_of(self, identity: str) -> str | None:
        """Return the image's path under the folder; None unless there is exactly one."""
        try:
            place, found = self._look(identity)
        except NotFound:
            return None
        return os.path.join(place, found[0]) if len(found) == 1 else None

    def finds(self, identity: str) -> bool:
        """Say whether there is exactly one image for an id."""
        return self.file_of(identity) is not None

    def _look(self, identity: str) -> tuple[str, list[str]]:
        """Return a sub-folder and the images in it that an id may mean. Raises NotFound for one outside."""
        if not identity:
            raise NotFound("the id is empty", is_id=True)
        inside = os.path.relpath(identity, self._absolute) if os.path.isabs(identity) else identity
        place, name = os.path.split(os.path.normpath(inside))
        if place.split(os.sep)[0] == ".." or name == "..":
            meant = self._hint(identity) if os.path.isabs(identity) else ""
            raise NotFound(f"id {quoted(identity)} leads out of {where(self.folder)}{meant}", is_id=True)
        place = self._real(place)
        names, stems, _ = self._listed(place)
        wanted = unicodedata.normalize("NFC", name)
        found = [names[wanted]] if wanted in names else stems.get(wanted, [])
        return place, found

    def _real(self, place: str) -> str:
        """Return a sub-folder as the disk writes it."""
        real = ""
        for part in place.split(os.sep) if place else ():
            _, _, folders = self._listed(real)
            real = os.path.join(real, folders.get(unicodedata.normalize("NFC", part), part))
        return real

    def _list(self, place: str) -> tuple[dict[str, str], dict[str, list[str]], dict[str, str]]:
        """Return a sub-folder's files by name, its images by name without suffix, its folders by name."""
        names: dict[str, str] = {}
        stems: dict[str, list[str]] = defaultdict(list)
        folders: dict[str, str] = {}
        try:
            entries = list(os.scandir(self.folder / place))
        except (OSError, ValueError):  # no such folder, a name that is too long, a NUL
            return names, stems, folders
        for entry in entries:
            name = unicodedata.normalize("NFC", entry.name)
            try:
                is_folder, is_file = entry.is_dir(), entry.is_file()
            except OSError:  # a link that leads in a circle
                continue
            if is_folder:
                folders[name] = entry.name
            elif is_file:
                stem, suffix = os.path.splitext(name)
                names[name] = entry.name
                if suffix.lower() in _SUFFIXES:
                    stems[stem].append(entry.name)
        return names, stems, folders

    def meant(self, identity: str) -> str | None:
        """Return the one image whose name differs from an id in a way that tools cause, or None."""
        name = key(identity.replace("\\", "/").rsplit("/", 1)[-1])
        stem = without_suffix(name)
        for wanted in (key(identity.replace("\\", "/")), name, stem, folded(stem), without_zeros(stem)):
            found = self._by_spelling.get(wanted, [])
            if len(found) == 1:
                return found[0]
        return None

    def _hint(self, identity: str) -> str:
        """Say which image was probably meant, or what is in its place."""
        meant = self.meant(identity)
        if meant is None:
            return ""
        path, name = self.folder / meant, quoted(printable(meant))
        return f"; did you mean {name}?" if os.path.isfile(path) else f"; {name} is {_no_file(path)}"

    @cached_property
    def _by_spelling(self) -> dict[str, list[str]]:
        """All images by their path, their name, and looser spellings of it."""
        found: dict[str, list[str]] = defaultdict(list)
        for count, file in enumerate(images_under(self.folder)):
            if count == _MOST_HINTS:
                break
            name = key(Path(file).name)
            stem = without_suffix(name)
            for spelling in {key(file), name, stem, folded(stem), without_zeros(stem)}:
                found[spelling].append(file)
        return found


def _no_file(path: Path) -> str:
    """Say what is in the place of an image that is no file."""
    if os.path.islink(path) and not os.path.exists(path):
        return "a link that leads nowhere; fetch what it stands for (git annex get)"
    return "no regular file, but a pipe or a device"


def without_suffix(name: str) -> str:
    """Return a file's name without the suffix of an image."""
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in _SUFFIXES else name
