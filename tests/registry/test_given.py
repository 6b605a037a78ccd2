"""Specs that are given as objects: how they travel, what stands for them, and which are refused."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from quadzoo import BackboneSpec, HeadSpec
from quadzoo.errors import ConfigError, DuplicateName
from quadzoo.records.keys import Provenance
from quadzoo.registry import additions
from quadzoo.registry.catalogue import load
from quadzoo.registry.given import given

SIZE = 3


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    before = additions.current()
    yield
    additions.install(before)


def build(**_: Any) -> Any:
    return SIZE


def other(**_: Any) -> Any:
    return SIZE + 1


def backbone(**fields: Any) -> BackboneSpec:
    return BackboneSpec(**{"name": "mine", "build": build, **fields})


def ingredients(spec: BackboneSpec) -> dict[str, str]:
    additions.use(specs=[given(spec)])
    return Provenance(**load().backbones[spec.name].provenance).ingredients


def test_a_spec_is_in_the_catalogue_until_the_next_call() -> None:
    additions.use(specs=[given(backbone()), given(HeadSpec(name="mine", build=build))])
    names = load()
    assert names.backbones["mine"].spec == backbone()
    assert names.heads["mine"].plugin.distribution == "python:mine"
    additions.use()
    assert "mine" not in dict(load().backbones)


def test_the_key_has_its_source_or_its_revision() -> None:
    first = ingredients(backbone())
    assert len(first["version"]) == 64
    assert ingredients(backbone(description="another", license="MIT")) == first
    for changed in ({"build": other}, {"mean": (0.5, 0.5, 0.5)}, {"network": {"a": 1}}):
        assert ingredients(backbone(**changed))["version"] != first["version"]
    assert ingredients(backbone(revision="2"))["version"] == "2"
    assert ingredients(backbone(revision="2", build=other))["version"] == "2"


IN_ANOTHER = """
import pickle, sys
one = pickle.load(sys.stdin.buffer)
print(one.name, one.spec.name, one.spec.build())
assert "tests" not in sys.modules
"""


def test_another_process_builds_it_without_its_module() -> None:
    command = [sys.executable, "-P", "-c", IN_ANOTHER]
    sent = pickle.dumps(given(backbone(build=other)))
    done = subprocess.run(command, input=sent, cwd="/", capture_output=True, check=False)
    assert done.stdout == b"mine mine 4\n", done.stderr


def test_what_cannot_be_told_from_other_code_needs_a_revision() -> None:
    made: Any = eval("lambda **_: 1")
    with pytest.raises(ConfigError, match=r"`backbones` mine: nothing tells its code .* give the spec a rev"):
        given(backbone(build=made))
    assert given(backbone(build=made, revision="1")).version == "1"


def test_what_cannot_be_sent_is_refused() -> None:
    lock = threading.Lock()
    with pytest.raises(ConfigError, match=r"`heads` mine: it cannot be sent .* cannot pickle '_thread.lock'"):
        given(HeadSpec(name="mine", build=lambda **_: lock, revision="1"))


def test_what_this_process_cannot_make_again_is_one_line() -> None:
    one = given(backbone(revision="3"))
    lost = type(one)(one.kind, one.name, one.revision, one.sha256, b"no pickle")
    additions.use(specs=[lost])
    with pytest.raises(ConfigError, match="backbone mine: this process cannot make it again: "):
        load()


def test_a_name_that_is_taken() -> None:
    additions.use(specs=[given(backbone(name="tiny_cnn"))])
    with pytest.raises(DuplicateName, match=r"plugin 'tiny' .* and the backbone 'tiny_cnn' given in Python"):
        load().backbones["tiny_cnn"]


def test_threads_do_not_see_each_others() -> None:
    additions.use(specs=[given(backbone())])
    seen: list[additions.Additions] = []
    thread = threading.Thread(target=lambda: seen.append(additions.current()))
    thread.start()
    thread.join()
    assert seen == [additions.Additions()]
    assert len(additions.current().specs) == 1
