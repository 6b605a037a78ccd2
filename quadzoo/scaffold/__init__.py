"""A new plugin project: a copy of `quadzoo-mynet` beside this file, under another name."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from quadzoo.errors import ConfigError
from quadzoo.scratch import scratch_folder
from quadzoo.storage import has_current_folder

_TEMPLATE = Path(__file__).parent / "quadzoo-mynet"
_LONGEST = 60  # characters of a name
_NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")


def write_project(name: str, where: Path) -> Path:
    """Write the project ``quadzoo-<name>`` into a folder and return its path.

    Raises ConfigError for an invalid name, for a folder that exists, and where none can be written.
    """
    short = name.removeprefix("quadzoo-")
    if not _NAME.fullmatch(short) or len(short) > _LONGEST:
        raise ConfigError(
            f"plugin name {name[: _LONGEST + 1]!r}: use lower-case letters, digits and -, as in my-net, at "
            f"most {_LONGEST}"
        )
    project = where / f"quadzoo-{short}"
    if project.exists():
        raise ConfigError(f"{project} exists already; choose another name, or delete it first")
    module = f"quadzoo_{short.replace('-', '_')}"
    new = {
        "quadzoo-mynet": project.name,
        "quadzoo_mynet": module,
        "test_mynet": f"test_{short.replace('-', '_')}",
        "mynet": short,
    }
    try:
        with scratch_folder(where) as partial:
            for source in sorted(_TEMPLATE.rglob("*")):
                if source.is_file() and "__pycache__" not in source.parts:
                    inside = _renamed(str(source.relative_to(_TEMPLATE)), new | {"dot-": "."})
                    target = partial / project.name / inside
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_text(_renamed(source.read_text(encoding="utf-8"), new), encoding="utf-8")
            shutil.move(partial / project.name, project)
    except OSError as error:
        if not has_current_folder():
            raise  # the current folder itself is gone
        raise ConfigError(
            f"{project}: cannot be written here ({error.strerror or error}); go to another folder"
        ) from error
    return project


def _renamed(text: str, new: dict[str, str]) -> str:
    return re.sub("|".join(map(re.escape, new)), lambda match: new[match[0]], text)
