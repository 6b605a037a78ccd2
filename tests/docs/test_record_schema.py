"""docs/record.schema.json is what the code reads and writes."""

from __future__ import annotations

import json
from pathlib import Path

from quadzoo.records.record import RunRecord

PAGE = Path(__file__).parents[2] / "docs" / "record.schema.json"


def test_schema_is_the_code_s() -> None:
    assert json.loads(PAGE.read_text()) == RunRecord.model_json_schema(by_alias=True), (
        "docs/record.schema.json is out of date; CONTRIBUTING.md says how to write it anew"
    )
