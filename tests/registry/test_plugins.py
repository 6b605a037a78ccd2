from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from quadzoo import BackboneSpec, HeadSpec, ModelSpec, __version__, hookimpl
from quadzoo.errors import ConfigError
from quadzoo.registry import hooks
from quadzoo.registry.plugins import discover


def build(**_: Any) -> Any:
    raise AssertionError("listing must not build")


@dataclass
class Distribution:
    name: str
    version: str = "1.2"


@dataclass
class Point:
    """An entry point whose module is whatever a test says."""

    name: str
    thing: Any
    dist: Distribution
    module: str = "a.module"

    def load(self) -> Any:
        return self.thing() if callable(self.thing) else self.thing


def point(name: str, thing: Any) -> Any:
    return Point(name, thing, Distribution(f"dist-{name}"))


class Good:
    """A good plugin."""

    @hookimpl
    def register_backbones(self) -> Iterator[BackboneSpec]:
        yield BackboneSpec(name="good_net", build=build)

    @hookimpl
    def register_heads(self) -> list[HeadSpec]:
        return [HeadSpec(name="good_head", build=build)]

    @hookimpl
    def register_models(self) -> list[ModelSpec]:
        return [ModelSpec(name="good-model", folder="somewhere")]


def test_good_plugin() -> None:
    (plugin,) = discover([point("good", Good())])
    assert (plugin.name, plugin.distribution, plugin.version) == ("good", "dist-good", "1.2")
    assert [spec.name for spec in plugin.backbones] == ["good_net"]
    assert [spec.name for spec in plugin.heads] == ["good_head"]
    assert [(spec.name, spec.folder) for spec in plugin.models] == [("good-model", Path("somewhere"))]
    assert plugin.description == "A good plugin."
    assert not plugin.failure


def fails_to_import() -> None:
    raise ImportError("No module named 'nothere'")


def exits() -> None:
    sys.exit("bye")


class Misspelt:
    @hookimpl
    def register_backbone(self) -> list[BackboneSpec]:
        return []


class Raises:
    @hookimpl
    def register_heads(self) -> list[HeadSpec]:
        raise RuntimeError("boom")


class RaisesHalfWay:
    @hookimpl
    def register_backbones(self) -> Iterator[BackboneSpec]:
        yield BackboneSpec(name="first", build=build)
        raise RuntimeError("half way")


class WrongType:
    @hookimpl
    def register_backbones(self) -> list[Any]:
        return ["resnet"]


class NotIterable:
    @hookimpl
    def register_backbones(self) -> Any:
        return 3


class Async:
    @hookimpl
    async def register_heads(self) -> list[Any]:
        return []


class BadName:
    @hookimpl
    def register_backbones(self) -> list[BackboneSpec]:
        return [BackboneSpec(name="../<b>x</b>", build=build)]


@pytest.mark.parametrize(
    ("thing", "told"),
    [
        (fails_to_import, "ImportError: No module named 'nothere'"),
        (exits, "SystemExit: bye"),
        (Misspelt(), "register_backbone"),
        (Raises(), "RuntimeError: boom"),
        (RaisesHalfWay(), "RuntimeError: half way"),
        (WrongType(), "got 'resnet'"),
        (NotIterable(), "got int"),
        (Async(), "got coroutine"),
        (BadName(), "../<b>x</b>"),
    ],
)
def test_broken_plugin_is_named_and_the_rest_works(thing: Any, told: str) -> None:
    broken, good = discover([point("good", Good()), point("broken", thing)])
    assert broken.name == "broken"
    assert told in broken.failure
    assert "\n" not in broken.failure
    assert broken.backbones == broken.heads == ()
    assert len(good.backbones) == 1


def raises_an_interrupt() -> None:
    raise KeyboardInterrupt


def moves() -> object:
    os.chdir("/")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return Good()


class Speechless(Exception):
    def __str__(self) -> str:
        raise SystemExit(0)


def raises_without_words() -> None:
    raise Speechless


def raises_a_megabyte() -> None:
    raise RuntimeError("x" * 1_000_000)


@pytest.mark.parametrize("thing", [raises_an_interrupt, raises_without_words, raises_a_megabyte])
def test_whatever_a_plugin_raises_costs_that_plugin_alone(thing: Any) -> None:
    broken, good = discover([point("good", Good()), point("broken", thing)])
    assert broken.failure.startswith(("KeyboardInterrupt", "Speechless", "RuntimeError: xxx"))
    assert len(broken.failure) <= 200
    assert good.backbones


def test_ctrl_c_is_not_swallowed() -> None:
    def interrupted() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        discover([point("slow", interrupted)])
    assert signal.getsignal(signal.SIGINT) is before


def test_a_plugin_moves_neither_the_folder_nor_the_handlers_of_signals() -> None:
    folder, handler = os.getcwd(), signal.getsignal(signal.SIGINT)
    (plugin,) = discover([point("moves", moves)])
    assert plugin.backbones
    assert (os.getcwd(), signal.getsignal(signal.SIGINT)) == (folder, handler)


def changes_defaults() -> object:
    """As scripts do that are made a plugin of."""
    np.seterr(all="raise")
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_grad_enabled(False)
    torch.use_deterministic_algorithms(True)
    torch.set_float32_matmul_precision("medium")
    os.umask(0o777)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    return Good()


def defaults() -> list[object]:
    os.umask(mask := os.umask(0))
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ()) if hasattr(signal, "pthread_sigmask") else None
    return [
        np.geterr(), torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision(), mask, blocked,
    ]  # fmt: skip


def test_a_plugin_changes_no_default_of_the_process() -> None:
    before = defaults()
    (plugin,) = discover([point("changes", changes_defaults)])
    assert plugin.backbones
    assert defaults() == before


def test_a_plugin_that_is_the_first_to_import_torch_changes_no_default_of_it() -> None:
    script = """
import sys
from quadzoo.registry.containment import contained
assert "torch" not in sys.modules
with contained():
    import numpy, torch
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    numpy.seterr(all="raise")
assert torch.zeros(1).dtype == torch.float32 and torch.zeros(1).device.type == "cpu"
assert numpy.geterr()["under"] == "ignore"
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def prints() -> object:
    sys.stdout.write("hello\n")
    os.write(1, b"from below\n")
    subprocess.run(["echo", "from a process"], check=True)
    print("by another name", file=sys.__stdout__)
    return Good()


def closes() -> object:
    sys.stdout = sys.stderr = None
    os.close(1)
    os.close(2)
    return Good()


def makes_errors_of_warnings() -> object:
    warnings.simplefilter("error")
    return Good()


class WithoutEnd(Good):
    @hookimpl
    def register_backbones(self) -> Iterator[BackboneSpec]:
        spec = BackboneSpec(name="same", build=build)
        while True:
            yield spec


def test_what_a_plugin_prints_is_no_result(capfd: pytest.CaptureFixture[str]) -> None:
    (plugin,) = discover([point("prints", prints)])
    assert plugin.backbones
    said = capfd.readouterr()
    assert said.out == ""
    assert {*said.err.splitlines()} == {"hello", "from below", "from a process", "by another name"}
    sys.stdout.write("a result\n")
    assert capfd.readouterr().out == "a result\n"


def test_a_plugin_closes_no_stream(capfd: pytest.CaptureFixture[str]) -> None:
    streams = sys.stdout, sys.stderr
    (plugin,) = discover([point("closes", closes)])
    assert plugin.backbones
    assert (sys.stdout, sys.stderr) == streams
    os.write(1, b"out")
    os.write(2, b"err")
    assert tuple(capfd.readouterr()) == ("out", "err")


def test_a_plugin_makes_no_errors_of_the_warnings_of_others() -> None:
    before = list(warnings.filters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (plugin,) = discover([point("strict", makes_errors_of_warnings)])
        warnings.warn("of somebody else", stacklevel=1)
    assert plugin.backbones
    assert list(warnings.filters) == before


def test_a_list_without_an_end_has_one() -> None:
    (plugin,) = discover([point("endless", WithoutEnd())])
    assert plugin.failure == "ValueError: register_backbones returns more than 100,000 specs"


PLUGIN_FILE = """
import atexit, os, threading, time
from quadzoo import HeadSpec, hookimpl
{does}

@hookimpl
def register_heads():
    return [HeadSpec(name="mine", build=print)]
"""


@pytest.mark.parametrize(
    "does",
    [
        "os.fork()",  # or the command would be done twice
        "threading.Thread(target=time.sleep, args=(600,)).start()",  # or Python would wait for it
        "atexit.register(time.sleep, 600)",  # and for this
    ],
)
def test_a_command_is_done_once_and_ends(does: str, tmp_path: Path, quadzoo_process: Any) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN_FILE.format(does=does))
    begun = time.monotonic()
    done = quadzoo_process("list", "heads", "--plugin", tmp_path / "mine.py", "--json")
    assert done.status == 0, done.err
    assert [one["name"] for one in json.loads(done.out)].count("mine") == 1
    assert time.monotonic() - begun < 300


def test_a_failure_is_an_error_where_that_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUADZOO_STRICT", "1")
    with pytest.raises(ConfigError, match=r"'broken' .* fails: SystemExit: bye .QUADZOO_STRICT"):
        discover([point("good", Good()), point("broken", exits)])
    monkeypatch.setenv("QUADZOO_STRICT", "0")
    assert discover([point("broken", exits)])[0].failure


class Future:
    QUADZOO_API: Any = hooks.API + 1

    @hookimpl
    def register_smells(self) -> list[Any]:
        raise AssertionError("it must not be asked")


class Past(Future):
    QUADZOO_API = hooks.OLDEST_API - 1


class Odd(Future):
    QUADZOO_API = "1.0"


class Present(Good):
    QUADZOO_API = hooks.API


@pytest.mark.parametrize(
    ("thing", "told"),
    [
        (Future(), f"it asks for plugin API 2, and quadzoo {__version__} has 1: upgrade quadzoo"),
        (Past(), f"it asks for plugin API 0, and quadzoo {__version__} has 1 to 1: upgrade the plugin"),
        (Odd(), "QUADZOO_API is '1.0', and should be a whole number"),
        (Present(), ""),
        (Good(), ""),
    ],
)  # fmt: skip
def test_a_plugin_for_another_plugin_api_is_left_out(thing: Any, told: str) -> None:
    (plugin,) = discover([point("other", thing)])
    assert plugin.failure == told
    assert bool(plugin.backbones) is not bool(told)


def test_builtins_arrive_through_entry_points() -> None:
    plugins = {plugin.name: plugin for plugin in discover()}
    assert {"torchvision", "timm", "tiny", "heads"} <= plugins.keys()
    assert all(plugins[name].distribution == "quadzoo" for name in ("torchvision", "timm", "tiny", "heads"))


@pytest.mark.parametrize("name", ["", "two words", "../x", "a/b/c", "a,b", "<b>", "/x", "x/", None, 3])
def test_bad_names_are_refused(name: Any) -> None:
    with pytest.raises(ValueError, match="name"):
        HeadSpec(name=name, build=build)
