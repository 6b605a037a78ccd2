"""A Ray cluster on this machine: each node has an address, a cache folder and one CPU of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
_STORE = 80 * 1000 * 1000  # bytes, nearly the least that Ray takes
_LONG = 240.0  # seconds, on a machine with other work


@dataclass
class Node:
    """The processes of a node, and its cache folder."""

    process: subprocess.Popen[bytes]
    cache: Path
    log: Path

    def processes(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            mine = psutil.Process(self.process.pid)
            return [mine, *mine.children(recursive=True)]
        return []

    def at_work(self) -> list[psutil.Process]:
        """Those that watch a job whose process is there: before that it begins, after that it ends."""
        found = []
        for one in self.processes():
            with suppress(psutil.NoSuchProcess):
                # The server of processes is a child, and the job's process a child of that.
                if title_of(one).startswith("ray::watch") and any(c.children() for c in one.children()):
                    found.append(one)
        return found

    def kill(self) -> None:
        """End all of them at once, as a power cut does."""
        for one in self.processes():
            with suppress(psutil.NoSuchProcess):
                one.kill()
        self.process.wait()


def title_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@dataclass
class Cluster:
    """Nodes, the first of which is the head; ``environment`` is that of a driver."""

    nodes: list[Node] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        # A path of its sockets has at most 107 bytes, of which Ray takes 62.
        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "QUADZOO_CACHE_DIR": str(self.folder / "driver"),
            # Nobody else on the network can use it; `ray.init` finds it in the environment.
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_TMPDIR": str(self.folder),
        }

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def add(self, **environment: str) -> Node:
        """Start a node, and wait until it is there."""
        number = len(self.nodes) + 1
        cache, log = self.folder / f"cache{number}", self.folder / f"node{number}.log"
        arguments = (
            [
                "--head",
                "--port",
                str(self.port),
                "--include-dashboard",
                "false",
                "--temp-dir",
                str(self.folder),
            ]
            if not self.nodes
            else ["--address", self.address, "--node-ip-address", f"127.0.0.{number}"]
        )
        with log.open("wb") as file:
            process = subprocess.Popen(
                [
                    str(Path(sys.executable).parent / "ray"), "start", *arguments, "--num-cpus", "1",
                    "--object-store-memory", str(_STORE), "--disable-usage-stats", "--block",
                ],
                env={**self.environment, "QUADZOO_CACHE_DIR": str(cache), **environment},
                stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip
        node = Node(process, cache, log)
        self.nodes.append(node)
        until(lambda: "Ray runtime started" in log.read_text(), process, log)
        return node

    def stop(self) -> None:
        """End all nodes."""
        for node in reversed(self.nodes):
            node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def bench(self, out: Path, *arguments: object, **environment: str) -> subprocess.Popen[str]:
        """Start a bench of tiny networks on it."""
        return started(
            self.environment | environment,
            out,
            "--executor",
            "ray",
            "--ray-address",
            self.address,
            *arguments,
        )


def started(environment: dict[str, str], out: Path, *arguments: object) -> subprocess.Popen[str]:
    """Start a bench of tiny networks."""
    command = [
        str(Path(sys.executable).parent / "quadzoo"), "bench", "--weights", "none", "--precision", "32",
        "--device", "cpu", "--out", str(out), *map(str, arguments),
    ]  # fmt: skip
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finished(process: subprocess.Popen[str], status: int = 0) -> str:
    """Wait until a bench ends, and return what it said on stderr."""
    try:
        _, err = process.communicate(timeout=_LONG)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"the bench hangs: {process.communicate()[1]}") from None
    assert process.returncode == status, err
    return err


def until(there: Any, process: subprocess.Popen[Any], log: Path | None = None) -> None:
    """Wait until something is there, as long as the process runs."""
    end = time.monotonic() + _LONG
    while not there():
        assert process.poll() is None, log.read_text() if log else process.communicate()
        assert time.monotonic() < end, log.read_text() if log else "it takes too long"
        time.sleep(0.02)


def identities(out: Path) -> dict[str, tuple[int, int]]:
    """What tells each record that is there from one that takes its place, by key."""
    found = {}
    for path in out.glob("runs/*/record.json"):
        facts = path.stat()
        found[path.parent.name] = facts.st_ino, facts.st_mtime_ns
    return found
