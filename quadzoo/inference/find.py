"""From what a user calls a model to its folder. Nothing here imports torch."""

from __future__ import annotations

import os
from pathlib import Path

from quadzoo.data.texts import listed, where
from quadzoo.errors import ConfigError, DataError, NameNotFound
from quadzoo.records.record import RECORD, keys_in, run_folder
from quadzoo.records.trained import Trained, read_trained, record_file
from quadzoo.registry.catalogue import Catalogue

_SHOWN = 40  # characters of a name in a message


def find_trained(name: str, out: Path, names: Catalogue) -> Trained:
    """Return the trained model of that name.

    That is the folder of a run or an exported one, else a registered model, else the run in the results
    folder ``out`` whose key begins so. Raises NameNotFound where there is none, ConfigError where several
    keys begin so, and DataError or ConfigError for a folder that cannot be used.
    """
    folder = Path(name)
    if record_file(folder):
        return read_trained(folder, where(folder))
    try:
        return read_trained(names.models[name].spec.folder, f"model {name}")
    except NameNotFound:
        pass
    keys = [key for key in keys_in(out) if name and key.startswith(name)]
    if len(keys) > 1:
        raise ConfigError(
            f"run {name[:_SHOWN]!r}: keys {listed(keys)} of {where(out)} begin so; write one of them out"
        )
    if keys:
        return read_trained(run_folder(out, keys[0]), f"run {keys[0]}")
    if os.path.isdir(folder / "runs"):
        raise DataError(
            f"{where(folder)}: a results folder holds many runs; name one of them, or say best with "
            f"`out` {where(folder)}"
        )
    if os.path.isdir(folder):
        raise DataError(f"{where(folder)}: no trained model lies there (it has no {RECORD})")
    raise NameNotFound(
        f"run {name[:_SHOWN]!r}: no folder of a run, no registered model (`quadzoo list models`), and no key "
        f"in {where(out)} begins so"
    )
