"""A cluster for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .cluster import Cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes; a module may end them."""
    cluster = Cluster()
    try:
        cluster.add()
        cluster.add()
        yield cluster
    finally:
        cluster.stop()
