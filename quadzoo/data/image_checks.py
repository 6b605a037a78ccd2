"""What is odd about images, from their survey: for `quadzoo data check`, and in short for a bench."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from quadzoo.data.findings import PixelFacts
from quadzoo.data.geometry import Geometry, ordinary_size
from quadzoo.data.survey import Survey

_NARROW = 0.1  # of the range of values: what nearly all values lie in
_CLIPPED = 0.01  # of the values


@dataclass(frozen=True)
class ImageRemark:
    """Something odd: a text about one image, and the images, by position, with what is odd about each."""

    severity: Literal["error", "warning", "note"]
    code: str
    text: str
    images: dict[int, str]


def mixture(survey: Survey, *, ranged: bool) -> ImageRemark | None:
    """Say why images do not belong together: other bands, or values without a common unit.

    Grey and RGB images do. ``ranged`` says that somebody has said what their values mean.
    """
    if len(survey.bands) > 1 and not set(survey.bands) <= {1, 3}:
        counts = {
            f"{n:,} of {bands} band{'s' * (bands > 1)}": bands for bands, n in survey.bands.most_common()
        }
        advice = "; choose the same with `bands`, or leave the others out"
        return _mixed(survey, "mixed-bands", dict(counts), "of other bands than the others", advice)
    if len(survey.depths) > 1 and not ranged and not survey.full_scale:
        found = {f"{n:,} of {depth} values": depth for depth, n in survey.depths.most_common()}
        advice = "; save all alike, or say with `value_range` which values are black and white in all"
        return _mixed(survey, "mixed-depths", dict(found), "whose values have another unit", advice)
    return None


def _mixed(survey: Survey, code: str, kinds: dict[str, object], what: str, advice: str) -> ImageRemark:
    first = {survey.first[kind]: name.split(" of ", 1)[1] for name, kind in kinds.items()}
    return ImageRemark("error", code, f"image {what}: {', '.join(kinds)}{advice}", first)


def oddities(survey: Survey, geometry: Geometry) -> Iterator[ImageRemark]:
    """Yield what a bench, too, tells of its images."""
    if survey.stacked:
        more = {position: f"{n:,} pages or frames" for position, n in survey.stacked.items()}
        text = "image with further pages or frames, of which only the first is read"
        yield ImageRemark("warning", "further-pages", text, more)
    height, width = ordinary_size(survey)
    odd = {
        survey.first[shape]: f"{shape[0]}x{shape[1]}" + (f", {n:,} times" if n > 1 else "")
        for shape, n in survey.shapes.items()
        if shape[0] > height or shape[1] > width
    }
    if odd:
        text = f"odd size: nearly all images are at most {height}x{width}, and `image_size` auto is for them"
        yield ImageRemark("warning", "odd-size", text, odd)
    if geometry.value_range in (None, (survey.low, survey.high)):  # nobody has said another one
        yield from _stand_ins(survey, guessed=geometry.value_range is not None)
    if geometry.value_range is None:
        return
    low, high = geometry.value_range
    if survey.clipped > _CLIPPED:
        text = f"`value_range` {low:g},{high:g} cuts off {survey.clipped:.1%} of all values"
        yield ImageRemark(
            "warning", "clipped", text, {0: f"all values are {survey.low:g} to {survey.high:g}"}
        )
    middle = survey.middle
    if middle and middle[1] - middle[0] < _NARROW * (high - low):
        text = f"few values use most of the range: {low:g} to {high:g} become 0 to 1, nearly all "
        text += f"lie in {between(*middle, ' to ')}; `value_range` {between(*middle)} shows these alone"
        if middle[0] == middle[1]:  # no range
            text = f"nearly all values are {middle[0]:.9g}, and {low:g} to {high:g} become 0 to 1"
        yield ImageRemark("warning", "narrow-values", text, {0: "for example"})


def _stand_ins(survey: Survey, *, guessed: bool) -> Iterator[ImageRemark]:
    for one in survey.ends.stand_ins:
        if not one.declared and not guessed:
            continue
        what = "is declared as no data" if one.declared else "may stand for missing pixels"
        n, images, (low, high) = len(survey), one.images, one.others
        text = f"value {one.value:.9g} {what}, and is read as a value: {one.share / n:.2%} of all, in "
        text += f"{images:,} of {n:,} images"
        text += (
            f"; the others lie in {between(low, high, ' to ')}" if low <= high else ", and no other is there"
        )
        if low < high and not low <= one.value <= high:
            text += f"; with `value_range` {between(low, high)} these alone become 0 to 1, and it looks "
            text += "darkest" if one.value < low else "brightest"
        yield ImageRemark("warning", "no-data", text, {one.first: "the first"})


def between(low: float, high: float, to: str = ",") -> str:
    """Write two numbers, with as many digits as tell them apart."""
    for digits in (6, 9, 17):
        texts = f"{low:.{digits}g}", f"{high:.{digits}g}"
        if low == high or float(texts[0]) < float(texts[1]):
            break
    return to.join(texts)


def remarks(survey: Survey, geometry: Geometry, *, ranged: bool) -> Iterator[ImageRemark]:
    """Yield all that is odd, errors first; ``ranged`` as for `mixture`."""
    if mixed := mixture(survey, ranged=ranged):
        yield mixed
    yield from oddities(survey, geometry)


def pixel_facts(survey: Survey, geometry: Geometry) -> PixelFacts:
    """Return what there is to say of the images' values."""
    return PixelFacts(
        bands=dict(survey.bands.most_common()),
        types=dict(survey.dtypes.most_common()),
        low=survey.low,
        high=survey.high,
        levels=survey.levels,
        value_range=geometry.value_range or (0.0, 255.0 if geometry.dtype == "uint8" else 65535.0),
        clipped=survey.clipped,
        transparent=survey.transparent,
        stacked=len(survey.stacked),
    )
