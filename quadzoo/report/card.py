"""The card of an exported model: what it reads and how well, for people and, in its head, for the hub."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from quadzoo.data.texts import plural
from quadzoo.errors import DataError
from quadzoo.inference.calibration import Calibration
from quadzoo.inference.exported import ONNX, Checked, License
from quadzoo.records.record import PREDICTIONS, SEEN, WEIGHTS, RunRecord
from quadzoo.report.baselines import in_words
from quadzoo.report.intervals import LEVEL, intervals_of, outcome_of
from quadzoo.report.leaderboard import leaderboards
from quadzoo.report.markdown import escaped, line
from quadzoo.report.results import read_runs
from quadzoo.report.rows import Leaderboard, PredictionIntervals, Row
from quadzoo.report.text import percent, readable, share_text, short

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

_HUB = "hf-hub:"
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Standing:
    """Where a run stands in its results folder: its row and leaderboard, and what its own intervals did."""

    board: Leaderboard
    row: Row
    intervals: PredictionIntervals | None


def standing_of(folder: Path, record: RunRecord) -> Standing | None:
    """Return where the run in a folder OUT/runs/<key> stands; None for another folder, or without a row."""
    if folder.parent.name != "runs":
        return None
    try:
        results = read_runs([folder.parent.parent])
    except DataError:
        return None
    run = next((run for run in results.runs if run.record.key == record.key), None)
    if run is None:
        return None
    for board in leaderboards(results.runs, results.unreadable, results.answers):
        if (board.data.hash, board.split.whole, board.targets) != (
            record.data.hash, record.split.whole, record.targets,
        ):  # fmt: skip
            continue
        rows = [row for row in board.every_row if row.combination == record.combination]
        exact = [row for row in rows if record.key in row.details.runs] or rows
        if exact:
            return Standing(board, exact[0], intervals_of([outcome_of([run], LEVEL)], [run]))
    return None


def card_of(run: Path, record: RunRecord, *, name: str, license: License, checked: Checked | None) -> str:
    """Return the card of a run that finished, Markdown with a head in YAML, as the Hugging Face hub reads it.

    ``run`` is the folder that the run left: its results folder, where it is in one, says how it stands among
    others. ``name`` is that of the exported folder; ``record`` is the one in it, and its ``files`` are there.
    """
    standing = standing_of(run, record)
    parts = [
        f"# {escaped(name)}",
        _summary(record),
        "## Use",
        _use(record, name, checked),
        "## How well it reads",
        *_scores(record, standing),
        "## How sure a prediction is",
        *_intervals(run, record, standing),
        "## What it was trained on",
        *_data(record),
        "## Limits",
        *_limits(record),
        "## Licence",
        *_license(record, license),
        *_files(record, checked),
    ]
    head = _head(record, name, license)
    return f"---\n{head}\n---\n\n" + "\n\n".join(parts) + "\n"


def _head(record: RunRecord, name: str, license: License) -> str:
    """Return the metadata: model-index with the scores on test, in the format of the hub."""
    from huggingface_hub import ModelCardData

    base = license.source.removeprefix(_HUB)
    known = license.source.startswith(_HUB) and _REPOSITORY.fullmatch(base)
    data = ModelCardData(
        model_name=name,
        library_name="quadzoo",
        tags=["image-regression", "quadzoo"],
        metrics=["mse", "rmse", "r_squared"],
        base_model=base if known else None,
        eval_results=list(_results(record)),
    )
    return str(data.to_yaml(line_break="\n")).strip()


def _results(record: RunRecord) -> Iterator[EvalResult]:
    from huggingface_hub import EvalResult

    metrics = record.metrics
    slug = re.sub(r"[^a-z0-9]+", "-", record.data.name.lower()).strip("-") or "images"
    values: list[tuple[str, str, float | None]] = [("mse", "MSE of the scaled targets", metrics.test_mse)]
    for target in record.targets:
        rmse = (metrics.test_rmse or {}).get(target)
        values += [
            ("mse", f"MSE of {target}", None if rmse is None else rmse**2),
            ("rmse", f"RMSE of {target}", rmse),
            ("r_squared", f"R² of {target}", (metrics.test_r2 or {}).get(target)),
        ]
    for kind, text, value in values:
        if value is not None:
            yield EvalResult(
                task_type="image-regression",
                task_name="Image regression",
                dataset_type=slug,
                dataset_name=record.data.name,
                dataset_split="test",
                dataset_revision=record.data.hash,
                metric_type=kind,
                metric_name=text,
                metric_value=value,
            )


def _summary(record: RunRecord) -> str:
    targets = ", ".join(record.targets)
    height, width = record.image.size
    return escaped(
        f"This model reads {targets} off an image. It is {record.backbone} with the head {record.head}, seed "
        f"{record.seed}, trained with quadzoo {record.environment.quadzoo}; it sees images of {height} × "
        f"{width} pixels with {record.image.channels} channel{'s' * (record.image.channels > 1)}. Its run "
        f"has the key {record.key}."
    )


def _use(record: RunRecord, name: str, checked: Checked | None) -> str:
    name = name if name.isprintable() and "`" not in name else "this-folder"
    interval = ", interval=0.9" if PREDICTIONS in record.files else ""
    code = [
        "```python",
        "import quadzoo",
        f"model = quadzoo.load({json.dumps(name, ensure_ascii=False)}{_given(record)})  # this folder",
        f'print(model.predict(["image.jpg"]{interval}))',
        "```",
        "",
        f"On the command line: `quadzoo predict {shlex.quote(name)} image.jpg{_flags(record)}`. Images are "
        f"prepared as in training; predictions are in original units. {_needed(record)}",
    ]
    if checked:
        code += [
            "",
            f"`{ONNX}` needs neither quadzoo nor torch. {escaped(checked.input)}",
            "",
            "```python",
            "import onnxruntime",
            f'session = onnxruntime.InferenceSession("{ONNX}")',
            'predictions, = session.run(None, {"images": images})  # (B, targets), in original units',
            "```",
            "",
            escaped(_compared(checked)),
        ]
    return "\n".join(code)


def _distributions(record: RunRecord) -> tuple[list[str], list[str]]:
    """Return where the code of backbone and head is from: distributions, and plugins that are files."""
    code = record.provenance
    found = dict.fromkeys(one.distribution for one in (code.backbone, code.head))
    files = [one.removeprefix("./") for one in found if one.startswith("./")]
    return [one for one in found if not one.startswith("./")], files


def _given(record: RunRecord) -> str:
    """Return the further arguments that loading takes."""
    _, files = _distributions(record)
    return f", plugin={json.dumps(files, ensure_ascii=False)}" if files else ""


def _needed(record: RunRecord) -> str:
    """Say what is to be installed first."""
    found, files = _distributions(record)
    packages = ["quadzoo", *(one for one in found if one != "quadzoo")]
    text = f"First `pip install {' '.join(map(_plain, packages))}`."
    return text + "".join(f" It also needs the plugin {_plain(file)}." for file in files)


def _flags(record: RunRecord) -> str:
    """Return the further flags that `quadzoo predict` takes."""
    _, files = _distributions(record)
    return "".join(f" --plugin {_plain(file)}" for file in files)


def _plain(name: str) -> str:
    """Return a folder's name as it can stand in code."""
    return re.sub(r"[^\w./-]", "_", name)


def _scores(record: RunRecord, standing: Standing | None) -> Iterator[str]:
    metrics = record.metrics
    rmse, r2 = metrics.test_rmse or {}, metrics.test_r2 or {}
    yield (f"On the {record.split.n_test:,} test images, used for no choice, in the unit of each target:")
    rows = [["target", "RMSE", "R²", "range"]]
    for target, low, high in zip(record.targets, record.target_low, record.target_high, strict=True):
        of_target = r2.get(target)
        rows.append([
            target, short(rmse.get(target)), "" if of_target is None else share_text(of_target, 3),
            f"{readable(low)} to {readable(high)}",
        ])  # fmt: skip
    yield _table(rows)
    yield (
        "The MSE of all targets together is of targets scaled from that range to 0 to 1. What answers "
        "without a network is beside it: a model that does not beat that is not worth its cost."
    )
    rows = [["", "val MSE", "test MSE"], ["this model", short(metrics.val_mse), short(metrics.test_mse)]]
    rows += [
        [in_words(one), short(of_baseline.val_mse), short(of_baseline.test_mse)]
        for one, of_baseline in record.baselines.items()
    ]
    yield _table(rows)
    best = _best_baseline(record)
    if best and (metrics.val_mse or 0.0) >= best[1]:
        yield f"**It does not beat {escaped(in_words(best[0]))} on the validation images.**"
    if standing is None:
        return
    row = standing.row
    rank = (
        f"rank {row.rank} of {sum(one.rank is not None for one in standing.board.rows)}" if row.rank else ""
    )
    spread = (
        f"{short(row.test_mse)} ({short(row.test_mse_low)} to {short(row.test_mse_high)})"
        if row.test_mse_low is not None
        else short(row.test_mse)
    )
    facts = [
        f"seeds {row.seeds}", rank, f"mean val MSE {short(row.val_mse)}", f"mean test MSE {spread}",
        f"verdict: {row.verdict}" if row.verdict else "",
    ]  # fmt: skip
    yield escaped(
        f"In the leaderboard that it is from, the row {row.name}: {', '.join(filter(None, facts))}."
    )


def _best_baseline(record: RunRecord) -> tuple[str, float] | None:
    known = [(name, one.val_mse) for name, one in record.baselines.items() if one.val_mse is not None]
    return min(known, key=lambda item: item[1], default=None)


def _intervals(run: Path, record: RunRecord, standing: Standing | None) -> Iterator[str]:
    if PREDICTIONS not in record.files:
        yield "There are no intervals: the predictions for val, which they are calibrated on, are missing."
        return
    yield (
        f"`interval=0.9` gives an interval that contains the target of 90 % of new images, calibrated on the "
        f"{record.split.n_val:,} val images by split conformal prediction. This holds for images like those "
        "of the data set, taken together: nothing is promised for other images, nor for each kind by itself."
    )
    with suppress(DataError):
        for doubt in Calibration.of_run(run).doubts(LEVEL):
            yield f"{doubt[0].upper()}{doubt[1:]}."
    did = standing.intervals if standing else None
    if did is None:
        return
    rows = [["target", "test images in the 90 % interval", "mean width"]]
    rows += [[one, percent(did.coverage[one]), short(did.width[one])] for one in record.targets]
    yield _table(rows)
    if did.joint_coverage is not None:
        yield f"All targets at once were in their joint intervals in {percent(did.joint_coverage)}."


def _data(record: RunRecord) -> Iterator[str]:
    data, split = record.data, record.split
    facts = [
        f"{data.name}: {data.n:,} images, of which {data.duplicates:,} repeat an earlier one pixel for pixel"
        + (f"; {data.damaged:,} further ones could not be read and were left out" if data.damaged else ""),
        f"split {split.name}, fold {split.fold + 1} of {split.folds}: {split.n_train:,} train, "
        f"{split.n_val:,} val and {split.n_test:,} test images"
        + (f", trained on a share of {split.train_share:g}" if split.train_share < 1 else ""),
        f"{split.leaked:,} test images {split.also_in_training}"
        + (": the scores flatter the model" if split.leaky or split.leaked else ""),
    ]
    if split.known:
        known = ", ".join(f"{name} {n:,}" for name, n in split.known.train.items())
        facts.append(f"some targets are missing; known in train: {known}")
    if record.originals:
        bands = " or ".join(map(str, record.originals.bands))
        bands += " band" if bands == "1" else " bands"
        facts.append(f"images of {record.originals.size_text} pixels (height x width) with {bands}")
    if record.initial:
        overlap = record.initial.overlap
        told = "it is unknown how many" if overlap is None else f"{overlap:,}"
        facts.append(
            f"it started from the model {record.initial.key}, which has seen {told} of the test images"
        )
    facts.append(
        f"{record.epochs} epochs with batches of {record.recipe.batch_size}, precision {record.precision}"
    )
    yield "\n".join(f"- {escaped(one)}" for one in facts)


def _limits(record: RunRecord) -> Iterator[str]:
    image = record.image
    facts = [
        "it answers any image, also one that shows something else; images unlike those of the data set in "
        "size, bands or values are warned of, others are not",
        "of targets beyond the ranges above nothing is known",
    ]
    if image.crop:
        facts.append("a border that all images of the data set share is cut off; other sizes are shown whole")
    if image.bands:
        facts.append(f"of the bands of an image it reads {', '.join(map(str, image.bands))}")
    if image.value_range:
        facts.append(f"values from {image.value_range[0]:g} to {image.value_range[1]:g}; others are clipped")
    yield "\n".join(f"- {escaped(one)}" for one in facts)


def _license(record: RunRecord, license: License) -> Iterator[str]:
    if record.initial:
        yield escaped(
            f"Training started from the trained model {record.initial.key}: its licence counts, too."
        )
    elif record.weights == "none":
        yield "No pretrained weights were used."
    else:
        source = license.source or "a source that the record does not name"
        terms = license.name or "not known to quadzoo: look it up at the source"
        yield escaped(f"Training started from pretrained weights of {source}. Their licence: {terms}.")
    code = record.provenance.backbone
    yield escaped(f"The network's code is that of {code.distribution} {code.version}.")
    yield "This card states no licence for the trained model itself: that is for its owner to choose."


def _files(record: RunRecord, checked: Checked | None) -> Iterator[str]:
    known: Mapping[str, str] = {
        WEIGHTS: "the weights",
        PREDICTIONS: "truth and prediction for the val images, which have numbers for names: for intervals",
        SEEN: "digests of the pixels it was trained and selected on, to find them among new test images",
    }
    yield "## Files"
    rows = ["- `config.json`: the record of the run, without ids of images"]
    rows += [f"- `{name}`: {known[name]}" for name in known if name in record.files]
    if checked:
        rows.append(f"- `{ONNX}`: the network with all that is done to an image before and after it")
    yield "\n".join(rows)


def _table(rows: Sequence[Sequence[str]]) -> str:
    header, *others = rows
    return "\n".join([line(header), line(["---"] * len(header)), *map(line, others)])


def _compared(checked: Checked) -> str:
    """Say what was found when a graph was compared with its model."""
    what = "real images" if checked.real else "made images"
    each = ", ".join(f"{name} {_digits(value)}" for name, value in checked.difference.items())
    text = (
        f"Checked by onnxruntime against quadzoo on {checked.n} {what} of {checked.sizes} "
        f"size{'s' * (checked.sizes > 1)}, one by one and in batches of 7. The largest differences: {each}; "
        f"at most {_digits(checked.share)} of a target's range."
    )
    if other := checked.elsewhere:
        text += (
            f" At {plural(other.sizes, 'other size')}, over {plural(other.n, 'image')}, it is at most "
            f"{_digits(other.share)}"
        )
        text += "." if other.is_exact else f", at {other.worst[0]} × {other.worst[1]} pixels: more than 1e-3."
    if checked.of_run is not None:
        text += (
            " The graph computes in float32, and was compared in it; the run predicted in bf16, from which "
            f"it differs by up to {_digits(checked.of_run)} of a target's range."
        )
    return text


def _digits(value: float) -> str:
    return "0" if value == 0 else f"{value:.1e}" if math.isfinite(value) else str(value)
