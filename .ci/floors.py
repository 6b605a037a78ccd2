"""Print, as pip's constraints, the lowest version that pyproject.toml allows of each distribution.

python .ci/floors.py > floors.txt && pip install -c floors.txt -e '.[test]'
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

USED = ("tables", "tensorboard", "onnx", "ray")  # extras that tests use


def main() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    used = [*project["dependencies"], *(one for name in USED for one in extras[name])]
    floors = dict(found.groups() for one in used if (found := re.fullmatch(r"([\w.-]+)>=([\w.]+)", one)))
    for name, floor in sorted(floors.items()):
        print(f"{name}=={floor}")


if __name__ == "__main__":
    main()
