"""`--freeze-to` from the command line to the record."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from quadzoo.records.record import read_records

from ..conftest import Result


def test_it_is_in_key_record_and_table_and_refused_where_there_are_no_stages(
    discs: Path, quadzoo: Callable[..., Result], tmp_path: Path
) -> None:
    def call(backbone: str, *flags: object) -> Result:
        return quadzoo(
            "bench", "--data", discs / "discs.csv", "--images", discs / "photos", "--targets", "radius",
            "--id-column", "file", "--weights", "none", "--precision", 32, "--epochs", 1, "--out", tmp_path,
            "--backbones", backbone, *flags,
        )  # fmt: skip

    refused = call("tiny_cnn", "--freeze-to", "stem")
    assert refused.status == 2
    last = refused.err.splitlines()[-1]
    assert last.startswith(
        "quadzoo: error: --freeze-to stem: backbone tiny_cnn has no first stage that is known"
    )
    both = call("resnet18", "--freeze-to", "stem", "--freeze")
    assert both.status == 2
    assert "leave out one of the two" in both.error

    keys = {
        flags: json.loads(call("resnet18", *flags, "--dry-run", "--json").out)["runs"][0]["key"]
        for flags in ((), ("--freeze-to", "stem"), ("--freeze-to", "layer1"))
    }
    assert len(set(keys.values())) == 3
    done = call("resnet18", "--freeze-to", "layer1")
    assert done.status == 0, done.err
    assert "warning: --freeze-to: resnet18 is randomly initialised" in done.err
    (record,) = read_records(tmp_path)
    assert record.key == keys["--freeze-to", "layer1"]
    assert record.recipe.freeze_to == "layer1"
    assert record.flags["--freeze-to"] == "layer1"
    assert "freeze_to layer1" in (tmp_path / "leaderboard.md").read_text()
