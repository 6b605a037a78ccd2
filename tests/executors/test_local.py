"""Processes: what they import, what they leave alone, and what is said of those that die."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from quadzoo import api
from quadzoo.errors import ConfigError
from quadzoo.executors.base import asked, why_it_ended
from quadzoo.executors.local import LocalExecutor

WATCHED = """
import torch

def forbidden(*_, **__):
    raise AssertionError("the server process touched the GPU; its children could not use it any more")

for module, name in [
    (torch._C, "_cuda_getDeviceCount"), (torch._C, "_cuda_init"), (torch.cuda, "is_available"),
    (torch.cuda, "device_count"), (torch.cuda, "_lazy_init"),
]:
    if hasattr(module, name):
        setattr(module, name, forbidden)
import quadzoo.training.run
"""


def test_what_the_server_imports_never_touches_a_gpu() -> None:
    done = subprocess.run([sys.executable, "-c", WATCHED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# What Python imports where it is there, and what a run imports late.
TRIED = (
    "sitecustomize",
    "usercustomize",
    "cloudpickle",
    "pynvml",
    "crepes",
    "tensorboard",
    "onnx",
    "imagehash",
)
EVERYTHING = """
import importlib, pathlib, sys
import quadzoo
root = pathlib.Path(quadzoo.__file__).parent
for path in root.rglob("*.py"):
    parts = path.relative_to(root.parent).with_suffix("").parts
    if "quadzoo-mynet" not in parts:
        importlib.import_module(".".join(parts).removesuffix(".__init__"))
print(*{name.partition(".")[0] for name in sys.modules} - {"__main__"})
"""


def imported() -> set[str]:
    """Every name that any module of quadzoo imports, or that these import, Python's own among them."""
    done = subprocess.run([sys.executable, "-c", EVERYTHING], capture_output=True, text=True, check=True)
    names = {*done.stdout.split(), *TRIED}
    assert {"torch", "timm", "pydantic", "json", "multiprocessing", "lightning_utilities"} <= names
    assert len(names) > 200
    return names


@pytest.mark.slow
def test_the_current_folder_is_not_code(discs: Path, tmp_path: Path) -> None:
    """A file beside the data that is named like a library is run by no process of a bench."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "photos").symlink_to(discs / "photos")
    (folder / "discs.csv").write_text((discs / "discs.csv").read_text())
    trap = (
        f"open({str(tmp_path / 'run')!r}, 'a').write(__name__ + chr(10))\nraise ImportError('not this one')\n"
    )
    for name in imported():
        (folder / f"{name}.py").write_text(trap)
    command = [
        str(Path(sys.executable).parent / "quadzoo"), "bench", "--data", "discs.csv", "--images", "photos",
        "--targets", "radius", "--id-column", "file", "--backbones", "tiny_cnn", "--epochs", "1",
        "--out", "out",
    ]  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["QUADZOO_CACHE_DIR"] = str(tmp_path / "cache")
    others = (
        "list heads",
        "report out",
        "verify out",
        "predict best photos --out out",
        "plugin check tiny_cnn",
    )
    for one in (command, *([command[0], *line.split()] for line in others)):
        done = subprocess.run(one, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert not (tmp_path / "run").exists(), (tmp_path / "run").read_text()
        assert done.returncode == 0, done.stderr
    assert "PYTHONSAFEPATH" not in os.environ


def test_a_script_needs_no_main_guard(discs: Path, tmp_path: Path) -> None:
    """Neither does the script run a second time in the processes that it starts."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""\
        import quadzoo
        print("once")
        board = quadzoo.bench(
            backbones=["tiny_cnn"], epochs=1, weights="none", data={str(discs / "discs.csv")!r},
            images={str(discs / "photos")!r}, targets=["radius"], id_column="file", out="out",
        )
        print(board.best.name, len(board.rows))
        """)
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["once", "tiny_cnn + mlp 4"]
    assert done.stderr == ""  # silent unless asked


@pytest.fixture(scope="module")
def executor() -> LocalExecutor:
    return LocalExecutor()


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        ("quadzoo.executors.nowhere:work", "No module named 'quadzoo.executors.nowhere'"),
        ("quadzoo.executors.base:no_such_function", "no_such_function"),
        ("math:sqrt", "TypeError"),
    ],
)
def test_a_child_that_dies_is_reported_with_its_last_words(
    work: str, reason: str, executor: LocalExecutor
) -> None:
    with asked(executor, work, "argument") as job:
        job.wait(60)
        line = why_it_ended(job)
    assert line.startswith("its process ended with exit status 1; the last line it printed: ")
    assert reason in line
    assert len(line) <= 300
    assert "\n" not in line


def test_last_words_are_cut(executor: LocalExecutor) -> None:
    with asked(executor, f"quadzoo.{'x' * 1000}:work", None) as job:
        job.wait(60)
        assert len(why_it_ended(job)) == 300


def test_a_job_is_cancelled(executor: LocalExecutor, tmp_path: Path) -> None:
    job = executor.submit("quadzoo.grid.devices:tell_machine", None, tmp_path / "log")
    job.cancel()
    assert job.ended
    assert job.exit_reason() in (
        "its process was ended by SIGKILL (out of memory?)", "its process ended with exit status 0",
    )  # fmt: skip


BREEDER = """
import os, subprocess, sys, threading, time

def end_by_signal(number, send):
    os.kill(os.getpid(), number)

def leave_behind(path, send):
    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    send(started.pid)

def leave_a_thread(path, send):
    threading.Thread(target=time.sleep, args=(600,)).start()
    send("done")

def talk(path, send):
    print("talking", flush=True)

def wait_with(path, send):
    leave_behind(path, send)
    time.sleep(600)
"""


@pytest.fixture
def breeder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "breeder.py").write_text(BREEDER)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "site")])
    return "breeder"


def ends(pid: int) -> bool:
    """Whether a process is over within ten seconds; one that nobody waited for counts."""
    for _ in range(100):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.1)
    return False


def test_a_thread_that_a_plugin_has_left_does_not_keep_its_run(executor: LocalExecutor, breeder: str) -> None:
    """Python would wait for it for ever, and so would a bench."""
    with asked(executor, f"{breeder}:leave_a_thread", None) as job:
        assert [*job.messages(60)] == ["done"]
        job.wait(60)
        assert job.ended
        assert job.exit_reason() == "its process ended with exit status 0"


@pytest.mark.parametrize("what", ["a link", "a pipe"])
def test_a_log_is_written_in_place_of_a_link_or_a_pipe(
    executor: LocalExecutor, breeder: str, what: str, tmp_path: Path
) -> None:
    """In a results folder of somebody else's: a link would have any file of the user's appended to."""
    (tmp_path / "precious").write_text("precious")
    log = tmp_path / "run.log"
    log.symlink_to(tmp_path / "precious") if what == "a link" else os.mkfifo(log)
    job = executor.submit(f"{breeder}:talk", None, log)
    job.wait(60)
    job.cancel()
    assert (tmp_path / "precious").read_text() == "precious"
    assert not log.is_symlink()
    assert log.read_text() == "talking\n"
    assert job.log_tail() == "talking\n"


@pytest.mark.parametrize("work", ["leave_behind", "wait_with"])
def test_what_a_plugin_has_started_ends_with_its_run(
    executor: LocalExecutor, breeder: str, work: str, tmp_path: Path
) -> None:
    with asked(executor, f"{breeder}:{work}", None) as job:
        (pid,) = job.messages(60)
        if work == "leave_behind":
            job.wait(60)
            assert job.ended
    assert ends(pid)


@pytest.mark.linux
def test_a_signal_without_a_name(executor: LocalExecutor, breeder: str) -> None:
    """Most of those for real-time use have none."""
    with asked(executor, f"{breeder}:end_by_signal", 40) as job:
        job.wait(60)
        assert job.exit_reason() == "its process was ended by signal 40"


def test_nothing_outlives_a_parent_that_is_killed(breeder: str, tmp_path: Path) -> None:
    script = (
        "from pathlib import Path; from quadzoo.executors.local import LocalExecutor; import sys, time\n"
        f"sys.path.append({str(tmp_path / 'site')!r})\n"
        f"job = LocalExecutor().submit('{breeder}:wait_with', None, Path({str(tmp_path / 'log')!r}))\n"
        "print(job.process.pid, *job.messages(60), flush=True)\ntime.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()
    assert len(pids) == 2
    assert all(map(ends, pids))


def test_a_torch_that_cannot_be_imported_is_named(discs: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "torch").mkdir(parents=True)
    (site / "torch" / "__init__.py").write_text(
        "raise ImportError('libcudart.so.12: cannot open shared object')\n"
    )
    command = [
        str(Path(sys.executable).parent / "quadzoo"), "bench", "--data", str(discs / "discs.csv"), "--images",
        str(discs / "photos"), "--targets", "radius", "--id-column", "file", "--backbones", "tiny_cnn",
        "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(site)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("quadzoo: error: querying devices failed: ")
    assert "libcudart.so.12: cannot open shared object" in done.stderr
    assert len(done.stderr.splitlines()) == 1


TRAP = "open({path!r}, 'a').write('run')\nraise ImportError('not this one')\n"


@pytest.mark.parametrize(
    "before", ["", "from multiprocessing import forkserver; forkserver.ensure_running(); "]
)
def test_children_of_a_python_prompt_are_safe(before: str, discs: Path, tmp_path: Path) -> None:
    """There Python itself looks into the current folder first, and a server may have been started so."""
    (tmp_path / "lightning_utilities.py").write_text(TRAP.format(path=str(tmp_path / "run")))
    bench = (
        f"quadzoo.bench(backbones=['tiny_cnn'], epochs=1, weights='none', data={str(discs / 'discs.csv')!r}, "
        f"images={str(discs / 'photos')!r}, targets=['radius'], id_column='file', out='out')"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{before}import quadzoo; print({bench}.best.name)"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "tiny_cnn + mlp\n", done.stderr
    assert not (tmp_path / "run").exists()


def test_an_empty_entry_of_the_path_is_not_the_current_folder(discs: Path, tmp_path: Path) -> None:
    (tmp_path / "lightning_utilities.py").write_text(TRAP.format(path=str(tmp_path / "run")))
    command = [
        str(Path(sys.executable).parent / "quadzoo"), "bench", "--data", str(discs / "discs.csv"), "--images",
        str(discs / "photos"), "--targets", "radius", "--id-column", "file", "--backbones", "tiny_cnn",
        "--epochs", "1", "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": f"{tmp_path / 'nowhere'}{os.pathsep}"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "run").exists()


def test_plugins_that_only_the_parent_finds_reach_its_children(
    discs: Path, stranger: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""\
        import sys
        sys.path.append({str(stranger)!r})
        import quadzoo
        board = quadzoo.bench(
            backbones=["good"], epochs=1, weights="none", data={str(discs / "discs.csv")!r},
            images={str(discs / "photos")!r}, targets=["radius"], id_column="file", out="out",
            precision="32",
        )
        print(board.best.name)
        """)
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == "good + mlp\n", done.stderr


def test_a_daemon_process_is_told_why_it_can_run_nothing(
    equations: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker of multiprocessing.Pool is one."""
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)  # type: ignore[attr-defined]
    with pytest.raises(
        ConfigError, match=r"a worker of multiprocessing\.Pool, may start none; use concurrent"
    ):
        api.bench(["tiny_cnn"], data=str(equations), out=tmp_path)


FORKED = """
import os, sys
from quadzoo.executors.base import answer
from quadzoo.executors.local import LocalExecutor

def ask():
    return answer(LocalExecutor(), "quadzoo.grid.devices:tell_machine", None, 100).cpu.kind

print(ask(), flush=True)
child = os.fork()
if not child:
    print(ask(), flush=True)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.posix
def test_a_copy_of_a_process_has_a_server_of_its_own() -> None:
    """As the workers of a ProcessPoolExecutor may be; the server of their parent is no child of theirs."""
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["cpu", "cpu"], done.stderr
    assert done.returncode == 0


def test_a_run_is_no_task_of_slurm(equations: Path, tmp_path: Path) -> None:
    """Lightning would refuse the number of tasks, write nothing as rank 3, and load what lies about."""
    (tmp_path / "hpc_ckpt_7.ckpt").write_bytes(b"not ours")
    slurm = {"SLURM_NTASKS": "4", "SLURM_PROCID": "3", "SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "bench"}
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "quadzoo"), "bench", "--data", str(equations), "--backbones",
            "tiny_cnn", "--epochs", "1", "--weights", "none", "--precision", "32", "--logger", "csv",
            "--out", "out",
        ],
        cwd=tmp_path, env=os.environ | slurm, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [*tmp_path.glob("out/logs/csv/*/*/metrics.csv")]
