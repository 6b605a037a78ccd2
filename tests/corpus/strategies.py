"""What the fuzzer makes: texts and tables as people do not mean them, good files with bytes changed."""

from __future__ import annotations

import copy
import io
import json
import math
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

# Letters that readers take for something: quotes, delimiters, ends of lines, escapes, what is invisible.
LETTERS = st.sampled_from([
    *"aAz019,;|\t\"'\n\r\0 .-+_/\\%=[](){}<>#*?~:x", "\x1b", "\x7f", "\u202e", "\u200b", "\ufeff", "\u00e4",
    "a\u0308", "\u0663", "\u2212", "\U0001f600", "\ud800",
])  # fmt: skip
WORDS = st.sampled_from([
    "id", "y", "split", "train", "val", "test", "p00", "p01", "nan", "inf", "-1", "0", "1", "1e999", "1,5",
    "1.000", "9" * 400, "..", "../p00", "/etc/passwd", "auto", "lr:3", "true", "NULL", "x" * 300, "1_000",
    "0x1", "32x32", "\u00bd", "1970-01-01",
])  # fmt: skip
TEXTS = st.one_of(WORDS, st.lists(st.one_of(LETTERS, WORDS), max_size=12).map("".join), st.text(max_size=40))
CELLS = st.one_of(WORDS, st.lists(LETTERS, max_size=6).map("".join))
_SEPARATORS = st.sampled_from([",", ",", ",", ";", "\t", "|"])


def _encoded(text: str, how: str) -> bytes:
    return text.encode(how, "surrogatepass" if how.startswith("utf-8") else "replace")


@st.composite
def tables(draw: st.DrawFn, header: str = "id,y") -> bytes:
    """Draw the bytes of a table: mostly a header, and rows of odd cells, in some encoding."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    separator, end = draw(_SEPARATORS), draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    rows = draw(st.lists(st.lists(CELLS, min_size=1, max_size=4).map(separator.join), max_size=6))
    first = draw(st.one_of(st.just(header.replace(",", separator)), TEXTS))
    good = [f"p{i:02d}{separator}{i}" for i in range(draw(st.integers(0, 3)))]
    text = end.join([first, *good, *rows]) + draw(st.sampled_from(["", end, "\0\0"]))
    how = draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"]))
    return _encoded(text, how)


@st.composite
def changed(draw: st.DrawFn, contents: list[bytes]) -> bytes:
    """Draw one of some good files with a few bytes changed, cut off or put in."""
    content = bytearray(draw(st.sampled_from(contents)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        change = draw(st.sampled_from(["byte", "byte", "byte", "cut", "insert", "number"]))
        if change == "byte" and content:
            content[at] = draw(st.integers(0, 255))
        elif change == "cut":
            del content[at:]
        elif change == "insert":
            content[at:at] = draw(st.binary(max_size=8))
        else:  # a length or an offset
            content[at : at + 4] = draw(
                st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f", b"\0\0\0\1"])
            )
    return bytes(content)


ODD: list[Any] = [
    None, True, False, 0, -1, 1, 2, 99, 2**31, 2**63, 10**400, 0.5, -0.0, 1e-300, 1e30, 1e300, math.nan,
    math.inf, -math.inf, "", "x", "0", "nan", "../x", "/dev/zero", "\x1b[31m", "a\nb", "\u202e", "x" * 400,
    [], {}, [None], ["x", "x"], [0, 0], [math.nan], {"x": 1}, {"y": None}, "2020-01-01T00:00:00Z", "ok",
    "failed",
]  # fmt: skip


_ODD = st.sampled_from(ODD).map(copy.deepcopy)  # a later change may change it, too


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place] * bool(place) + [one for name, part in inner for one in _places(part, (*place, name))]


@st.composite
def documents(draw: st.DrawFn, good: Any) -> Any:
    """Draw a good JSON document with some of its values changed, deleted, moved or added."""
    document = copy.deepcopy(good)
    for _ in range(draw(st.integers(1, 3))):
        places = _places(document)
        if not places:
            break
        *parents, last = draw(st.sampled_from(places))
        inner = document
        for name in parents:
            inner = inner[name]
        change = draw(st.sampled_from(["odd", "odd", "odd", "delete", "other", "add"]))
        if change == "delete":
            del inner[last]
        elif change == "add" and isinstance(inner, dict):
            inner[draw(TEXTS)] = draw(_ODD)
        elif change == "other":
            value: Any = document
            for name in draw(st.sampled_from(places)):
                value = value[name] if isinstance(value, dict | list) and _has(value, name) else value
            inner[last] = copy.deepcopy(value)
        else:
            inner[last] = draw(_ODD)
    return document


def _has(value: Any, name: Any) -> bool:
    return name in value if isinstance(value, dict) else isinstance(name, int) and name < len(value)


def json_bytes(document: Any) -> bytes:
    """Return a document as a careless program writes it: with NaN, and lone surrogates."""
    try:
        return json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")
    except ValueError:  # a number of more digits than Python writes
        return b'{"seed": ' + b"9" * 5000 + b"}"


def good_images() -> list[bytes]:
    """Return small images of every format that is read."""
    rng = np.random.default_rng(0)
    grey, colour = rng.integers(0, 255, (9, 7), np.uint8), rng.integers(0, 255, (9, 7, 3), np.uint8)
    deep, alpha = rng.integers(0, 65535, (9, 7), np.uint16), rng.integers(0, 255, (9, 7, 4), np.uint8)
    found = []
    for pixels, kinds in ((grey, "PNG JPEG GIF BMP TIFF"), (colour, "PNG JPEG WEBP BMP TIFF"),
                          (deep, "PNG TIFF"), (alpha, "PNG WEBP TIFF")):  # fmt: skip
        for kind in kinds.split():
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, kind)
            found.append(file.getvalue())
    for array in (grey, colour.astype(np.float32), deep.astype(">u2"), np.asfortranarray(colour)):
        file = io.BytesIO()
        np.save(file, array)
        found.append(file.getvalue())
    return found
