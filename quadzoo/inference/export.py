"""A trained model as a folder for others: written whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from quadzoo.data.equations import IMAGES
from quadzoo.data.sources import QUADRATIC, drawn_folder
from quadzoo.data.texts import plural, where
from quadzoo.errors import ConfigError, DataError, unwritable
from quadzoo.inference.exported import ONNX, Checked, Exported, License, license_of
from quadzoo.inference.images import Image, files_of, refuse_faults
from quadzoo.records import seen
from quadzoo.records.predictions import nameless, read_predictions
from quadzoo.records.record import PREDICTIONS, SEEN, WEIGHTS, RunRecord, json_of, sha256_of
from quadzoo.records.trained import CONFIG, Trained, read_trained
from quadzoo.registry.catalogue import Catalogue
from quadzoo.scratch import scratch_folder
from quadzoo.storage import has_current_folder, open_regular, read_regular

CARD = "README.md"
FILES = frozenset({CARD, CONFIG, ONNX, PREDICTIONS, SEEN, WEIGHTS})  # that an export may have
_FOLDER = "local-dir:"  # what the name of a backbone from a folder begins with
_MOST_SEEN = 2 << 30  # bytes


def check_target(folder: Path) -> None:
    """Check that a folder can be exported to: it is not there, empty, or an earlier export.

    Raises ConfigError for anything else.
    """
    if not os.path.lexists(folder):
        return
    who = f"folder {where(folder)}"
    if folder.is_symlink() or not folder.is_dir():
        raise ConfigError(f"{who}: it is there, and no folder; name a new one")
    names = sorted(os.listdir(folder), key=lambda name: (name.startswith("."), name))  # a hidden one last
    others = [name for name in names if name not in FILES]
    if others:
        raise ConfigError(f"{who}: it holds {others[0][:60]!r}, which no export has; name a new folder")
    if has_current_folder() and Path.cwd().is_relative_to(folder.resolve()):
        raise ConfigError(f"{who}: it is or holds the current folder, and would be replaced; name a new one")
    if not names:
        return
    try:
        read_trained(folder, who)
    except (ConfigError, DataError) as error:
        raise ConfigError(f"{who}: it is not empty, and no earlier export; name a new folder") from error


class WriteCard(Protocol):
    """Makes the card of an export: `quadzoo.report.card.card_of` does."""

    def __call__(
        self, run: Path, record: RunRecord, *, name: str, license: License, checked: Checked | None
    ) -> str:
        """Return README.md; ``run`` is the folder that the run left, ``record`` what the export holds."""


def export_run(
    trained: Trained,
    folder: Path,
    names: Catalogue,
    write_card: WriteCard,
    *,
    onnx: bool = False,
    images: Sequence[str | os.PathLike[str]] = (),
) -> Exported:
    """Write a folder with all that is needed to use a trained model, whole or not at all.

    The record is in config.json: that of the run, but without ids of images and flags. The val part of
    predictions.csv, which intervals are calibrated on, has numbers for ids. With ``onnx`` there is a graph,
    which is checked on ``images``; without any, on those of the run's data where these can be found, else on
    made ones. Raises ConfigError for a folder that holds anything but an earlier export or cannot be written,
    and for a graph that cannot be made or is not exact; DataError for a run whose files are not those that
    its record names, and for images that are not there.
    """
    check_target(folder)
    if images and not onnx:
        raise ConfigError("`images` are what the ONNX graph is checked on; add `onnx`")
    checked: Checked | None = None
    license = license_of(trained.record, names)
    try:
        with _whole(folder) as staged:
            files = {WEIGHTS: trained.sha256}
            _copy(trained.folder / WEIGHTS, staged / WEIGHTS)
            for name, content in _further(trained):
                (staged / name).write_bytes(content)
                files[name] = sha256_of(staged / name)
            record = _for_others(trained.record, files)
            (staged / CONFIG).write_bytes(json_of(record))
            copied = read_trained(
                staged, f"the export of run {record.key}"
            )  # what was copied is what was trained
            if onnx:
                checked = _write_onnx(copied, staged / ONNX, names, images)
            title = os.path.basename(os.path.abspath(folder))
            card = write_card(trained.folder, record, name=title, license=license, checked=checked)
            (staged / CARD).write_text(card, encoding="utf-8")
            written = tuple(sorted(os.listdir(staged)))
    except OSError as error:
        raise unwritable(f"folder {where(folder)}: cannot be written", error, "name another one") from error
    warnings = [] if PREDICTIONS in written else [
        f"run {record.key[:16]} has no {PREDICTIONS} to export: there will be no intervals"
    ]  # fmt: skip
    told = [f"run {record.key} ({record.backbone} + {record.head}, seed {record.seed}): {', '.join(written)}"]
    if checked:
        told.append(_in_words(checked, record))
        warnings += _doubts(checked)
    return Exported(folder, written, tuple(told), tuple(warnings), checked)


def _in_words(checked: Checked, record: RunRecord) -> str:
    """Say how far a graph is from the model."""
    made = "" if checked.real else "made "
    it = "the model" if checked.of_run is None else "the model in float32"
    text = (
        f"{ONNX} differs from {it} by at most {checked.share:.1e} of a target's range, over "
        f"{plural(checked.n, f'{made}image')} of {plural(checked.sizes, 'size')}"
    )
    if other := checked.elsewhere:
        text += f", and by at most {other.share:.1e} over {other.n:,} of {plural(other.sizes, 'other size')}"
    if checked.of_run is not None:
        text += (
            f"; from the model in {record.precision}, as quadzoo predict computes, by at most "
            f"{checked.of_run:.1e}"
        )
    return text


def _doubts(checked: Checked) -> Iterator[str]:
    """Yield the warning that a graph is not exact at other sizes than those of the model's own images."""
    other = checked.elsewhere
    if other and not other.is_exact:
        height, width = other.worst
        yield (
            f"{ONNX} differs from the model by up to {other.share:.1e} of a target's range at other sizes "
            f"than the model's own images have, most at {height}x{width} pixels; use quadzoo predict there"
        )


def _write_onnx(
    trained: Trained, path: Path, names: Catalogue, images: Sequence[str | os.PathLike[str]]
) -> Checked:
    from quadzoo.inference.onnx import check_installed

    check_installed()
    chosen = files_of(images) if images else _own_images(trained.record)
    refuse_faults(chosen)
    import torch

    from quadzoo.inference.network import network_of
    from quadzoo.inference.onnx import check_onnx, write_onnx

    network = network_of(trained, names, torch.device("cpu"))
    write_onnx(network, path)
    return check_onnx(network, path, chosen)


def _own_images(record: RunRecord) -> list[Image]:
    """Return the images of a run's data, where it is known where they are: the drawn equations."""
    folder = drawn_folder() / IMAGES
    return files_of([folder]) if record.data.name == QUADRATIC and folder.is_dir() else []


def _further(trained: Trained) -> Iterator[tuple[str, bytes]]:
    """Yield the further files that the run has left, as they are exported."""
    folder, record = trained.folder, trained.record
    for name in (PREDICTIONS, SEEN):
        expected = record.files.get(name)
        if expected is None or not (folder / name).exists():
            continue
        if sha256_of(folder / name) != expected:
            raise DataError(
                f"{where(folder / name)}: not the file that its record names; it was changed or cut off"
            )
        if name == PREDICTIONS:
            yield name, nameless(read_predictions(folder / name, record.targets), record.targets)
        else:
            seen.read(folder)
            yield name, read_regular(folder / name, _MOST_SEEN)


def _for_others(record: RunRecord, files: dict[str, str]) -> RunRecord:
    """Return a record without what only its owner should know: ids of images, flags, paths."""
    backbone = record.backbone
    if backbone.startswith(_FOLDER):
        backbone = _FOLDER + Path(backbone.removeprefix(_FOLDER)).name
    return record.model_copy(update={"worst": [], "flags": {}, "files": files, "backbone": backbone})


def _copy(source: Path, target: Path) -> None:
    with open_regular(source) as given, target.open("xb") as copy:
        shutil.copyfileobj(given, copy, 1 << 20)


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """Give a new folder that takes the place of another when all went well, and is deleted when not."""
    folder = Path(os.path.abspath(folder))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(folder.parent) as scratch:  # beside it, so that a rename does not cross file systems
        staged = scratch / "new"
        staged.mkdir()
        yield staged
        # Nobody sweeps it: for a moment there is no other.
        old = folder.with_name(f".{folder.name}-{secrets.token_hex(8)}.old")
        if folder.exists():
            os.replace(folder, old)
        try:
            os.replace(staged, folder)
        except OSError:
            if old.exists():
                os.replace(old, folder)
            raise
        shutil.rmtree(old, ignore_errors=True)
