"""The page of a suite in Chromium, as a reader uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from quadzoo.report.suite.files import write_suite_report
from tests.report.browsing import EVIL, Open, names, needs_chromium, violations
from tests.report.suite import suites

pytestmark = needs_chromium


def suite_page(out: Path) -> Path:
    """The page of a suite of 12 sets, with a row that failed and one with a name that is no good."""
    scores = {
        f"set-{n}": {"a": [0.01], EVIL: [0.02], "b": [0.3 if n else None]} for n in range(12)
    }  # fmt: skip
    write_suite_report(out, suites.write(out, scores))
    return out / "leaderboard-suite.html"


def test_suite_sorts_by_a_set_and_filters(tmp_path: Path, open_page: Open) -> None:
    page = open_page(suite_page(tmp_path))
    assert names(page)[0] == "a"
    page.locator(".rows").first.get_by_role("button", name="set-3").click()
    assert names(page)[:3] == ["a", EVIL, "b"]
    page.locator(".rows").first.get_by_role("button", name="set-0").click()
    page.locator(".rows").first.get_by_role("button", name="set-0").click()
    assert names(page)[:3] == [EVIL, "a", "b"]  # what has no value stays last
    page.get_by_label("Filter").fill("incomplete")
    assert names(page)[0] == "b"
    assert page.get_by_role("status").inner_text() == "1 of 3 rows"
    sets = page.locator(".sets > tbody > tr > th")
    assert sets.first.inner_text() == "set-0"
    page.get_by_role("button", name="images").click()
    assert sets.count() == 12


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_a_suite(width: int, scheme: str, tmp_path: Path, open_page: Open) -> None:
    page = open_page(suite_page(tmp_path), viewport={"width": width, "height": 900}, color_scheme=scheme)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
