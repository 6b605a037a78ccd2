"""Which loggers there are, whether they are installed, and how to look at what they write."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from quadzoo.errors import ConfigError

_COMMANDS = {
    "csv": "{folder}/csv/*/*/metrics.csv",
    "tensorboard": "tensorboard --logdir {folder}/tensorboard",
    "mlflow": "MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri {folder}/mlflow",
    "wandb": "wandb sync {folder}/wandb/wandb/offline-run-*",
}


def check_loggers(names: Iterable[str]) -> None:
    """Check that the loggers are installed. Raises ConfigError, which says what to install."""
    for name in names:
        # A folder of that name in the current one, as W&B leaves it, has no origin.
        if name != "csv" and ((spec := find_spec(name)) is None or spec.origin is None):
            raise ConfigError(
                f"`logger` {name}: it is not installed; pip install 'quadzoo[{name}]', or leave {name} out"
            )


def how_to_watch(names: Iterable[str], out: Path) -> list[str]:
    """Return, for each logger, the command that shows what it writes."""
    return [f"to watch with {name}: {_COMMANDS[name].format(folder=out / 'logs')}" for name in names]
