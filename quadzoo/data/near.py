"""Find images that look alike without being identical: saved again, scaled, a little lighter."""

from __future__ import annotations

from collections.abc import Callable

import imagehash
import numpy as np
from PIL import Image

from quadzoo.data.geometry import Geometry, cut, viewable
from quadzoo.data.parallel import parallel
from quadzoo.data.survey import Survey

Counting = Callable[[str, int], Callable[[int], None]]
"""Is given what is done and how many times; returns a function to be given how many more are done."""

BITS = 256
MOST_DIFFERENT_BITS = 6
_SIDE = 16
_BANDS = MOST_DIFFERENT_BITS + 1


def perceptual_hash(pixels: np.ndarray) -> np.ndarray:
    """Return the perceptual hash, uint8 (32,), of an image, uint8 grey (H, W) or RGB (H, W, 3).

    It is imagehash's phash: whether each of the 16x16 lowest frequencies of the image's cosine transform is
    above their median. The hashes of images that look alike differ in few bits. In an image without detail,
    such as a clear sky, noise decides most bits, so that its copies are not found.
    """
    return np.packbits(imagehash.phash(Image.fromarray(pixels), hash_size=_SIDE).hash)


def near_pairs(hashes: np.ndarray) -> list[tuple[int, int, int]]:
    """Return pairs of rows of uint8 (N, 32) that differ in at most 6 of 256 bits: (row, row, bits).

    Of 7 bands of bits, rows that differ in 6 bits agree in at least one. Only rows that share a band are
    compared, so that the time grows with N, not with its square, unless most images look alike.
    """
    words = np.ascontiguousarray(hashes).view(np.uint64)
    found: set[tuple[int, int, int]] = set()
    for band in np.array_split(np.unpackbits(hashes, axis=1), _BANDS, axis=1):
        _, shared, sizes = np.unique(
            np.packbits(band, axis=1), axis=0, return_inverse=True, return_counts=True
        )
        order = np.argsort(shared, kind="stable")
        ends = np.cumsum(sizes)
        for group in np.flatnonzero(sizes > 1):
            members = order[ends[group] - sizes[group] : ends[group]]
            for position, member in enumerate(members[:-1]):
                others = members[position + 1 :]
                differences = np.bitwise_count(words[others] ^ words[member]).sum(axis=1)
                for other in np.flatnonzero(differences <= MOST_DIFFERENT_BITS):
                    found.add((int(member), int(others[other]), int(differences[other])))
    return sorted(found)


def pairs_of(
    pixels: Callable[[int], np.ndarray], survey: Survey, geometry: Geometry, counting: Counting
) -> list[tuple[int, int, int]]:
    """Return pairs of images that differ but look alike, without the border that all images share.

    ``pixels`` returns a decoded image, uint8 or deeper (H, W) or (H, W, C). A pair is two positions and the
    number of bits that differ.
    """
    blank = set(survey.blank)
    _, firsts = np.unique(survey.content_ids, return_index=True)
    different = [int(index) for index in sorted(firsts) if index not in blank]
    if not different:
        return []
    advance = counting("comparing images", len(different))
    hashes = np.zeros((len(different), BITS // 8), np.uint8)

    def hash_of(index: int) -> np.ndarray:
        return perceptual_hash(viewable(cut(pixels(index), geometry), geometry))

    for row, one in enumerate(parallel(hash_of, different)):
        hashes[row] = one
        advance(1)
    return [(different[i], different[j], bits) for i, j, bits in near_pairs(hashes)]
