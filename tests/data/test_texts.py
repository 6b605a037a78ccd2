from __future__ import annotations

from pathlib import Path

import pytest

from quadzoo.data.texts import alike, key, listed, nearest, printable, told_apart, where


@pytest.mark.parametrize(
    "text", ["P1", " P1", "P1\t", "P1\u00a0", "\u3000P1", "P1\u200b", "\ufeffP1", "P1\u2003\r\n"]
)
def test_blanks_at_the_ends_of_a_key_do_not_count(text: str) -> None:
    assert key(text) == "P1"


def test_a_key_has_one_spelling_of_umlauts_and_keeps_its_case() -> None:
    assert key("u\u0308b P") == "üb P"
    assert key("Üb") != key("üb")
    assert key("\u00a0\u200b") == ""


def test_keys_that_a_typist_does_not_tell_apart() -> None:
    texts = ["P1", "p1", "P2", "Ｐ2", "P 3", "P\u00a03", "P4", "P04", "7", "7.0", "8", "80", "P1"]
    assert alike(texts, zeros=False) == [("P1", "p1"), ("P2", "Ｐ2"), ("P 3", "P\u00a03")]
    assert alike(texts, zeros=True)[3:] == [("P4", "P04"), ("7", "7.0")]
    written = ["1", "1.", "+1", "1,0", "'1", "\u0661"]  # the last an Arabic digit
    assert alike([*written, "12", "O'Neil", "O\u2019Neil"], zeros=True) == [
        tuple(written),
        ("O'Neil", "O\u2019Neil"),
    ]


@pytest.mark.parametrize("filler", ["\u3164", "\u115f", "\u2800", "\uffa0", "\U000e0100", "\u200b", "\u00a0"])
def test_what_nobody_sees_makes_no_other_key(filler: str) -> None:
    assert key(f"P1{filler}") == key(f"{filler}P1") == "P1"
    assert alike(["P1", f"P{filler}1"], zeros=False) == [("P1", f"P{filler}1")]


@pytest.mark.parametrize(
    ("text", "other", "told"),
    [
        ("P1", "P\u200b1", r"'P1' and 'P\u200b1'"),  # invisible characters inside
        ("P1", "P\u00ad1", r"'P1' and 'P\xad1'"),
        ("P1", "P\u034f1", r"'P1' and 'P\u034f1'"),
        ("P1", "P1\ufe0f", r"'P1' and 'P1\ufe0f'"),
        ("P1", "P\x7f1", r"'P1' and 'P\x7f1'"),
        ("P-1", "P\u20111", r"'P-1' and 'P\u20111'"),  # dashes
        ("P-1", "P\u20131", r"'P-1' and 'P\u20131'"),
        ("P-1", "P\u22121", r"'P-1' and 'P\u22121'"),
        ("Müller-1", "müller-1", "'Müller-1' and 'müller-1'"),
        ("P1", "\u04201", r"'P1' and '\u04201'"),  # Cyrillic Er
        ("p1", "\u04201", "'p1' and '\u04201'"),
        ("patient", "p\u0430tient", r"'patient' and 'p\u0430tient'"),
        ("A7", "\u03917", r"'A7' and '\u03917'"),  # Greek Alpha
        ("\u0412 1", "\u04321", "'\u0412 1' and '\u04321'"),  # Cyrillic Ve, large and small
    ],
)
def test_keys_that_look_the_same_are_alike_and_told_apart(text: str, other: str, told: str) -> None:
    assert alike([text, other, "P2"], zeros=False) == [(text, other)]
    assert told_apart([text, other]) == told


def test_letters_that_differ_are_not_alike() -> None:
    assert alike(["5 \u03bcm", "5 mm", "\u00b5g", "mg", "Б1", "B1", "П1", "P1", "\u03a91"], zeros=True) == []


def test_of_many_keys_that_are_alike_a_few_are_named() -> None:
    assert told_apart(["a", "A", "a ", " A", "A  ", "  a"]) == "'a' and 'A' and 'a ' and ' A' and 2 others"


def test_the_names_that_were_probably_meant() -> None:
    names = ["id", "Height", "height_cm", *(f"feature{i}" for i in range(3000))]
    assert nearest("height", names) == ["Height"]
    assert nearest("heigth_cm", names)[0] == "height_cm"
    assert nearest("zzz", names) == []


def test_many_names_and_long_ones_are_cut_off() -> None:
    assert listed(["a"]) == "a"
    assert listed([f"c{i}" for i in range(10)]) == "c0, c1, c2, c3, c4, c5, c6, c7 and 2 others"
    assert len(listed(["x" * 5000] * 5000)) < 150
    assert where(Path("a/b.csv")) == "a/b.csv"
    assert where(Path("/" + "a" * 200) / "b.csv") == "…/b.csv"


def test_a_name_that_is_no_utf8_can_be_printed() -> None:
    assert printable("ä\udcff.png") == "ä\ufffd.png"
    printable("ä\udcff.png").encode()
