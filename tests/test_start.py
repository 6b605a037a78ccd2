from __future__ import annotations

import subprocess
import sys

import pytest

# As soon as the command line is looked for, the signal comes.
SENDING = """
import os, signal, sys
class Sender:
    def find_spec(self, name, path=None, target=None):
        if name == "quadzoo.cli":
            os.kill(os.getpid(), signal.{name})
sys.meta_path.insert(0, Sender())
from quadzoo.start import main
main()
"""


@pytest.mark.posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_while_the_command_is_imported(name: str) -> None:
    words = [sys.executable, "-c", SENDING.format(name=name), "list", "heads"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 130
    assert done.stdout == ""
    assert done.stderr == "quadzoo: interrupted before it began\n"


def test_it_runs_the_command_line() -> None:
    words = [sys.executable, "-c", "from quadzoo.start import main; main()", "list", "heads"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert "mlp" in done.stdout
