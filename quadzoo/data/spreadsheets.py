"""Read xlsx and parquet files through pandas, as the text that they show."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quadzoo.data.texts import where
from quadzoo.errors import DataError

# How a file of each kind begins, and the package that pandas reads it with.
SPREADSHEETS = {b"PK\x03\x04": "xlsx", b"PAR1": "parquet"}
_PACKAGES = {"xlsx": "openpyxl", "parquet": "pyarrow"}
_MOST_BYTES = 1 << 30  # unpacked: a small file can be made to unpack to any size


def spreadsheet(table: Path, kind: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the header and the rows of a spreadsheet's first sheet, numbered from 1, empty ones left out.

    Raises DataError for one that cannot be read, or without the package that is needed.
    """
    import pandas as pd

    try:
        if kind == "xlsx":
            with zipfile.ZipFile(table) as content:
                if not any(name.startswith("xl/") for name in content.namelist()):
                    raise DataError(
                        f"{where(table)}: this is a zip file; unpack it, and name the table in it"
                    )
                if sum(part.file_size for part in content.infolist()) > _MOST_BYTES:
                    raise DataError(f"{where(table)}: unpacks to more than 1 GiB; save it as CSV")
            frame = pd.read_excel(table, header=None, dtype=object, na_filter=False, engine="openpyxl")
            rows: list[Any] = list(frame.to_numpy(dtype=object))
        else:
            frame = pd.read_parquet(table, engine="pyarrow")
            rows = [[*map(str, frame.columns)], *frame.to_numpy(dtype=object)]
    except ImportError as error:
        package = _PACKAGES[kind]
        raise DataError(
            f"{where(table)}: {kind} is read with {package}, which is missing: pip install {package}, or save"
            " the table as CSV (UTF-8)"
        ) from error
    except DataError:
        raise
    except Exception as error:  # these readers raise anything
        raise DataError(f"{where(table)}: cannot be read as {kind} ({error}); save it as CSV") from error
    for row, cells in enumerate(rows, 1):
        texts = [_text(cell) for cell in cells]
        if any(texts):
            yield row, texts


def _text(cell: Any) -> str:
    """Return a cell as a CSV would have it: nothing for what is missing, whole numbers without a point."""
    if str(cell) in ("None", "nan", "NaT", "<NA>"):
        return ""
    if isinstance(cell, bool):
        return str(cell).upper()
    try:
        whole = float(cell) == int(cell) and not isinstance(cell, str)
    except (TypeError, ValueError, OverflowError):
        whole = False
    return str(int(cell)) if whole else str(cell)
