"""quadzoo plugin check, on plugins that behave and on plugins that do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]


def test_a_built_in_head_and_backbone(quadzoo: Call) -> None:
    result = quadzoo("plugin", "check", "linear")
    assert (result.status, result.out, result.err) == (0, "head linear: 7 rules kept\n", "")
    assert quadzoo("plugin", "check", "tiny").out == "backbone tiny_cnn: 9 rules kept\n"


def verdicts(quadzoo_process: Call, stranger: Path, name: str) -> dict[str, str]:
    """What `plugin check NAME --json` says of each rule; the check must say that one is broken."""
    result = quadzoo_process("plugin", "check", name, "--json", path=stranger)
    assert result.status == 1
    told = json.loads(result.out)["verdicts"]
    assert {one["subject"]["name"] for one in told} == {name}
    return {one["rule"]: one["broken"] for one in told}


def test_a_backbone_that_lies(stranger: Path, quadzoo_process: Call) -> None:
    found = verdicts(quadzoo_process, stranger, "liar")
    assert [rule for rule, line in found.items() if line] == ["shapes"]
    assert len(found) == 9


def test_a_backbone_that_ends_its_process(stranger: Path, quadzoo_process: Call) -> None:
    """It prints before it leaves: stdout stays one JSON document."""
    found = verdicts(quadzoo_process, stranger, "exits")
    assert len(found) == 9
    assert all("exit status 7" in line for line in found.values())


@pytest.mark.slow
def test_a_build_that_hangs(stranger: Path, quadzoo_process: Call) -> None:
    result = quadzoo_process("plugin", "check", "hangs", "--timeout", 12, path=stranger)
    assert result.status == 1
    assert "backbone hangs: 0 rules kept, 1 broken" in result.out
    assert "hangs: shapes: expected it to end, got no end within 12 seconds" in result.out


def test_a_plugin_that_cannot_be_loaded(stranger: Path, quadzoo_process: Call) -> None:
    result = quadzoo_process("plugin", "check", "broken-plug", path=stranger)
    assert result.status == 1
    assert "plugin 'broken-plug' (broken-plug 0.9) cannot be loaded: ModuleNotFoundError" in result.out


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["check", "nothing-of-the-kind"], "no distribution, plugin, backbone or head 'nothing-of-the-kind'"),
        (["check", "linear", "--timeout", "0"], "0.0 is not in the range"),
        (["check"], "say what to check: a NAME, or one --plugin FILE.py"),
    ],
)
def test_what_is_refused(flags: list[str], told: str, quadzoo: Call) -> None:
    result = quadzoo("plugin", *flags)
    assert result.status == 2
    assert told in result.error
