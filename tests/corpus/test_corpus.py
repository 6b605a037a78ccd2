"""Every bad input of `cases.csv` is refused with its line and its exit status.

`python -m tests.corpus` writes the table again, with what commands say now: look at each line that changes.
"""

from __future__ import annotations

import base64
import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import command
from tests.corpus.build import build
from tests.corpus.run import MOST, Case, cases, make_results, outcome

CASES = cases()
_PROCESSES = (  # for which a process of their own is started: of each way to fail one
    "benhc",
    "TRY --data tables/quote.csv --images photos",
    "TRY --data odd/zero.csv --images photos",
    "report odd/pipe",
    "predict good/runs/{KEY} images/bomb.png",
)


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of bad inputs, and what a run has left."""
    folder = tmp_path_factory.mktemp("bad")
    build(folder)
    make_results(folder)
    return folder


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_bad_input_is_refused_in_its_line(case: Case, bad: Path) -> None:
    left = outcome(case, bad)
    said = [*left.out, *left.err]
    assert not [line for line in said if line.startswith("Traceback")]
    assert not [line for line in left.err if len(line) > MOST]
    assert left.status == case.status, said
    assert any(map(case.is_said, said)), said
    if case.status == 2:
        assert (left.out, len(left.err)) == ([], 1)
        assert left.written == set()
        assert left.err[0].startswith("quadzoo: error: ")


def test_the_corpus_is_large_and_of_every_kind() -> None:
    assert len(CASES) >= 300
    assert len({(case.given, case.command) for case in CASES}) == len(CASES)
    counts = Counter(case.kind for case in CASES)
    assert min(counts.values()) >= 5, counts
    assert {case.status for case in CASES} == {0, 1, 2}  # 0: what is spoiled is not needed, and does no harm


def test_no_image_of_another_folder_lands_in_the_page(bad: Path) -> None:
    """A link in the place of worst.webp would bring one in that somebody else has made."""
    (run,) = (bad / "good" / "runs").iterdir()
    secret = (run / "worst.webp").read_bytes()
    (bad / "secret.webp").write_bytes(secret)
    encoded = base64.b64encode(secret).decode()
    for given, is_there in (("", True), ("worst is a secret", False)):
        outcome(Case("", given, "report spoiled"), bad)
        assert (encoded in (bad / "spoiled" / "leaderboard.html").read_text()) == is_there


@pytest.mark.parametrize("text", _PROCESSES)
def test_a_process_says_the_same(text: str, bad: Path) -> None:
    (case,) = [case for case in CASES if case.command == text and not case.given]
    (run,) = (bad / "good" / "runs").iterdir()
    words = case.words(run.name)
    done = subprocess.run(
        command(*words), cwd=bad, capture_output=True, text=True, timeout=120, check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.returncode == case.status
    assert case.line in done.stderr.replace(run.name, "{KEY}").splitlines()
