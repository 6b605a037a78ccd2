"""Give the committed records the keys of the rule in quadzoo/records/keys.py, once.

    python benchmarks/migrate_keys.py

Until then every field that was added to the recipe changed all keys, and pretrained weights were named, not
hashed. Run folders are renamed, record.json is written in today's schema; scores, predictions and files stay
as they are. Needs the plugin quadzoo-efficientnet-lite, whose weights the pretrained records were made with:
its wheel has had one version. The result is committed; run again, it changes nothing.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from quadzoo.model.weights import LoadedWeights, watched_loading
from quadzoo.records.record import RECORD, SCHEMA, RunRecord, read_record_file, write_record
from quadzoo.registry import catalogue

HERE = Path(__file__).parent
READER = HERE.parent / "plugins" / "quadzoo-reader" / "src" / "quadzoo_reader" / "reader-equations" / RECORD
REVISION = "0.1.0"  # of the code of every backbone and head that made these records


def main() -> None:
    reader = migrated(read_record_file(READER))
    old_key = read_record_file(READER).key
    READER.write_text(text_of(reader), encoding="utf-8")
    for path in sorted((HERE / "results").rglob(RECORD)):
        record = read_record_file(path)
        if record.initial and record.initial.key == old_key:
            record.initial.key = reader.key
        new = migrated(record)
        out = path.parents[2]
        folder = path.parent.rename(out / "runs" / new.key)
        write_record(out, new)
        print(f"{record.key} -> {folder.name} {new.backbone} {new.head} {new.seed}")


def migrated(record: RunRecord) -> RunRecord:
    """Return the record with what the key now goes by, and with that key."""
    code = record.provenance.model_copy(
        update={
            kind: getattr(record.provenance, kind).model_copy(update={"revision": REVISION})
            for kind in ("backbone", "head")
        }
    )
    record = record.model_copy(update={"record_schema": SCHEMA, "provenance": code})
    if record.weights == "pretrained":
        record.loaded = loaded(record.backbone, record.image.channels, record.image.size)
    record.key = record.identity.key
    return record


@cache
def loaded(backbone: str, in_channels: int, image_size: tuple[int, int]) -> LoadedWeights:
    """Return what a backbone's pretrained weights are."""
    spec = catalogue.load().backbones[backbone].spec
    with watched_loading() as loading:
        return loading.of(spec.build(pretrained=True, in_channels=in_channels, image_size=image_size))


def text_of(record: RunRecord) -> str:
    """Return a record as record.json has it."""
    fields = record.model_dump(mode="json", by_alias=True)
    return json.dumps(fields, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


if __name__ == "__main__":
    main()
