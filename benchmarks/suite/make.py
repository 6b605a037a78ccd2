"""The data sets of the suite, and the file that `quadzoo bench --suite` reads.

    python benchmarks/suite/make.py FOLDER

writes FOLDER/NAME/table.csv and FOLDER/NAME/images for each set, and FOLDER/suite.toml. The photographs are
those that scikit-image, scikit-learn and three packages of Debian ship (README.md, files.csv): 172 MB are
downloaded by pip and apt-get, once; what is used of them stays in the cache folder of quadzoo. Nothing is
installed. Each call draws the same images.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
import sets
import sources
import tifffile

from quadzoo.storage import cache_folder

SUITE = Path(__file__).parent / "suite.toml"
Photos = Mapping[str, np.ndarray]


def write(folder: Path, rows: Iterable[sets.Row]) -> int:
    """Write a data set, in the place of an earlier one, and return the number of images.

    The columns are id, which is the file name, the targets, and photo where the rows have one.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        new = Path(temporary) / folder.name
        (new / "images").mkdir(parents=True)
        lines: list[dict[str, object]] = []
        for number, row in enumerate(rows):
            deep = row.image.dtype != np.uint8
            name = f"{number:04d}.{'tif' if deep else 'png'}"
            path = new / "images" / name
            if deep:
                tifffile.imwrite(
                    path, row.image, photometric="minisblack", planarconfig="contig", compression="deflate"
                )
            elif not cv2.imwrite(str(path), row.image):
                raise OSError(f"{folder / 'images' / name} cannot be written")
            targets = {target: f"{value:.6g}" for target, value in row.targets.items()}
            lines.append({"id": name, **targets, **({"photo": row.photo} if row.photo else {})})
        with (new / "table.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
            table.writeheader()
            table.writerows(lines)
        shutil.rmtree(folder, ignore_errors=True)
        new.replace(folder)
    return len(lines)


def data_sets(
    photos: Photos, upright: Photos, aloe: np.ndarray, truth: np.ndarray
) -> dict[str, Iterator[sets.Row]]:
    """Return the rows of each set: six images of each photograph, ten where fewer photographs will do."""
    six, ten = 6 * len(photos), 10 * len(upright)
    return {
        "digits": sets.digits(600),
        "dials": sets.dials(),
        "blur": sets.of_photos(photos, "sigma", sets.blur, six, seed=1),
        "exposure": sets.of_photos(photos, "stops", sets.exposure, six, seed=2),
        "jpeg": sets.of_photos(photos, "quality", sets.jpeg, six, seed=3),
        "scale": sets.of_photos(photos, "factor", sets.scale, six, seed=4),
        "rotation": sets.of_photos(upright, "angle", sets.rotation, ten, seed=5),
        "few": sets.of_photos(photos, "sigma", sets.blur, 60, seed=6),
        "disparity": sets.disparity(aloe, truth),
        "cover": sets.cover(390, seed=7),
    }


def make(folder: Path, say: Callable[[str], None] = print) -> None:
    """Write all sets and the suite file into a folder.

    Raises SourceError, and OSError where the folder cannot be written.
    """
    files = sources.files()
    paths = sources.fetch(files, cache_folder() / "suite")
    photos = {file.name: sources.read(paths[file.name]) for file in files if file.use != "labels"}
    small = {name: sets.reduced(photo) for name, photo in photos.items()}
    upright = {file.name: small[file.name] for file in files if file.use == "upright"}
    truth = sources.read(paths["aloe-disparity"], cv2.IMREAD_GRAYSCALE)
    for name, rows in data_sets(small, upright, photos["aloel"], truth).items():
        say(f"{name}: {write(folder / name, rows)} images")
    shutil.copy(SUITE, folder / SUITE.name)
    say(f"quadzoo bench --suite {folder / SUITE.name}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    try:
        make(parser.parse_args().folder)
    except (sources.SourceError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
