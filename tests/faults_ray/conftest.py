"""A cluster for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .cluster import Cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes; a module may end them."""
    cluster = Cluster(tmp_path_factory.mktemp("r"))
    try:
        cluster.add()
        cluster.add()
        yield cluster
    finally:
        cluster.stop()
