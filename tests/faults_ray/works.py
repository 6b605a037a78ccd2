"""What the jobs of these tests do."""

from __future__ import annotations

import os
import sys
from typing import Any

from quadzoo import storage


def tell_surroundings(_: Any, send: Any) -> None:
    """Send what a job sees of its node."""
    send(
        {
            "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "openmp": os.environ.get("OMP_NUM_THREADS"),
            "paths": sys.path,
            "folder": os.getcwd(),
            "cache": os.environ["QUADZOO_CACHE_DIR"],
        }
    )


def make_file(name: str, send: Any) -> None:
    """Send a file of the node's cache."""
    path = storage.cache_folder() / "images" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x" * (20 << 20))
    send(path)


def break_down(_: Any, send: Any) -> None:
    """Fail, with a last word."""
    raise MemoryError("it wants more")
