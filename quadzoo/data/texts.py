"""Texts of tables: keys that are compared, and names and values as messages show them."""

from __future__ import annotations

import difflib
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

_LONGEST_QUOTE = 40  # characters of a cell in a message
_LONGEST_PATH = 110
_MOST = 8  # names in a message
_MOST_ALIKE = 4  # texts that look alike in a message
_MOST_CHARACTERS = 90  # of names in a message
_LEADING_ZEROS = re.compile(r"(?<![\d.])0+(?=\d)")
_SURROGATES = re.compile("[\ud800-\udfff]")  # bytes that are no UTF-8, and halves of letters of UTF-16
_NO_DECIMALS = re.compile(r"(?<=\d)[.,]0*$")
# Joiners, selectors, fillers and an empty Braille cell, besides category Cf: Unicode's Default_Ignorable.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_QUOTES = dict.fromkeys(map(ord, "\u2018\u2019\u201b\u02bc\u00b4`"), "'")
# Cyrillic and Greek capitals that look like Latin ones: Unicode Technical Standard 39, confusables.txt. Their
# small letters count as the same, since case does not count; but mu is a unit, and 5 mm are something else.
_LOOKS = (
    (
        "\u0410\u0412\u0415\u0405\u0406\u0408\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425",
        "ABESIJKMHOPCTYX",
    ),
    (
        "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7",
        "ABEZHIKMNOPTYX",
    ),
)
_LATIN = {
    ord(letter): latin
    for theirs, ours in _LOOKS
    for letter, latin in (*zip(theirs, ours, strict=True), *zip(theirs.lower(), ours.lower(), strict=True))
    if letter != "\u03bc"
}


def key(text: str) -> str:
    """Return a text as keys are compared: ids, groups, names of columns.

    It is in Unicode's normal form C, without blanks or invisible characters at its ends.
    """
    if text.isascii() and text.isprintable():
        return text.strip()
    text = unicodedata.normalize("NFC", text)
    start, end = 0, len(text)
    while start < end and _is_blank(text[start]):
        start += 1
    while end > start and _is_blank(text[end - 1]):
        end -= 1
    return text[start:end]


def _is_blank(letter: str) -> bool:
    in_category = unicodedata.category(letter) in ("Cf", "Cc", "Zs")
    return in_category or letter.isspace() or _UNSEEN.match(letter) is not None


def folded(text: str) -> str:
    """Return a key without the differences that a typist does not see.

    These are case, blanks, width, invisible characters, which of Unicode's dashes and quotes it is, and
    whether a letter or a digit is Latin or one of another alphabet that looks, or counts, the same.
    """
    if text.isascii() and text.isprintable():
        return "".join(text.casefold().split())
    return "".join(map(_seen, unicodedata.normalize("NFKC", key(text)))).casefold()


def _seen(letter: str) -> str:
    """Return a letter as it is seen: nothing if it is invisible, one dash for all, Latin if it looks so."""
    category = unicodedata.category(letter)
    if category in ("Cf", "Cc") or letter.isspace() or _UNSEEN.match(letter):
        return ""
    if category == "Nd":
        return str(unicodedata.decimal(letter))
    return "-" if category == "Pd" or letter == "\u2212" else letter.translate(_LATIN | _QUOTES)


def without_zeros(text: str) -> str:
    """Return a key, folded, and its numbers as a spreadsheet would write them: 007 as 7, 7.0 and +7 as 7.

    An apostrophe at its beginning is how spreadsheets mark a text.
    """
    return _NO_DECIMALS.sub("", _LEADING_ZEROS.sub("", folded(text).lstrip("+'")))


def alike(texts: Iterable[str], *, zeros: bool) -> list[tuple[str, ...]]:
    """Return the different texts that are the same once folded, or also without leading ``zeros``."""
    found: dict[str, list[str]] = defaultdict(list)
    for text in dict.fromkeys(texts):
        found[without_zeros(text) if zeros else folded(text)].append(text)
    return [tuple(some) for some in found.values() if len(some) > 1]


def nearest(name: str, names: Sequence[str]) -> list[str]:
    """Return at most three of the names that a typist may have meant, the nearest first."""
    same = [one for one in names if folded(one) == folded(name)]
    return same[:3] or difflib.get_close_matches(name[:200], [one[:200] for one in names], n=3)


def quoted(text: str) -> str:
    """Return a text in quotes, on one line, cut off where it would make a message too long."""
    return repr(text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…")


def told_apart(texts: Sequence[str]) -> str:
    """Return texts that look alike in quotes; of those that look the same, which characters they have."""
    seen = ["".join(map(_seen, text)) for text in texts]
    shown = [
        ascii(text[:_LONGEST_QUOTE]) if seen.count(looks) > 1 and not text.isascii() else quoted(text)
        for text, looks in zip(texts[:_MOST_ALIKE], seen, strict=False)
    ]
    others = len(texts) - len(shown)
    return " and ".join([*shown, *[f"{others:,} other{'s' * (others > 1)}"] * (others > 0)])


def listed(names: Sequence[str]) -> str:
    """Return names with commas between them; of many only the first, and how many others there are."""
    shown: list[str] = []
    for name in names[:_MOST]:
        cut = name if len(name) <= _LONGEST_QUOTE else f"{name[:_LONGEST_QUOTE]}…"
        if shown and sum(map(len, shown)) + len(cut) > _MOST_CHARACTERS:
            break
        shown.append(one_name(" ".join(cut.split())))
    others = len(names) - len(shown)
    return f"{', '.join(shown)}{f' and {others:,} other' + 's' * (others > 1) if others else ''}"


def one_name(name: str) -> str:
    """Return a name for a sentence: in quotes where it would look like several."""
    return f'"{name}"' if "," in name or ";" in name or " and " in name else name


def where(path: Path) -> str:
    """Return a path for a message; of a long one the last part alone."""
    text = printable(str(path))
    return text if len(text) <= _LONGEST_PATH else f"…{os.sep}{printable(path.name)[-_LONGEST_PATH:]}"


def printable(text: str) -> str:
    """Return a text that can be printed: what is no UTF-8 becomes U+FFFD."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def plural(n: int, what: str) -> str:
    """Return a count and a noun."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"
