"""A script for a process of its own: asks a cluster, and prints what came back."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from quadzoo.executors.base import Needs, NoAnswer, answer
from quadzoo.executors.choice import executor_of
from quadzoo.storage import cache_folder

WORKS = "tests.faults_ray.works"

with executor_of("ray", sys.argv[1]) as executor:
    told = [
        answer(executor, f"{WORKS}:tell_surroundings", None, 60, Needs(gpus=gpus), machine=machine)
        for machine in executor.machines()
        for gpus in (0, 1)
    ]
    path = answer(executor, f"{WORKS}:make_file", "0f0f.npy", 60)
    try:
        answer(executor, f"{WORKS}:break_down", None, 60)
    except NoAnswer as error:
        broken = str(error)
    at_once = [executor.at_once(jobs) for jobs in (1, 2)]
cached = path == cache_folder() / "images" / "0f0f.npy" and path.read_bytes() == b"x" * (20 << 20)
left = [one.name for one in Path(cache_folder()).iterdir() if one.name.startswith(".ray-")]
json.dump({"told": told, "cached": cached, "broken": broken, "at_once": at_once, "left": left}, sys.stdout)
