"""Make the entry points of this checkout known where it is not installed: without a network, say."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def metadata(scratch: Path, project: dict[str, Any]) -> Path:
    """Return a folder that makes this checkout's entry points known where it is not installed."""
    info = scratch / "site" / f"quadzoo-{project['version']}.dist-info"
    if installed("quadzoo") is None:
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: quadzoo\nVersion: {project['version']}\n"
        )
        points = "\n".join(
            f"{name} = {module}" for name, module in project["entry-points"]["quadzoo"].items()
        )
        (info / "entry_points.txt").write_text(f"[quadzoo]\n{points}\n")
    return info.parent


def installed(package: str) -> str | None:
    """Return a package's version, None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
