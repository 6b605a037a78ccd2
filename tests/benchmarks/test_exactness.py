from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
PAGE = (BENCHMARKS / "EXACTNESS.md").read_text(encoding="utf-8")


def table() -> list[str]:
    """The lines of the page's first table."""
    lines = PAGE.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|"))
    return lines[first : lines.index("", first)]


def test_the_page_is_what_its_records_give() -> None:
    from exactness import page

    assert page(BENCHMARKS / "results") == PAGE


def test_its_records_are_sound() -> None:
    from quadzoo.report.verify import verify

    for kind in (BENCHMARKS / "results" / "exactness").iterdir():
        assert verify(kind, weights=False).faults == []


def test_the_page_of_equations_shows_the_table() -> None:
    assert "\n".join(table()) in (ROOT / "docs" / "equations.md").read_text(encoding="utf-8")


def test_all_rows_are_of_one_data_set_and_one_split() -> None:
    """But for the fonts, and the folds that test every image once."""
    from exactness import LONGER

    from quadzoo.records.record import read_records

    ocr, newer, loop = (json.loads((BENCHMARKS / "results" / name).read_text())
                        for name in ("ocr.json", "newer-ocr.json", "tutorial_loop.json"))  # fmt: skip
    records = {kind: read_records(BENCHMARKS / "results" / "exactness" / kind)
               for kind in ("published", "fine-tuned", *LONGER)}  # fmt: skip
    hashes = {record.data.hash for kind in records.values() for record in kind}
    assert hashes == {ocr["data"]["hash"]} == {newer["data"]["hash"]} == {loop["data"]["hash"]}
    splits = {record.split.hash for kind in ("fine-tuned", *LONGER) for record in records[kind]}
    assert splits == {ocr["split"]["hash"]} == {newer["split"]["hash"]} == {loop["split"]["hash"]}
    assert not any(record.split.leaky for kind in records.values() for record in kind)
    assert sum(record.split.n_test for record in records["published"]) == 2000
    assert {record.initial.sha256 for record in records["published"] if record.initial} == {
        record.initial.sha256 for record in records["fine-tuned"] if record.initial
    }


def test_the_shipped_model_is_the_one_in_the_table() -> None:
    from quadzoo.records.record import read_record_file, read_records

    shipped = read_record_file(
        ROOT / "plugins/quadzoo-reader/src/quadzoo_reader/reader-equations/record.json"
    )
    for record in read_records(BENCHMARKS / "results" / "exactness" / "published"):
        assert record.initial
        # Its key is another since its record says what is shown of an image; its weights are the same.
        assert record.initial.sha256 == shipped.files["model.safetensors"]
