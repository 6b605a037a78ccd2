"""What tests of processes that are killed share."""

from __future__ import annotations

import subprocess
from pathlib import Path


def kill(process: subprocess.Popen[str]) -> None:
    """End a process at once, and wait for that."""
    process.kill()
    process.communicate()


def names(folder: Path) -> set[str]:
    """The names of all that lies in a folder."""
    return {path.name for path in folder.iterdir()}
