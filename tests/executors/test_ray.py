from __future__ import annotations

import pytest

pytest.importorskip("ray", reason="the extra quadzoo[ray] is not installed")

from quadzoo.executors.ray import RayExecutor
from quadzoo.executors.ray_connection import Machine


@pytest.mark.parametrize(("jobs", "share", "expected"), [(1, 2, 2), (2, 1, 4), (5, 1, 7), (3, 2, 3)])
def test_no_more_jobs_at_once_than_a_node_has_cpus_for(jobs: int, share: int, expected: int) -> None:
    """Ray would keep the others waiting, and whoever counts them would say what is not so."""
    executor = RayExecutor.__new__(RayExecutor)
    executor._share = share
    nodes = [Machine("a", "a", 2, 0), Machine("b", "b", 5, 0)]
    executor._nodes = lambda: nodes  # type: ignore[method-assign]
    assert executor.at_once(jobs) == expected
