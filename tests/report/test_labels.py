"""Names in a plot, by geometry alone; `test_browser.py` measures them as they are drawn."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from quadzoo.report.labels import Box, Line, place, width

AREA = Box(0, 0, 800, 400)


@pytest.mark.parametrize(
    ("line", "crosses"),
    [
        (Line(0, 0, 40, 40), True),
        (Line(15, 12, 16, 13), True),  # inside
        (Line(0, 15, 100, 15), True),
        (Line(15, 0, 15, 100), True),
        (Line(0, 5, 100, 5), False),
        (Line(5, 0, 5, 100), False),
        (Line(0, 30, 30, 60), False),
        (Line(0, 15, 5, 15), False),  # ends before it
        (Line(15, 15, 15, 15), True),
    ],
)
def test_line_crosses_box(line: Line, crosses: bool) -> None:
    assert line.crosses(Box(10, 10, 20, 20)) is crosses
    assert Line(line.x2, line.y2, line.x1, line.y1).crosses(Box(10, 10, 20, 20)) is crosses


@pytest.mark.parametrize("seed", range(5))
def test_names_cover_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    at = rng.uniform([20, 20], [780, 380], (25, 2))
    points = [(float(x), float(y), f"{'name' * rng.integers(1, 6)} {n}") for n, (x, y) in enumerate(at)]
    boxes = [Box(x - 7, y - 7, x + 7, y + 7) for x, y, _ in points]
    lines = [Line(x, y - 30, x, y + 30) for x, y, _ in points]
    placed = place(points, area=AREA, boxes=boxes, lines=lines)
    assert len(placed) > 15
    assert placed[0].text == points[0][2]
    for one, other in combinations(placed, 2):
        assert not one.box.overlaps(other.box)
    for label in placed:
        assert label.box.within(AREA)
        assert not any(map(label.box.overlaps, boxes))
        assert not any(line.crosses(label.box) for line in lines)
        assert not any(other.leader and other.leader.crosses(label.box) for other in placed if other != label)


def test_a_name_stands_beside_its_point_where_it_can() -> None:
    (label,) = place([(100, 100, "net")], area=AREA, boxes=[Box(93, 93, 107, 107)], lines=[])
    assert (label.anchor, label.x, label.leader) == ("start", 110, None)
    (label,) = place([(790, 100, "net")], area=AREA, boxes=[Box(783, 93, 797, 107)], lines=[])
    assert (label.anchor, label.x, label.leader) == ("end", 780, None)
    (label,) = place([(100, 100, "net")], area=AREA, boxes=[Box(50, 80, 150, 120)], lines=[])
    assert label.leader
    assert (label.leader.x1, label.leader.y1) == (100, 100)


def test_names_without_room_are_left_out() -> None:
    assert place([(100, 100, "net")], area=AREA, boxes=[AREA], lines=[]) == []
    assert place([(100, 100, "n" * 200)], area=AREA, boxes=[], lines=[]) == []
    assert width("") == 0
