"""Spoil what a run has left: its record field by field, its other files, the folders around them.

`given` in `cases.csv` says how: `record.json: metrics.val_mse = NaN; seed = -1` changes the JSON, `forged: …`
also gives the record the key of its new content and the hashes of its files, as somebody would who means
harm, and any other text is a name in `SPOILS`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from quadzoo.records.record import RunRecord
from tests.corpus.bad_images import images
from tests.corpus.build import HUGE

RECORD, FORGED, DELETE = "record.json: ", "forged: ", "delete"


def spoil(out: Path, given: str) -> str:
    """Spoil the one run of a results folder; return the name of its folder, the key."""
    (run,) = (out / "runs").iterdir()
    if given in SPOILS:
        SPOILS[given](run)
    elif given.startswith(RECORD):
        _change(run, given.removeprefix(RECORD))
    elif given.startswith(FORGED):
        name = given.removeprefix(FORGED)
        SPOILS[name](run) if name in SPOILS else _change(run, name)
        run = _forge(run)
    else:
        assert not given, given
    return run.name


def _change(run: Path, given: str) -> None:
    path = run / "record.json"
    record = json.loads(path.read_text())
    for change in given.split("; "):
        place, value = change.split(" = ", 1)
        *parents, last = place.split(".")
        inner: Any = record
        for name in parents:
            inner = inner[int(name) if isinstance(inner, list) else name]
        if value == DELETE:
            del inner[last]
        elif isinstance(inner, list):
            inner[int(last)] = json.loads(value)
        else:
            inner[last] = HUGE if value == "HUGE" else json.loads(value)
    path.write_text(json.dumps(record))


def _forge(run: Path) -> Path:
    path = run / "record.json"
    record = json.loads(path.read_text())
    for name in record["files"]:
        if (run / name).is_file():
            record["files"][name] = hashlib.sha256((run / name).read_bytes()).hexdigest()
    try:
        record["key"] = RunRecord.model_validate(record).identity.key
    except ValidationError:  # whoever forges it cannot make it valid either
        record["key"] = run.name
    path.write_text(json.dumps(record))
    return run.rename(run.with_name(record["key"]))


def _text(name: str, text: str | bytes) -> Callable[[Path], None]:
    content = text if isinstance(text, bytes) else text.encode()
    return lambda run: (run / name).write_bytes(content) and None


def _swap(name: str, old: str, new: str) -> Callable[[Path], None]:
    def swap(run: Path) -> None:
        text = (run / name).read_text()
        assert old in text
        (run / name).write_text(text.replace(old, new, 1))

    return swap


def _cut(name: str) -> Callable[[Path], None]:
    return lambda run: os.truncate(run / name, (run / name).stat().st_size // 2)


def _in_place_of(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    def replace(run: Path) -> None:
        path = run / name
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        make(path)

    return replace


def _link(to: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(to)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def _row(columns: dict[str, str]) -> Callable[[Path], None]:
    """Return what changes cells of the first test image in predictions.csv."""

    def change(run: Path) -> None:
        header, *rows = (run / "predictions.csv").read_text().splitlines()
        at = next(i for i, row in enumerate(rows) if row.split(",")[1] == "test")
        cells = dict(zip(header.split(","), rows[at].split(","), strict=True)) | columns
        rows[at] = ",".join(cells.values())
        (run / "predictions.csv").write_text("\n".join([header, *rows]) + "\n")

    return change


def _more_columns(*names: str) -> Callable[[Path], None]:
    """Return what adds columns of text to predictions.csv."""

    def change(run: Path) -> None:
        header, *rows = (run / "predictions.csv").read_text().splitlines()
        lines = [",".join([header, *names]), *(",".join([row, *["x"] * len(names)]) for row in rows)]
        (run / "predictions.csv").write_text("\n".join(lines) + "\n")

    return change


def _of_another_target(run: Path) -> None:
    for folder in (run.parents[1] / "baselines").iterdir():
        path = folder / "predictions.csv"
        path.write_text(path.read_text().replace("y,y_pred", "z,z_pred", 1))
        record = json.loads((folder / "baseline.json").read_text())
        record["targets"], record["metrics"]["test_rmse"], record["metrics"]["test_r2"] = ["z"], None, None
        record["files"]["predictions.csv"] = hashlib.sha256(path.read_bytes()).hexdigest()
        (folder / "baseline.json").write_text(json.dumps(record))


def _renamed(run: Path, name: str) -> None:
    run.rename(run.with_name(name))
    run.mkdir()  # what the caller looks for
    shutil.copytree(run.with_name(name), run, dirs_exist_ok=True)


SPOILS: dict[str, Callable[[Path], None]] = {
    "record is empty": _text("record.json", ""),
    "record is text": _text("record.json", "no JSON"),
    "record is binary": _text("record.json", bytes(range(256))),
    "record is cut": _cut("record.json"),
    "record is a list": _text("record.json", "[]"),
    "record is null": _text("record.json", "null"),
    "record is {}": _text("record.json", "{}"),
    "record is deep": _text("record.json", "[" * 100_000 + "]" * 100_000),
    "record is a folder": _in_place_of("record.json", Path.mkdir),
    "record is a pipe": _in_place_of("record.json", os.mkfifo),
    "record is /dev/zero": _in_place_of("record.json", _link("/dev/zero")),
    "record is a loop": _in_place_of("record.json", _link("record.json")),
    "record leads nowhere": _in_place_of("record.json", _link("nowhere")),
    "record is 1 TiB": _in_place_of("record.json", _sparse),
    "record is /etc/passwd": _in_place_of("record.json", _link("/etc/passwd")),
    "record has a number of 5000 digits": _swap("record.json", '"seed": 0', f'"seed": {"9" * 5000}'),
    "record twice": lambda run: _renamed(run, "0" * 16),
    "key of escapes": lambda run: _renamed(run, "\x1b[31mred"),
    "key of bytes": lambda run: _renamed(run, "key\udcff"),
    "key of lines": lambda run: _renamed(run, "one\ntwo"),
    "predictions are gone": _in_place_of("predictions.csv", lambda _: None),
    "predictions are empty": _text("predictions.csv", ""),
    "predictions are binary": _text("predictions.csv", bytes(range(256))),
    "predictions are cut": _cut("predictions.csv"),
    "predictions are a folder": _in_place_of("predictions.csv", Path.mkdir),
    "predictions are a pipe": _in_place_of("predictions.csv", os.mkfifo),
    "predictions are /dev/zero": _in_place_of("predictions.csv", _link("/dev/zero")),
    "predictions are 1 TiB": _in_place_of("predictions.csv", _sparse),
    "predictions are NaN": _row({"y_pred": "nan"}),
    "predictions are infinite": _row({"y_pred": "inf"}),
    "predictions are huge": _row({"y_pred": "1e300"}),
    "predictions are text": _row({"y_pred": "four"}),
    "predictions are better": _row({"y_pred": "0"}),
    "truth is gone": _row({"y": ""}),
    "truth is huge": _row({"y": "1e300"}),
    "side is another": _row({"split": "train"}),
    "id is another's": _row({"id": "p\x1b[31m"}),
    "column is gone": _swap("predictions.csv", "y_pred", "z_pred"),
    "column of ours": _more_columns("error"),
    "columns in thousands": _more_columns(*(f"c{index}" for index in range(5000))),
    "column twice": _swap("predictions.csv", "image_group", "y_pred"),
    "weights are gone": _in_place_of("model.safetensors", lambda _: None),
    "weights are empty": _text("model.safetensors", b""),
    "weights are text": _text("model.safetensors", b"no weights at all"),
    "weights are cut": _cut("model.safetensors"),
    "weights are a pickle": _text("model.safetensors", b"cos\nsystem\n(S'touch pwned'\ntR."),
    "weights say that they are long": _text("model.safetensors", b"\xff" * 7 + b"\x7f{}"),
    "weights hold nothing": _text("model.safetensors", b"\x02\0\0\0\0\0\0\0{}"),
    "weights are a folder": _in_place_of("model.safetensors", Path.mkdir),
    "weights are a pipe": _in_place_of("model.safetensors", os.mkfifo),
    "weights are /dev/zero": _in_place_of("model.safetensors", _link("/dev/zero")),
    "seen is gone": _in_place_of("seen_images.npy", lambda _: None),
    "seen is text": _text("seen_images.npy", b"no numpy"),
    "seen is huge": _text("seen_images.npy", images()["huge.npy"]),
    "seen is a pickle": _text("seen_images.npy", images()["pickle.npy"]),
    "seen is other": _text("seen_images.npy", images()["nan.npy"]),
    "seen is a pipe": _in_place_of("seen_images.npy", os.mkfifo),
    "worst is text": _text("worst.webp", b"no image"),
    "worst is huge": _text("worst.webp", images()["huge.webp"]),
    "worst is a pipe": _in_place_of("worst.webp", os.mkfifo),
    "worst is /dev/zero": _in_place_of("worst.webp", _link("/dev/zero")),
    "worst is 1 TiB": _in_place_of("worst.webp", _sparse),
    "worst is a secret": _in_place_of("worst.webp", _link("../../../secret.webp")),
    "worst is another's": _in_place_of("worst.webp", _link("../../../photos/p00.png")),
    "table is a pipe": _in_place_of("../../leaderboard.csv", os.mkfifo),
    "table is /dev/zero": _in_place_of("../../leaderboard.csv", _link("/dev/zero")),
    "table is binary": _text("../../leaderboard.csv", bytes(range(256))),
    "table is empty": _text("../../leaderboard.csv", b""),
    "table is 1 TiB": _in_place_of("../../leaderboard.csv", _sparse),
    "table is a folder": _in_place_of("../../leaderboard.csv", Path.mkdir),
    "table is edited": _swap("../../leaderboard.csv", "\n1,tiny_cnn", "\n1,resnet50"),
    "page is a folder": _in_place_of("../../leaderboard.html", Path.mkdir),
    "page is no page": _text("../../leaderboard.html", "<![x["),
    "page takes hours": _text("../../leaderboard.html", '<a x="' * 200_000 + "<!--" * 200_000),
    "page has a row without a name": _text("../../leaderboard.html", '<tr><th scope="row" data-value="1">'),
    "JSON is deep": _text("../../leaderboard.json", "[" * 100_000),
    "JSON has lists for names": _text("../../leaderboard.json", json.dumps(
        {"data": {"hash": []}, "split": {"hash": {}}, "targets": [1], "more": []})),
    "JSON has rows that are none": _swap("../../leaderboard.json", '"rows": [', '"rows": 3, "were": ['),
    "JSON has a long number": _swap("../../leaderboard.json", '"seeds": 1', f'"seeds": 1{"0" * 400}'),
    "baseline is a pipe": lambda run: _baseline(run, os.mkfifo),
    "baseline is /dev/zero": lambda run: _baseline(run, _link("/dev/zero")),
    "baseline is text": lambda run: _baseline(run, lambda path: path.write_text("no JSON")),
    "baseline is a folder": lambda run: _baseline(run, Path.mkdir),
    "baseline of another target": _of_another_target,
    "baseline is NaN": lambda run: _of_baseline(run, '"seconds"', '"seconds": NaN, "x"'),
    "suite": lambda run: _suite(run, lambda path: path.write_text("{}")),
    "suite is a pipe": lambda run: _suite(run, os.mkfifo),
    "suite is a folder": lambda run: _suite(run, Path.mkdir),
    "suite is empty": lambda run: _suite(run, lambda path: path.write_text('{"sets": {}}')),
    "suite is text": lambda run: _suite(run, lambda path: path.write_text("no JSON")),
    "suite leads out": lambda run: _suite(run, lambda path: path.write_text(
        '{"sets": {"../../spoiled": {"data_hash": "a", "split_hash": "b", "seeds": 1}}}')),
    "runs is a file": lambda run: _in_place_of("runs", lambda path: path.write_text(""))(run.parents[1]),
    "precision is a pipe": _in_place_of("../../precision.json", os.mkfifo),
    "precision is text": _text("../../precision.json", b"no JSON"),
}  # fmt: skip


def _baseline(run: Path, make: Callable[[Path], object]) -> None:
    for folder in (run.parents[1] / "baselines").iterdir():
        _in_place_of("baseline.json", make)(folder)


def _of_baseline(run: Path, old: str, new: str) -> None:
    for folder in (run.parents[1] / "baselines").iterdir():
        _swap("baseline.json", old, new)(folder)


def _suite(run: Path, make: Callable[[Path], object]) -> None:
    make(run.parents[1] / "suite.json")
