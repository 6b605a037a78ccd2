from __future__ import annotations

import subprocess
import sys

WATCHED = """
import torch

def forbidden(*_, **__):
    raise AssertionError("the server process touched the GPU; its children could not use it any more")

for module, name in [
    (torch._C, "_cuda_getDeviceCount"), (torch._C, "_cuda_init"), (torch.cuda, "is_available"),
    (torch.cuda, "device_count"), (torch.cuda, "_lazy_init"),
]:
    if hasattr(module, name):
        setattr(module, name, forbidden)
import quadzoo.training.run
"""


def test_what_the_server_imports_never_touches_a_gpu() -> None:
    done = subprocess.run([sys.executable, "-c", WATCHED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
