from __future__ import annotations

import math

import pytest

from quadzoo.data.numbers import Column, is_missing, number, spelling


@pytest.mark.parametrize(("text", "value"), [("1", 1), (" -2.5e3 ", -2500), ("+.5", 0.5), ("007", 7)])
def test_numbers(text: str, value: float) -> None:
    assert number(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("\u22125", -5),
        ("\u20133.5", -3.5),
        ("\uff0d2", -2),
        ("１２.５", 12.5),
        ("4\u00a0", 4),
        ("\ufeff7", 7),
    ],
)
def test_numbers_in_other_letters(text: str, value: float) -> None:
    assert number(text) == value


@pytest.mark.parametrize("text", ["", " ", "red", "nan", "inf", "-Infinity", "1_000", "3,5", "0x10", "1 2"])
def test_no_numbers(text: str) -> None:
    assert math.isnan(number(text))


@pytest.mark.parametrize("text", ["", "nan", "NULL", "#N/A", "-", "\u2014", "n/a", "None", "?", " NA "])
def test_words_for_nothing(text: str) -> None:
    assert is_missing(text)
    assert spelling(text).kind == "empty cells"


@pytest.mark.parametrize(
    ("text", "kind", "mend"),
    [
        ("1 234,5", "decimal commas", "write decimals with a point: 1234.5"),
        ("1\u00a0234", "thousands separators", "write it without separators: 1234"),
        ("1'234.5", "thousands separators", "write it without separators: 1234.5"),
        ("1.234.567", "thousands separators", "write it without separators: 1234567"),
        ("1.234,5", "thousands separators", "write it without separators: 1234.5"),
        ("12 %", "percent signs", "write the number alone: 12"),
        ("3.5 cm", "units", "write the number alone: 3.5"),
        ("3,5 cm", "units", "write the number alone"),
        ("(1.5)", "numbers in brackets", "if it is negative, write -1.5"),
        ("$ (1,5)", "numbers in brackets", "if it is negative, write a minus before it"),
        ("1.5-", "a minus behind", "if it is negative, write -1.5"),
        ("5 -", "a minus behind", "if it is negative, write -5"),
        ("1.2M", "units", "write the number in full, without 'M'"),
        ("12k", "units", "write the number in full, without 'k'"),
        ("3 Mio. €", "units", "write the number in full, without 'Mio. €'"),
        ("3 million", "units", "write the number in full, without 'million'"),
        ("3 m", "units", "write the number alone: 3"),
        ("3 m\u00b2", "units", "write the number alone: 3"),
        ("5\u00bd", "fractions and powers", "write it as a decimal number"),
        ("5 \u00be kg", "fractions and powers", "write it as a decimal number"),
        ("3\u00b2", "fractions and powers", "write it as a decimal number"),
        ("27.png", "text", ""),
        ("27.JPG", "text", ""),
        ("EUR 5", "units", "write the number alone: 5"),
        ("$-5", "units", "write the number alone: -5"),
        ("2024-01-05", "dates", "write a number, such as the days since a first date"),
        ("01/31/2024", "dates", "write a number, such as the days since a first date"),
        ("31.01.2024", "dates", "write a number, such as the days since a first date"),
        ("12:30", "times", "write a number, such as seconds"),
        ("Yes", "true or false", "write 1 and 0"),
        ("<0.5", "bounds", "write one number"),
        ("-inf", "infinite numbers", "delete the row"),
        ("P1", "text", ""),
        ("H0", "text", ""),
        ("3-5", "text", ""),
        ("1_000", "text", ""),
        ("red", "text", ""),
    ],
)
def test_how_to_mend_a_cell(text: str, kind: str, mend: str) -> None:
    assert (spelling(text).kind, spelling(text).mend) == (kind, mend)


def column(*cells: str) -> Column:
    seen = Column("y")
    for row, cell in enumerate(cells, 2):
        seen.see(row, cell, number(cell))
    return seen


@pytest.mark.parametrize(
    ("cells", "mend"),
    [
        (["982", "1,855"], "write thousands without a comma: 1855"),
        (["1,855", "1,234,567"], "write thousands without a comma: 1855"),
        (["1,855", "2,5"], "write decimals with a point: 1.855"),
        (["1,855", "4"], "write thousands without a comma, or decimals with a point, whichever it means"),
        (["1,855", "2,341"], "write thousands without a comma, or decimals with a point, whichever it means"),
        (["1,855", "2.5"], "write thousands without a comma, or decimals with a point, whichever it means"),
        (
            ["982", "1855", "1,855"],
            "write thousands without a comma, or decimals with a point, whichever it means",
        ),
    ],
)
def test_what_a_comma_means_is_said_by_the_column(cells: list[str], mend: str) -> None:
    assert column(*cells).mend("1,855") == mend


@pytest.mark.parametrize(
    ("cells", "mend"),
    [
        (["35 mm", "3.5 cm"], "the column has several units, such as 'cm' and 'mm': write the numbers alone, "
         "all in one unit"),
        (["35 mm", "36 mm", "4"], "write the number alone: 35"),
        (["25.1%", "0.2"], "cells without % are beside it: write the numbers alone, all as percent or all as "
         "shares"),
        (["25.1%", "0.2 %"], "write the number alone: 25.1"),
    ],
)  # fmt: skip
def test_a_unit_is_left_out_only_where_all_cells_have_the_same(cells: list[str], mend: str) -> None:
    assert column(*cells).mend(cells[0]) == mend


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (["400", "982", "1.127", "1.273"], True),
        (["400", "982", "1.127", "1.27"], False),  # two decimals: a number
        (["0.127", "0.400", "1.127"], False),
        (["1.127", "2.400", "3.127"], False),  # three decimals in all rows
        (["400", "1127", "1.273"], False),  # thousands are not separated
        (["1", "2", "1.273"], False),
        ([f"{1 + i // 9}.{i * 137 % 1000:03d}" if i % 9 else f"{i * 30}" for i in range(30)], True),
        ([f"{1 + i // 9}.{i * 137 % 1000:03d}" for i in range(30)], False),
        ([*(f"{98 + i / 7:.3f}" for i in range(30)), "100", "101"], False),  # of the same size
        ([*(f"{1 + i / 7:.3f}" for i in range(30)), "999", "999"], False),  # one value: a code
        ([*(f"{1 + i / 7:.3f}" for i in range(30)), "999"], False),
        ([*(f"{1.5 + i * 0.6:.3f}" for i in range(30)), "900"], True),
        ([*(f"{1 + i / 7:.3f}" for i in range(30)), "3", "7"], False),
    ],
)
def test_points_that_may_separate_thousands(cells: list[str], told: bool) -> None:
    said = column(*cells).may_be_thousands
    assert bool(said) == told
    if told and len(cells) == 4:
        assert said.startswith(
            "row 4: y is '1.127', which is read as 1.127; if the point separates thousands, write 1127"
        )


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (["1.234", "982.500"], True),
        (["1.234", "982.500", "12.000"], True),
        (["1.234", "", "982.500"], True),
        (["1.234", "982.500", "0.500"], False),  # no thousands begin with 0
        (["1.234", "982.500", "1200.500"], False),
        (["1.234", "982.5"], False),
        (["1.234", "982.500", "7"], False),
        (["1.234", "2.500", "9.000"], False),  # as a scale of grams prints kilograms
        (["101.234", "982.500"], False),
        (["982.500"], False),
    ],
)
def test_numbers_that_all_have_three_decimals(cells: list[str], told: bool) -> None:
    said = column(*cells).all_may_be_thousands
    assert bool(said) == told
    assert not column(*cells).may_be_thousands
    if told:
        assert said == (
            "row 2: y is '1.234', which is read as 1.234; if the point separates thousands, write 1234"
        )
