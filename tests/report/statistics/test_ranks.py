"""How sure the order is."""

from __future__ import annotations

import numpy as np
import pytest

from quadzoo.report.statistics import places
from tests.report.statistics.boards import N, board


def test_rows_far_apart_have_one_place() -> None:
    errors = (
        board(np.random.default_rng(0), 3, (0.05,) * 4)[..., :N] * np.array([8, 1, 64, 512])[:, None, None]
    )
    found = places(list(errors), np.arange(N))
    assert found == [(2, 2, 0.0), (1, 1, 1.0), (3, 3, 0.0), (4, 4, 0.0)]


def test_equal_rows_share_all_places() -> None:
    found = places(list(board(np.random.default_rng(0), 3, (0.3,) * 4)[..., :N]), np.arange(N))
    assert found is not None
    assert sum(place.best for place in found) == pytest.approx(1)
    assert all(place.low == 1 or place.high == 4 for place in found)
    assert max(place.best for place in found) < 0.9


def test_images_are_shared() -> None:
    """One row is 5 % worse on every image: images leave no doubt, seeds do."""
    rng = np.random.default_rng(0)
    hard = np.exp(rng.normal(0, 1.5, N))
    sure = places([np.tile(hard, (3, 1)), np.tile(1.05 * hard, (3, 1))], np.arange(N))
    assert sure == [(1, 1, 1.0), (2, 2, 0.0)]
    luck = np.exp(rng.normal(0, 0.3, (2, 3, 1)))
    unsure = places([luck[0] * hard, 1.05 * luck[1] * hard], np.arange(N))
    assert unsure is not None
    assert all((place.low, place.high) == (1, 2) for place in unsure)


def test_images_leave_doubt_without_seeds() -> None:
    """Rows whose seeds do not differ err on different images."""
    errors = np.random.default_rng(0).lognormal(0, 1, (2, 1, N))
    found = places([np.tile(row, (3, 1)) for row in errors], np.arange(N))
    assert found is not None
    assert all((place.low, place.high) == (1, 2) for place in found)
    assert 0.02 < found[0].best < 0.98


def test_rows_that_err_alike_share_a_place() -> None:
    errors = board(np.random.default_rng(0), 3, (0.0,))[0, :, :N]
    same = np.tile(errors[:1], (3, 1))
    assert places([same, same], np.arange(N)) == [(1, 2, 0.5), (1, 2, 0.5)]


def test_too_little_to_say() -> None:
    errors = np.random.default_rng(0).lognormal(0, 1, (2, 3, 40))
    assert None not in places(list(errors), np.arange(40))
    assert places([errors[0, :2], errors[1, :2]], np.arange(40)) == [None, None]
    assert places(list(errors), np.arange(40) % 9) == [None, None]
    assert places([], np.arange(40)) == []
    assert places([np.zeros((3, 40)), errors[0]], np.arange(40)) == [(1, 1, 1.0), (2, 2, 0.0)]


def test_a_row_that_nothing_can_be_said_of_counts_for_the_others() -> None:
    rng = np.random.default_rng(0)
    good, bad = rng.exponential(1, (3, 40)), rng.exponential(9, (3, 40))
    first, one_seed, last = places([good, 3 * good[:1], bad], np.arange(40))
    assert first is not None
    assert last is not None
    assert one_seed is None
    assert (first.low, last.high) == (1, 3)
    odd = good.copy()
    odd[:, 0] = 1e6  # one image carries the error: in a third of the draws it is missing
    first, carried = places([good, odd], np.arange(40))
    assert carried is None
    assert first is not None


def test_equal_rows_share_the_first_place() -> None:
    table = np.random.default_rng(0).exponential(size=(3, 50))
    found = places([table, table.copy(), table * 50], np.arange(50))
    assert found
    assert sum(one.best for one in found) == pytest.approx(1)
