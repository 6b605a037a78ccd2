"""Whatever readers and parsers are given, only a QuadzooError comes out: hypothesis looks for more.

The default suite tries a few examples of each, always the same; `pytest -m slow` tries 20,000 in all.
"""

from __future__ import annotations

import io
import json
import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from quadzoo import BackboneSpec, HeadSpec, QuadzooError, api
from quadzoo.cli import bench as bench_command
from quadzoo.cli import options
from quadzoo.data import numbers, texts
from quadzoo.data.decoding import Undecodable, decode
from quadzoo.data.fold import Fold
from quadzoo.data.geometry import parse_image_size
from quadzoo.data.reading import reading_of
from quadzoo.data.sources import DataRequest, open_source
from quadzoo.data.split_files import read_division
from quadzoo.data.tables import open_table
from quadzoo.grid.config import BenchConfig
from quadzoo.grid.suite import read_suite_file
from quadzoo.inference import hub
from quadzoo.inference.find import find_trained
from quadzoo.inference.images import files_of
from quadzoo.inference.view import View
from quadzoo.records.baseline import read_baseline
from quadzoo.records.predictions import read_predictions
from quadzoo.records.record import json_of, read_record_file
from quadzoo.records.seen import read as read_seen
from quadzoo.records.suite import read_suite
from quadzoo.records.trained import read_trained
from quadzoo.records.tuning import read_tuning
from quadzoo.registry.catalogue import load
from quadzoo.report.external import with_external
from quadzoo.report.files import write_report
from quadzoo.report.leaderboard import leaderboards
from quadzoo.report.results import read_runs
from quadzoo.report.text import json_text, one_line, printable
from quadzoo.report.verify import verify
from quadzoo.scaffold import write_project
from tests.corpus.bad_images import png
from tests.corpus.build import SUITES
from tests.corpus.strategies import TEXTS, changed, documents, good_images, json_bytes, tables
from tests.report.tampering import finished

EXAMPLES = 20_000  # of all readers together, where it is slow
FEW = 12  # of each reader
_N = 3  # images
_WEIGHT = {"results": 0.05, "table as data": 0.3, "checkpoint": 0.5}  # the examples of those that take long

Reader = Callable[[Any, Path], object]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, and a results folder in which all is well."""
    folder = tmp_path_factory.mktemp("fuzz")
    for i in range(_N):
        (folder / f"p{i:02d}.png").write_bytes(
            png(np.random.default_rng(i).integers(0, 255, (9, 9), np.uint8))
        )
    finished(folder / "good")
    return folder


def _file(folder: Path, name: str, content: bytes) -> Path:
    path = folder / "given" / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(content)
    return path


def _rows(content: bytes, folder: Path) -> None:
    with open_table(_file(folder, "t.csv", content)) as (_, rows):
        list(rows)


def _data(content: bytes, folder: Path) -> None:
    open_source(DataRequest(str(_file(folder, "t.csv", content)), folder))


def _division(content: bytes, folder: Path) -> None:
    ids = [f"p{i:02d}" for i in range(_N)]
    read_division(_file(folder, "s.csv", content), ids, ids, [f"{one}.png" for one in ids])


def _number(text: str, _: Path) -> None:
    column = numbers.Column("y")
    column.see(2, text, numbers.number(text))
    assert {type(one) for one in (column.mend(text), column.may_be_thousands)} == {str}


def _words(text: str, _: Path) -> None:
    assert "\n" not in texts.quoted(text)
    assert "\n" not in texts.listed([text, text])
    assert texts.nearest(text, ["a", text]) is not None
    texts.without_zeros(text)
    assert len(one_line(text, 100)) <= 100
    assert "\x1b" not in printable(text) + json_text({text: [text]})
    assert "\n" not in one_line(text, 100)


def _flags(text: str, _: Path) -> None:
    """Give a text to every parser of the command line; they tell users by click's own errors."""
    context = click.Context(bench_command)
    for parse in (options.names, options._band_numbers, options._two_numbers, *_OF_BENCH):
        with suppress(click.BadParameter):
            parse(context, bench_command.params[0], text)
    with suppress(click.BadParameter):
        options.NumberOrAuto("epochs", 0).convert(text, None, None)
    options.with_flags(text)


_OF_BENCH = [
    one.callback for one in bench_command.params if one.name in ("seeds", "train_share") and one.callback
]


def _parameters(given: dict[str, Any], _: Path) -> None:
    config = api.config_of(**given)
    assert isinstance(config.flags, dict)


def _size(text: str, _: Path) -> None:
    parse_image_size(text)


def _reading(given: tuple[Any, Any], _: Path) -> None:
    reading_of(*given)


def _suite_toml(content: bytes, folder: Path) -> None:
    read_suite_file(_file(folder, "s.toml", content), tuple(BenchConfig.model_fields))


def _pixels(content: bytes, _: Path) -> None:
    with suppress(Undecodable), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert min(decode(content).pixels.shape) > 0


def _record(content: bytes, folder: Path) -> None:
    record = read_record_file(_file(folder, "record.json", content))
    json.loads(json_of(record), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    View.of(record, "the model")


def _exported(content: bytes, folder: Path) -> None:
    read_trained(_file(folder, "exported/config.json", content).parent, "the model")


def _results(document: Any, folder: Path) -> None:
    """Make everything of a results folder whose record was changed."""
    (run,) = (folder / "good" / "runs").iterdir()
    path = run / "record.json"
    before = path.read_bytes()
    path.write_bytes(json_bytes(document))
    try:
        found = read_runs([folder / "good"])
        boards = leaderboards(found.runs, found.unreadable, found.answers)
        write_report(folder / "made", boards, found)
        verify(folder / "good")
    finally:
        path.write_bytes(before)


def _baseline(content: bytes, folder: Path) -> None:
    _file(folder, "baselines/b/baseline.json", content)
    read_baseline(folder / "given", "b")


def _tuning(content: bytes, folder: Path) -> None:
    _file(folder, "tuning/t.json", content)
    read_tuning(folder / "given", "t")


def _suite_json(content: bytes, folder: Path) -> None:
    read_suite(_file(folder, "suite.json", content).parent)


def _predictions(content: bytes, folder: Path) -> None:
    read_predictions(_file(folder, "predictions.csv", content), ["y"])


def _external(content: bytes, folder: Path) -> None:
    found = read_runs([folder / "good"])
    boards = leaderboards(found.runs, answers=found.answers)
    with_external(boards, found.runs, {"ocr": _file(folder, "e.csv", content)})


def _digests(content: bytes, folder: Path) -> None:
    from quadzoo.records.record import SEEN, sha256_of

    path = _file(folder, f"seen/{SEEN}", content)
    record = read_record_file(next((folder / "good" / "runs").iterdir()) / "record.json")
    record.files[SEEN] = sha256_of(path)
    (path.parent / "record.json").write_bytes(json_of(record))
    read_seen(path.parent)


def _labels(content: bytes, folder: Path) -> None:
    Fold.load(_file(folder, "labels.npz", content))


def _checkpoint(content: bytes, folder: Path) -> None:
    from quadzoo.model.checkpoint import read_checkpoint

    for name in ("w.pt", "w.safetensors"):
        with suppress(QuadzooError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read_checkpoint(_file(folder, name, content))


def _model(text: str, folder: Path) -> None:
    find_trained(text, folder / "good", _names())


_catalogue: list[Any] = []


def _names() -> Any:
    if not _catalogue:
        _catalogue.append(load())
    return _catalogue[0]


def _name(text: str, _: Path) -> None:
    """Ask for a backbone, and register one; a spec says by ValueError what is wrong with it."""
    names = _names().backbones
    if ":" not in text and "." not in text:  # else plugins look for it, on the network
        with suppress(QuadzooError):
            names[text]
    with suppress(QuadzooError):
        names.matching(text)
    for spec in (BackboneSpec, HeadSpec):
        with suppress(ValueError):
            spec(name=text, build=print, description=text, revision=text)


def _images(text: str, folder: Path) -> None:
    files_of([folder / "nowhere" / text, text.replace("*", "").replace("/", "")])


def _project(text: str, folder: Path) -> None:
    write_project(text, folder / "nowhere")  # what is a name ends at the folder


def _repository(text: str, _: Path) -> None:
    hub.check_push(text)


_VALUES = st.one_of(TEXTS, st.none(), st.booleans(), st.integers(), st.floats(), st.lists(st.one_of(
    TEXTS, st.integers(), st.floats()), max_size=3), st.just({}))  # fmt: skip
_TOMLS = [content for content in SUITES.values() if len(content) < 2000]


def _npz() -> bytes:
    file = io.BytesIO()
    texts_of = {"ids": ["a"], "kinds": None, "split": ["s", 0, 1, 0, "h"], "share": [1.0, None]}
    arrays: dict[str, Any] = {name: np.zeros(1, np.int64) for name in ("groups", "train", "val", "test")}
    np.savez(file, texts=np.frombuffer(json.dumps(texts_of).encode(), np.uint8), targets=np.zeros((1, 1)),
             digests=np.zeros((1, 32), np.uint8), **arrays)  # fmt: skip
    return file.getvalue()


def _weights() -> list[bytes]:
    import torch
    from safetensors.torch import save

    file = io.BytesIO()
    torch.save({"state_dict": {"a.weight": torch.zeros(2, 2)}}, file)
    return [file.getvalue(), save({"a.weight": torch.zeros(2, 2)})]


def _seen_table() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros((3, 17), np.uint8))
    return file.getvalue()


def readers(folder: Path) -> dict[str, tuple[SearchStrategy[Any], Reader]]:
    """Return every reader and parser, with what it is given."""
    (run,) = (folder / "good" / "runs").iterdir()
    record = json.loads((run / "record.json").read_text())
    (of_baseline,) = folder.glob("good/baselines/*/baseline.json")
    baseline = json.loads(of_baseline.read_text())
    trials = {"key": "t", "backbone": "b", "head": "h", "fold": 0, "precision": "32", "seed": 0, "epochs": 1,
              "trials": [{"lr": 0.1, "val_mse": 0.5}, {"lr": 0.2, "error": "x"}]}  # fmt: skip
    suite = {"sets": {"one": {"data_hash": "a", "split_hash": "b", "seeds": 1}}}
    fields = st.sampled_from([*BenchConfig.model_fields, "epochs", "lr", "tune"])
    parameters = st.dictionaries(st.one_of(fields, TEXTS), _VALUES, max_size=3)
    texts_of_files = TEXTS.map(lambda text: text.encode("utf-8", "replace"))
    csv = (run / "predictions.csv").read_bytes()
    return {
        "table": (tables(), _rows),
        "table as data": (tables(), _data),
        "split file": (tables("id,split"), _division),
        "number": (TEXTS, _number),
        "text": (TEXTS, _words),
        "flag": (TEXTS, _flags),
        "parameters": (parameters, _parameters),
        "image size": (TEXTS, _size),
        "bands and range": (st.tuples(st.none() | st.lists(st.integers(), max_size=18), st.none() | st.lists(
            st.floats(), max_size=3)), _reading),
        "suite file": (st.one_of(changed(_TOMLS), texts_of_files), _suite_toml),
        "image": (st.one_of(changed(good_images()), st.binary(max_size=60)), _pixels),
        "record": (st.one_of(documents(record).map(json_bytes), changed([json_bytes(record)])), _record),
        "exported folder": (documents(record).map(json_bytes), _exported),
        "results": (documents(record), _results),
        "baseline": (documents(baseline).map(json_bytes), _baseline),
        "trials": (documents(trials).map(json_bytes), _tuning),
        "suite's folder": (documents(suite).map(json_bytes), _suite_json),
        "predictions": (st.one_of(changed([csv]), tables("id,split,y,y_pred")), _predictions),
        "outside predictor": (tables(), _external),
        "seen images": (changed([_seen_table()]), _digests),
        "labels": (changed([_npz()]), _labels),
        "checkpoint": (changed(_weights()), _checkpoint),
        "model": (TEXTS, _model),
        "backbone": (TEXTS, _name),
        "images to predict": (TEXTS, _images),
        "plugin project": (TEXTS, _project),
        "repository": (TEXTS, _repository),
    }  # fmt: skip


NAMES = [
    "table", "table as data", "split file", "number", "text", "flag", "parameters", "image size",
    "bands and range", "suite file", "image", "record", "exported folder", "results", "baseline", "trials",
    "suite's folder", "predictions", "outside predictor", "seen images", "labels", "checkpoint", "model",
    "backbone", "images to predict", "plugin project", "repository",
]  # fmt: skip


def fuzz(name: str, folder: Path, n: int, **how: Any) -> None:
    """Give a reader n examples; anything that it raises but a QuadzooError fails the test."""
    strategy, reader = readers(folder)[name]

    @settings(max_examples=n, deadline=None, database=None, suppress_health_check=list(HealthCheck), **how)
    @given(strategy)
    def only_our_errors(example: Any) -> None:
        with suppress(QuadzooError):
            reader(example, folder)

    only_our_errors()


def test_every_reader_is_tried(folder: Path) -> None:
    assert [*readers(folder)] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_only_our_errors_come_out(name: str, folder: Path) -> None:
    fuzz(name, folder, max(3, int(FEW * _WEIGHT.get(name, 1))), derandomize=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_only_our_errors_come_out_of_20_000_examples(name: str, folder: Path) -> None:
    """The same ones each time, or with QUADZOO_FUZZ=1 others each time: what these find is no regression."""
    share = _WEIGHT.get(name, 1) / sum(_WEIGHT.get(one, 1) for one in NAMES)
    fuzz(name, folder, round(EXAMPLES * share), derandomize=not os.environ.get("QUADZOO_FUZZ"))
