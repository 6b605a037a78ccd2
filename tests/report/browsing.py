"""What tests of pages in Chromium share."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright comes with quadzoo[test]")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe comes with quadzoo[test]")
CHROMIUM = next(
    (path for name in ("chromium", "google-chrome", "chrome") if (path := shutil.which(name))), ""
)
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="no chromium on the path")

EVIL = "<script>document.title='evil'</script>\"'🦓" + "x" * 200
Open = Callable[..., "sync_api.Page"]


def names(page: sync_api.Page) -> list[str]:
    """The backbones of the rows that can be seen, from top to bottom."""
    heads = page.locator(".rows > tbody > tr:first-child > th:visible")
    return [text.split("\n")[0] for text in heads.all_inner_texts()]


def violations(page: sync_api.Page) -> list[tuple[str, str]]:
    """What axe finds: its rules, and the first element that breaks each."""
    return [(one["id"], one["nodes"][0]["html"]) for one in axe.Axe().run(page).response["violations"]]
