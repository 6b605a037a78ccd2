"""What the server of processes imports for all of them."""

from __future__ import annotations

import subprocess
import sys


def test_what_is_imported_is_out_of_the_way_of_the_search_for_garbage() -> None:
    code = """
import quadzoo.training.preloaded, gc, sys
assert {"torch", "timm", "pytorch_lightning", "quadzoo.training.run"} <= {*sys.modules}
print(gc.isenabled(), gc.get_freeze_count() > 100_000)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "True True\n", done.stderr
