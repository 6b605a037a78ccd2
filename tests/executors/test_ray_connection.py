"""What is said of a Ray that cannot be used."""

from __future__ import annotations

import pytest

ray = pytest.importorskip("ray", reason="the extra quadzoo[ray] is not installed")

from quadzoo.executors.ray_connection import _NoPaths, connection_error, in_words  # noqa: E402


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
