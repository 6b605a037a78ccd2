from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def records(out: Path) -> list[dict[str, Any]]:
    """All records of a results folder, as an outside reader would read them."""
    return [json.loads(path.read_text()) for path in sorted(out.glob("runs/*/record.json"))]
