"""The search for garbage goes on after a block without it."""

from __future__ import annotations

import gc

import pytest

from quadzoo.garbage import uncollected


def test_the_search_goes_on_behind_a_block_even_one_that_fails() -> None:
    @uncollected()
    def fail() -> None:
        assert not gc.isenabled()
        raise ValueError("within")

    with pytest.raises(ValueError, match="within"):
        fail()
    assert gc.isenabled()


def test_a_search_that_is_off_stays_off() -> None:
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
