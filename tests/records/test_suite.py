from __future__ import annotations

import pytest
from pydantic import ValidationError

from quadzoo.records.suite import SetRequest, Suite, is_set_name


@pytest.mark.parametrize("name", ["digits", "blur-2", "a.b", "größe", "7", "_"])
def test_plain_names(name: str) -> None:
    assert is_set_name(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../a", "a/b", ".hidden", "a b", "a\n", "x" * 61, "runs", "baselines", "suite.json",
     "leaderboard-suite.csv"],
)  # fmt: skip
def test_no_names(name: str) -> None:
    assert not is_set_name(name)
    with pytest.raises(ValidationError):
        Suite(sets={name: SetRequest(data_hash="d", split_hash="s", seeds=1)})
