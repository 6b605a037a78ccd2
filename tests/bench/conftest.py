from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest


def records(out: Path) -> list[dict[str, Any]]:
    """All records of a results folder, as an outside reader would read them."""
    return [json.loads(path.read_text()) for path in sorted(out.glob("runs/*/record.json"))]


PLUGIN = '''
"""Backbones that misbehave when they are built or run."""
import os, signal, sys
from quadzoo import BackboneSpec, hookimpl


def build_good(*, pretrained, in_channels, image_size):
    from torch import nn
    if pretrained:
        return build_good(pretrained=False, in_channels=in_channels, image_size=image_size)
    net = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten())  # features (B, F)
    net.num_features = 16 * in_channels
    return net

def build_liar(**arguments):
    net = build_good(**arguments)
    net.num_features = 5
    return net

def build_widthless(**arguments):
    net = build_good(**arguments)
    del net.num_features
    return net

def build_raises(**_):
    raise RuntimeError("no such layer\\nat all")

def build_exits(**_):
    print("about to leave")
    sys.stdout.flush()
    os._exit(7)

def build_crashes(**_):
    os.kill(os.getpid(), signal.SIGSEGV)

def build_waits(*, pretrained, **arguments):
    if pretrained:
        import time
        time.sleep(1000)
    return build_good(pretrained=False, **arguments)


@hookimpl
def register_backbones():
    for name, build in sorted(globals().items()):
        if name.startswith("build_"):
            yield BackboneSpec(name=name.removeprefix("build_"), build=build, description="a test's")
'''


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an installed plugin distribution `stranger 3.1`, and a broken one."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "stranger.py").write_text(PLUGIN)
    (folder / "brokenplug.py").write_text("import nothing_of_that_name\n")
    for name, version, module in (("stranger", "3.1", "stranger"), ("broken-plug", "0.9", "brokenplug")):
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(
            textwrap.dedent(f"""\
            [quadzoo]
            {name} = {module}
            """)
        )
    return folder
