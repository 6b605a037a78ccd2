from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import os, sys
from quadzoo.executors.ray_witness import Witness
witness = Witness()
{end}
"""


@pytest.mark.parametrize(("end", "told"), [("witness.close()", 0), ("os._exit(1)", 1)])
def test_it_tells_of_an_end_without_a_word(end: str, told: int) -> None:
    words = [sys.executable, "-c", SCRIPT.format(end=end)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == told
    assert done.stderr.count("this command was ended before it could write its table") == told
    assert len(done.stderr) <= 300
