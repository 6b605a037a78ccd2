"""Run the cases of the corpus: their commands in this process, from the folder of bad inputs."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
import shlex
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from quadzoo import api
from quadzoo.cli import main
from tests.corpus.build import DIGITS, HUGE, LONG
from tests.corpus.spoil import spoil

TABLE = Path(__file__).with_name("cases.csv")
SPOILED = "spoiled"
MOST = 300  # characters of a line
_SECONDS = 60  # after which a case hangs
# What most cases of data begin with; everything that can be refused is refused before anything is trained.
_WORDS = {"HUGE": HUGE, "LONG": LONG, "DIGITS": DIGITS, "ESC": "\x1b", "NL": "\n"}
_SHORT = {
    "TRY": "bench --backbones tiny_cnn --heads linear --weights none --epochs 1 --precision 32 --dry-run",
    "SUITE": "bench --dry-run --suite",
    "INIT": "bench --data tables/good.csv --images photos --epochs 1 --dry-run --init",
}


@dataclass(frozen=True)
class Case:
    """A command that is to be refused: the exit status, and the one line that says why.

    ``given`` is what is done before to the results folder `spoiled`, a copy of a good one.
    """

    kind: str
    given: str
    command: str
    status: int = -1
    line: str = ""

    def words(self, key: str) -> list[str]:
        """Return the arguments of the command; ``key`` is that of the run."""
        words = [word.format(KEY=key, **_WORDS) for word in shlex.split(self.command)]
        return [*_SHORT.get(words[0], words[0]).split(), *words[1:]]

    def is_said(self, said: str) -> bool:
        """Whether a command has said the line of the table, where <*> stands for any text."""
        return re.fullmatch(".*".join(map(re.escape, self.line.split("<*>"))), said) is not None

    def __str__(self) -> str:
        return f"{self.kind}: {self.command}{' | ' * bool(self.given)}{self.given}"


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit status, lines on stdout and stderr, what it wrote."""

    status: int
    out: list[str]
    err: list[str]
    written: set[str]


def cases() -> list[Case]:
    """Return the cases of the table."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [Case(**{**row, "status": int(row["status"] or -1)}) for row in rows]


def make_results(folder: Path) -> None:
    """Train the one run whose results the cases spoil."""
    with _inside(folder):
        api.bench(
            ["tiny_cnn"], ["linear"], data="tables/good.csv", images="photos", weights="none", epochs=1,
            batch_size=8, precision="32", out="good",
        )  # fmt: skip
        api.export(next(Path("good/runs").iterdir()), "exported")


def outcome(case: Case, folder: Path) -> Outcome:
    """Run a case's command from the folder of bad inputs. Raises TimeoutError for one that hangs."""
    out = folder / SPOILED
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(folder / "good", out)
    key = spoil(out, case.given)
    before = _names(folder)
    printed, told, status = io.StringIO(), io.StringIO(), 0
    with _inside(folder), _limited(), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(told):
        try:
            main(case.words(key))
        except SystemExit as ended:
            status = int(ended.code or 0)
    lines = [text.getvalue().replace(key, "{KEY}").splitlines() for text in (printed, told)]
    return Outcome(status, *lines, _names(folder) - before)


def _names(folder: Path) -> set[str]:
    return {*os.listdir(folder), *(f"{SPOILED}/{name}" for name in os.listdir(folder / SPOILED))}


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    with contextlib.chdir(folder):
        yield


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """Interrupt what hangs; not by KeyboardInterrupt, which a command would take for its user's."""

    def hangs(*_: object) -> None:
        raise TimeoutError(f"no answer for {_SECONDS} s")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
