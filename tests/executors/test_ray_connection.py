"""What is said of a Ray that cannot be used."""

from __future__ import annotations

import os
import socket

import pytest

ray = pytest.importorskip("ray", reason="the extra quadzoo[ray] is not installed")

from quadzoo.errors import ConfigError  # noqa: E402
from quadzoo.executors.ray_connection import (  # noqa: E402
    _ONCE,
    _check_address,
    _NoPaths,
    answers,
    connect,
    connection_error,
    in_words,
)


def test_another_python_is_one_line() -> None:
    """What Ray says has ten lines."""
    from ray._private.utils import check_version_info, compute_version_info

    version, python = compute_version_info()[:2]
    with pytest.raises(RuntimeError) as refused:
        check_version_info({"ray_version": version, "python_version": "3.11.2"}, "node 10.0.0.2")
    line = connection_error(str(refused.value))
    assert line == (
        "Ray and Python must be the same on all machines, to the last digit of their versions (Python 3.11.2 "
        f"there, {python} here)"
    )


def test_a_missing_token_is_named() -> None:
    assert "RAY_AUTH_MODE=token" in connection_error("GCS: Unauthenticated: InvalidAuthToken")


def test_other_reasons_are_cut_to_a_line() -> None:
    line = connection_error("Could not find\n any running Ray instance. " + "x" * 1000)
    assert line.startswith("no connection: Could not find any running Ray instance. xxx")
    assert len(line) <= 220


def test_errors_of_tasks_in_words() -> None:
    failed = ray.exceptions.RayTaskError("watch", "Traceback ...", OSError(28, "No space left on device"))
    assert in_words(failed) == "OSError: [Errno 28] No space left on device"
    short = in_words(
        ray.exceptions.OutOfMemoryError("Task was killed due to the node running low on memory.")
    )
    assert short == "its node ran out of memory, and Ray ended it"


def test_the_current_folder_is_not_passed_on() -> None:
    paths = _NoPaths()
    paths.extend(["/somebodys/data"])
    assert paths == []


@pytest.mark.parametrize(
    "address", ["127.0.0.1:99999999", "127.0.0.1:-1", "127.0.0.1", ":", "", "[::1", "a\0b:1", f"{'ü' * 70}:1"]
)
def test_nothing_answers_at_an_address_that_there_cannot_be(address: str) -> None:
    assert not answers(address)


def test_a_head_that_the_environment_names_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray itself would try for minutes."""
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(
        ConfigError, match=r"auto: nothing answers at 127\.0\.0\.1:1, which RAY_ADDRESS names"
    ):
        _check_address("auto")
    monkeypatch.delenv("RAY_ADDRESS")
    _check_address("auto")


def test_ray_tries_once_where_something_else_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    (name,) = _ONCE
    tried: list[str | None] = []

    def init(**_: object) -> None:
        tried.append(os.environ.get(name))
        raise RuntimeError("Failed to connect to Ray cluster")

    monkeypatch.setattr(ray, "init", init)
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(
            ConfigError, match="what answers is no head of Ray, or does not accept"
        ) as refused:
            connect(address)
    assert len(str(refused.value)) <= 300
    assert tried == ["1"]
    assert name not in os.environ
