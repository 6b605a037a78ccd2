"""A script for a process of its own: it has connected to a cluster before it benches there."""

from __future__ import annotations

import sys

import ray

import quadzoo

address, data, out = sys.argv[1:]
ray.init(address=address, log_to_driver=False, logging_level="ERROR")
board = quadzoo.bench(
    ["tiny_cnn"], ["linear"], [0, 1, 2], data=data, out=out, epochs=1, weights="none", precision="32",
    executor="ray",
)  # fmt: skip
sys.stdout.write(f"{board.best.name}\n{ray.is_initialized()}\n")
