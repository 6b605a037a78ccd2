"""Small real data for all tests, and the real command line to drive."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from quadzoo.cli import main
from quadzoo.data.equations import write_folder


@dataclass(frozen=True)
class Result:
    """What a command left: exit status, stdout, stderr."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of a refused command."""
        line, nothing = self.err.split("\n")
        assert nothing == ""
        assert line.startswith("quadzoo: error: ")
        return line


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this system cannot do."""
    missing = {"posix": sys.platform == "win32", "linux": sys.platform != "linux"}
    for item in items:
        for name, is_missing in missing.items():
            if is_missing and item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=f"this test needs {name}"))


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cache for the whole session, away from the user's."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["QUADZOO_CACHE_DIR"] = str(folder)
    yield folder
    del os.environ["QUADZOO_CACHE_DIR"]


@pytest.fixture(scope="session")
def equations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the published layout with 120 equations."""
    folder = tmp_path_factory.mktemp("data") / "equations"
    write_folder(folder, 120, seed=1)
    return folder


@pytest.fixture(scope="session")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """discs.csv (file,radius,x) and photos/: 60 coloured images of a disc."""
    folder = tmp_path_factory.mktemp("discs")
    (folder / "photos").mkdir()
    rng = np.random.default_rng(0)
    lines = ["file,radius,x,who"]
    for index in range(60):
        radius, x = int(rng.integers(4, 14)), float(np.round(rng.uniform(16, 32), 2))
        image = np.full((32, 48, 3), (200, 120, 40), np.uint8)
        cv2.circle(image, (round(x), 16), radius, (10, 240, 10), -1)
        cv2.imwrite(str(folder / "photos" / f"disc {index:02d}.png"), image)
        lines.append(f"disc {index:02d},{radius},{x},person {index // 3}")
    (folder / "discs.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="session")
def disc_runs(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of two heads with two seeds each on the discs: 8 bits, colour, a shared border."""
    from quadzoo import api

    folder = tmp_path_factory.mktemp("discs") / "results"
    api.bench(
        ["tiny_cnn"], ["linear", "integer"], [0, 1], data=str(discs / "discs.csv"), images=discs / "photos",
        targets=["radius", "x"], id_column="file", weights="none", epochs=2, batch_size=8, precision="32",
        out=folder,
    )  # fmt: skip
    return folder


@pytest.fixture
def published() -> Path:
    """The real data set of 2,000 images."""
    shared = os.environ.get("QUADZOO_SHARED_DATA")
    if not shared:
        pytest.skip("QUADZOO_SHARED_DATA does not say where the published images are")
    return Path(shared) / "quadratic"


@pytest.fixture
def quadzoo(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run the command line in this process: quadzoo("bench", "--backbones", "tiny_cnn")."""

    def call(*arguments: object) -> Result:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return Result(ended.value.code, captured.out, captured.err)

    return call


@pytest.fixture
def quadzoo_process() -> Callable[..., Result]:
    """Run the command line in a process of its own; ``path`` goes to its PYTHONPATH."""

    def call(*arguments: object, path: Path | None = None) -> Result:
        paths = [str(path), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | ({"PYTHONPATH": os.pathsep.join(paths)} if path else {})
        done = subprocess.run(
            command(*arguments), capture_output=True, text=True, env=environment, check=False
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return call


def command(*arguments: object) -> list[str]:
    """The command that a user's shell would start."""
    return [str(Path(sys.executable).parent / "quadzoo"), *map(str, arguments)]


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


HANGING = """
from quadzoo import BackboneSpec, hookimpl

def build(**_):
    import time
    time.sleep(1000)

@hookimpl
def register_backbones():
    return [BackboneSpec(name="hangs", build=build)]
"""


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an installed plugin distribution `stranger 3.1`, a broken one, and one that hangs."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "stranger.py").write_text(PLUGIN)
    (folder / "brokenplug.py").write_text("import nothing_of_that_name\n")
    (folder / "hanging.py").write_text(HANGING)
    for name, version, module in (
        ("stranger", "3.1", "stranger"),
        ("broken-plug", "0.9", "brokenplug"),
        ("hanging", "0.1", "hanging"),
    ):
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
