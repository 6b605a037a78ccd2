"""How a network is shown an image: by what its record says, and with the code that training used."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np

from quadzoo.data.decoding import MOST_BANDS, Decoded, Undecodable, decode, of_array, read_image
from quadzoo.data.geometry import Geometry, Resize, fit
from quadzoo.data.reading import reading_of
from quadzoo.errors import ConfigError, DataError
from quadzoo.records.keys import Originals
from quadzoo.records.record import RunRecord

_LONGEST_SIDE = 4096  # of the canvas, as a bench allows
_CLIPPED = 0.01  # of an image's values: fewer beyond the range are not worth a word
_LARGEST = float(np.finfo(np.float32).max)
_OTHER_SIZE = 1.25  # times the largest side, or the smallest one, of the data set's images


class Misfit(Exception):
    """Why an image cannot be shown to a network."""


class Shown(NamedTuple):
    """An image as a network gets it, uint8, uint16 or float32 (H, W, C), and what is odd about it."""

    pixels: np.ndarray
    oddities: tuple[str, ...] = ()


@dataclass(frozen=True)
class View:
    """What is done to every image before a network sees it, and what the model's own images were."""

    geometry: Geometry
    originals: Originals | None = None

    @classmethod
    def of(cls, record: RunRecord, who: str) -> View:
        """Return what a record says. Raises DataError, beginning with ``who``, where that makes no sense."""
        image = record.image
        geometry = Geometry(**dict(image))
        (height, width), crop = image.size, image.crop
        try:
            reading_of(image.bands, image.value_range)
            sides = all(1 <= side <= _LONGEST_SIDE for side in (height, width))
            box = crop is None or (0 <= crop[0] < crop[2] and 0 <= crop[1] < crop[3])
            values = all(-_LARGEST <= one <= _LARGEST for one in image.fill)  # a whole number may be any
            fill = 1 <= image.channels <= min(MOST_BANDS, len(image.fill)) and values
            scale = image.max_scale is None or 0 < image.max_scale < np.inf
            deep = (image.dtype == "uint8") <= (image.value_range is None)
            if not (sides and box and fill and scale and deep and image.resize in get_args(Resize)):
                raise ConfigError(f"`image` {image.size}, {image.channels} channels, crop {crop}")
        except ConfigError as error:
            raise DataError(f"{who}: its record says nothing sensible of images: {error}") from error
        return cls(geometry, record.originals)

    def show(self, decoded: Decoded) -> Shown:
        """Return a decoded image as the network gets it. Raises Misfit where it cannot be shown.

        The border that all images of the data set shared is cut off an image of their size; of another size
        the whole image is shown, since nobody knows where its border is.
        """
        pixels, geometry = decoded.pixels, self.geometry
        bands, oddity = 1 if pixels.ndim == 2 else pixels.shape[2], self._check_size(*pixels.shape[:2])
        oddities = [self._check_bands(bands), self._check_values(pixels), oddity]
        if oddity and geometry.crop:
            geometry = replace(geometry, crop=None)
        return Shown(fit(pixels, geometry), tuple(filter(None, oddities)))

    def _check_bands(self, bands: int) -> str:
        channels, known = self.geometry.channels, self.originals and self.originals.bands
        if bands != channels and {bands, channels} != {1, 3}:
            raise Misfit(f"{_bands(bands)}; the model reads {channels}")
        if known and bands not in known:
            were = " or ".join(map(str, known))
            return f"{_bands(bands)}, where the images of the model's data set have {were}"
        return f"{_bands(bands)}, and the model sees grey" if bands > channels else ""

    def _check_values(self, pixels: np.ndarray) -> str:
        geometry, kind = self.geometry, pixels.dtype
        if geometry.value_range is None:
            allowed = ("uint8",) if geometry.dtype == "uint8" else ("uint8", "uint16")
            if kind not in allowed:
                depth = "8 bits, 0 to 255" if len(allowed) == 1 else "8 and 16 bits"
                raise Misfit(
                    f"{kind} values; the model was trained on images of {depth}, and can read no others"
                )
            return ""
        low, high = geometry.value_range
        if kind == np.uint8 and high > 255:
            return f"values of 8 bits, where the model expects {low:g} to {high:g}"
        beyond = ((pixels < low) | (pixels > high)).mean()
        return f"values beyond the {low:g} to {high:g} that the model expects" if beyond > _CLIPPED else ""

    def _check_size(self, height: int, width: int) -> str:
        crop, known = self.geometry.crop, self.originals
        if known is None:
            holds = crop is None or (height >= crop[2] and width >= crop[3])
            return "" if holds else "another size than the images of the model's data set"
        # Those that share a border have one size, and in one of another size it lies elsewhere.
        factor = 1.0 if crop else _OTHER_SIZE
        sides = (height, known.height), (width, known.width)
        if all(low / factor <= side <= factor * high for side, (low, high) in sides):
            return ""
        return f"another size than the {known.size_text} pixels of the images of the model's data set"


def _bands(n: int) -> str:
    return f"{n} band{'s' * (n > 1)}"


def decoded(source: Path | np.ndarray, bands: tuple[int, ...] | None) -> Decoded:
    """Return the image in a file, or in an array (H, W) or (H, W, C) of any numbers such as uint8.

    ``bands`` as for `quadzoo.data.decoding.decode`. Raises OSError for a file that cannot be read, and
    Undecodable for what is no image.
    """
    if isinstance(source, np.ndarray):
        try:
            return of_array(source, bands)
        except Undecodable as error:
            stack = "; grey images one behind the other are (N, H, W, 1)" if source.ndim == 3 else ""
            raise Undecodable(f"{error}{stack}") from error
    return decode(read_image(source), bands)


@dataclass
class Oddities:
    """What was odd about images, counted: one warning for each kind, with the first image."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, identity: object, oddities: tuple[str, ...]) -> None:
        """Take in what is odd about one image."""
        for one in oddities:
            self.counts[one] += 1
            self.first.setdefault(one, str(identity))

    def warnings(self, n: int) -> list[str]:
        """Return the warnings about ``n`` images."""
        return [
            f"{count:,} of {n:,} images {'have' if count > 1 else 'has'} {one}: predictions may be wrong; "
            f"the first is {self.first[one]}"
            for one, count in self.counts.most_common()
        ]
