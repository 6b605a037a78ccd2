"""Read xlsx and parquet files through pandas, as the text that they show."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quadzoo.data.texts import listed, quoted, where
from quadzoo.errors import DataError
from quadzoo.storage import open_regular

if TYPE_CHECKING:
    import pandas as pd

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
            if frame.empty and (others := sheets(table)):
                raise DataError(f"{where(table)}: its first sheet is empty; {others}")
            rows: list[Any] = list(frame.to_numpy(dtype=object))
        else:
            frame = _with_index(pd.read_parquet(table, engine="pyarrow"))
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


def sheets(table: Path) -> str:
    """Say which sheet of several is read; empty for what is no xlsx file with several."""
    try:
        with open_regular(table, follow=True) as file:
            if file.read(4) != b"PK\x03\x04":
                return ""
        import pandas as pd

        with pd.ExcelFile(table, engine="openpyxl") as book:
            first, *others = map(str, book.sheet_names)
    except Exception:  # these readers raise anything; it is only a hint
        return ""
    read = (
        f"only the first sheet, {quoted(first)}, is read, not {listed(others)}; move the table's to the front"
    )
    return read if others else ""


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a DataFrame whose index is columns, where it says anything: where it has a name, or is text."""
    levels = [
        at
        for at, name in enumerate(frame.index.names)
        if name not in frame.columns
        and (name is not None or frame.index.get_level_values(at).inferred_type == "string")
    ]
    return frame.reset_index(level=levels) if levels else frame


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
