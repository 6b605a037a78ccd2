"""Images that look alike without being identical: saved again, scaled, a little lighter."""

from __future__ import annotations

import imagehash
import numpy as np
from PIL import Image

BITS = 256
MOST_DIFFERENT_BITS = 6
_SIDE = 16
_BANDS = MOST_DIFFERENT_BITS + 1


def perceptual_hash(pixels: np.ndarray) -> np.ndarray:
    """Return the perceptual hash of an image, uint8 grey (H, W) or RGB (H, W, 3), as 32 bytes.

    It is imagehash's phash: the signs, against their median, of the 16x16 lowest frequencies of the
    image's cosine transform. Two hashes differ in few bits where images look alike; of an image without
    any detail, such as a clear sky, most bits are chance, and its copies are not found.
    """
    return np.packbits(imagehash.phash(Image.fromarray(pixels), hash_size=_SIDE).hash)


def near_pairs(hashes: np.ndarray) -> list[tuple[int, int, int]]:
    """Return the pairs of rows of uint8 (N, 32) that differ in at most 6 of 256 bits, with that number.

    Rows that differ in 6 bits agree in one of 7 bands of bits at least, so that only rows that share a band
    are compared: the time grows with N, not with its square, unless most images look alike.
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
