"""The network goes away in the middle of a download of weights: nothing of it is taken for the weights."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from quadzoo.records.record import read_records

from .benches import started


class HalfAFile(BaseHTTPRequestHandler):
    """A hub that promises a file of 1 MB, sends 1 KB, and hangs up."""

    def do_HEAD(self) -> None:
        self._head()

    def do_GET(self) -> None:
        self._head()
        self.wfile.write(bytes(1000))
        self.wfile.flush()
        self.close_connection = True

    def _head(self) -> None:
        self.send_response(200)
        for name, value in {
            "ETag": '"0123456789abcdef"', "X-Repo-Commit": "0" * 40, "Content-Length": str(10**6),
            "Accept-Ranges": "none", "Connection": "close",
        }.items():  # fmt: skip
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), HalfAFile)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("weights", ["auto", "pretrained"])
def test_a_download_that_breaks_off(equations: Path, hub: str, weights: str, tmp_path: Path) -> None:
    """Where weights are asked for it is bad input, else the run starts from random ones and says why."""
    environment = os.environ | {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "0"}
    out = tmp_path / "out"
    process = started(
        equations, out, "--backbones", "timm/test_efficientnet", "--weights", weights,
        "--seeds", 0, "--epochs", 1, env=environment,
    )  # fmt: skip
    _, said = process.communicate(timeout=280)
    assert "Traceback" not in said
    if weights == "auto":
        assert process.returncode == 0, said
        (record,) = read_records(out)
        assert record.weights == "none"
        assert "starts from random weights (" in said
    else:
        assert process.returncode == 2, said
        assert "weights" in said.splitlines()[-1]
        assert not (out / "runs").exists()
        assert len(said.splitlines()[-1]) <= 300
    assert not [*(tmp_path / "hub").rglob("*.safetensors")]
