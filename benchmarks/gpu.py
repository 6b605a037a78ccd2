"""Run what benchmarks/gpu.sh describes."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from entry_points import installed, metadata
from gpu_report import LEAST, MINUTES, Failed, Report, earlier, gpu_of

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
FIRST_CELLS = 8  # of the matrix: two networks, each in four ways
SIDE_BY_SIDE = 4
TAIL = 6000  # characters of a log
# Where they are not the distribution's.
IMPORT_NAMES = {"opencv-python-headless": "cv2", "pillow": "PIL", "scikit-learn": "sklearn"}
OURS = ("quadzoo.api", "quadzoo.cli.bench", "quadzoo.grid.runner", "quadzoo.training.run",
        "quadzoo.report.page", "matrix", "gpu_step", "peers", "tutorial_loop")  # fmt: skip

# Run in a process of its own: nothing that an import does can end this script.
IMPORTS = """
import importlib, json, sys, traceback
faults = {}
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except BaseException:
        faults[name] = traceback.format_exc()[-3000:]
print(json.dumps(faults))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("to", nargs="?", type=Path, default=HERE / "results" / "gpu.json")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--minutes", type=float, default=MINUTES)
    arguments = parser.parse_args()
    arguments.to.parent.mkdir(parents=True, exist_ok=True)
    # A test of the script may have slow neighbours.
    patience = 5.0 if arguments.small else 1.0
    report = Report(arguments.to.absolute(), patience, arguments.minutes, earlier(arguments.to))
    # Ended from outside, it ends what it has started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        went_well = measure(Path(scratch), report, small=arguments.small)
    print(json.dumps(report.found, indent=1, default=str))
    print(f"kept {arguments.to}: no GPU computes here" if report.keeps_earlier else f"wrote {arguments.to}")
    sys.exit(not went_well)


def measure(scratch: Path, report: Report, *, small: bool) -> bool:
    """Measure one part after the other, with an empty cache, as a new user would; say whether all went well.

    Where nothing can be imported, or there is no GPU that computes, the first parts say so and are the last.
    """
    report.found |= {
        "command": ["benchmarks/gpu.sh", *sys.argv[1:]],
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": sys.version.split()[0],
    }
    report.save()
    imported = report.add("imports", lambda seconds, _: imports(scratch, seconds), 120)
    broken = {*report.found["imports"].get("tracebacks", () if imported else OURS)}
    if broken & {*OURS, "torch"}:  # without these nothing can be measured
        return False
    tiny = ["--small"] if small else []

    def step(what: str) -> Callable[..., object]:
        return lambda seconds, so_far: streamed(
            "gpu_step", [f"--{what}", *tiny], scratch, seconds, so_far=so_far, save=report.save
        )

    if not report.add("device", step("device"), 60):
        return False
    if gpu_of(report.found) != gpu_of(report.earlier):
        report.earlier.clear()  # figures of two GPUs do not belong into one file
    data = str(scratch / "data")
    backbones = ["tiny_cnn"] if small else ["resnet50", "efficientnet_b0"]
    device = [] if small else ["--device", "cuda"]
    shared = [*device, "--data", data, "--weights", "none", *(["--epochs", "2"] if small else [])]
    little = "tiny_cnn" if small else "resnet18"
    square = ["--image-size", "100x100", "--resize", "stretch"]
    seeds = ",".join(map(str, range(SIDE_BY_SIDE)))

    def run(name: str, *flags: str) -> Callable[..., object]:
        return lambda seconds, _: bench(scratch / name, seconds, scratch, *shared, *flags)

    def cells(*flags: str) -> Callable[..., object]:
        size = ["--backbones", "tiny_cnn", "--sizes", "24x64", "--batches", "8"]
        return lambda seconds, so_far: streamed(
            "matrix",
            ["--minutes", f"{(seconds - LEAST) / 60:.2f}", "--to", str(scratch / "matrix.json"),
             "--data", data, *flags, *(size if small else [])],
            scratch, seconds, so_far=so_far, save=report.save, into="cells",
        )  # fmt: skip

    def bf16(*flags: str) -> list[str]:
        epochs = [] if small else ["--epochs", "8"]
        return ["--backbones", backbones[0], "--precision", "bf16", *square, *epochs, *flags]

    several = ["--backbones", little, "--seeds", seeds]
    once = ["--backbones", little, *([] if small else ["--epochs", "5"])]
    first = min(FIRST_CELLS, 1) if small else FIRST_CELLS
    parts: list[tuple[str, Callable[..., object], float]] = [
        ("images", lambda seconds, _: drawn(data, "60" if small else "2000", seconds, scratch), 60),
        ("ceilings", step("ceilings"), 45),
        ("training, replayed and not", step("training"), 110),
        ("main job", run("main", "--backbones", ",".join(backbones)), 150),
        ("the tutorial's loop, images per second of each epoch",
         lambda seconds, so_far: tutorial(backbones, data, seconds, scratch, so_far), 60),
        *((f"one seed, {which}", run(which, *once), 40) for which in ("first", "again")),
        ("images that do not fit", step("streaming"), 70),
        ("starts", step("starts"), 120),
        ("launches a step", step("launches"), 40),
        ("TF32 and bf16, cudnn.benchmark on and off", step("precisions"), 90),
        ("bf16, eager", run("eager", *bf16()), 60),
        ("bf16, --compile", run("compiled", *bf16("--compile")), 120),
        ("dry run", lambda seconds, _: planned(seconds, scratch, *shared, *several), 60),
        ("four runs, --jobs 1", run("jobs1", *several, "--jobs", "1"), 90),
        ("four runs, --jobs 4", run("jobs4", *several, "--jobs", str(SIDE_BY_SIDE)), 90),
        ("first cells", cells("--most", str(first)), 240),
        ("one seed, --deterministic", run("det1", *once, "--deterministic"), 40),
        ("one seed, --deterministic, again", run("det2", *once, "--deterministic"), 40),
        ("other cells", cells("--skip", str(first)), 600),
    ]  # fmt: skip
    outcomes = [report.add(*part) for part in parts]
    return imported and all(outcomes)


def child(
    command: list[str], seconds: float, scratch: Path, on_line: Callable[[str], None] = lambda _: None
) -> tuple[int, str, str]:
    """Run a command; return its exit status, its output and the end of what it logged.

    Raises Failed where it takes longer than the seconds given: then it is ended, with all it has started.
    """
    log = scratch / f"{time.monotonic_ns()}.log"
    overdue = threading.Event()
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )

        def end() -> None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(seconds, lambda: (overdue.set(), end()))
        timer.start()
        lines = []
        try:
            assert process.stdout
            for line in process.stdout:
                lines.append(line)
                on_line(line)
            process.wait()
        finally:
            timer.cancel()
            end()  # what it has left behind
            process.communicate()
    tail = log.read_text(errors="replace")[-TAIL:]
    if overdue.is_set():
        raise Failed(f"not finished within {seconds:.0f} seconds", command=command, log=tail)
    return process.returncode, "".join(lines), tail


def succeeded(command: list[str], seconds: float, scratch: Path, **given: Any) -> str:
    """Return what a command prints. Raises Failed where its exit status is not 0."""
    status, output, tail = child(command, seconds, scratch, **given)
    if status:
        raise Failed(f"exit status {status}", command=command, log=tail, output=output[-TAIL:])
    return output


def imports(scratch: Path, seconds: float) -> dict[str, object]:
    """Import every package that quadzoo needs and every module used here; make the entry points known."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    known = [str(ROOT), str(metadata(scratch, project)), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ |= {
        "PYTHONPATH": os.pathsep.join(known),
        "QUADZOO_CACHE_DIR": str(scratch / "cache"),
        "TORCHINDUCTOR_CACHE_DIR": str(scratch / "inductor"),
    }
    needed = [re.split(r"[\[<>=!~; ]", one, maxsplit=1)[0] for one in project["dependencies"]]
    versions = {name: installed(name) for name in needed}
    modules = [IMPORT_NAMES.get(name, name.replace("-", "_")) for name in needed]
    os.environ["PYTHONPATH"] += f"{os.pathsep}{HERE}"  # behind what is installed: a script is called coverage
    clock = time.monotonic()
    faults = json.loads(
        succeeded([sys.executable, "-c", IMPORTS, *modules, *OURS], seconds, scratch).splitlines()[-1]
    )
    facts = {"versions": versions, "seconds": round(time.monotonic() - clock, 1)}
    if faults:
        raise Failed(f"cannot be imported: {', '.join(faults)}", tracebacks=faults, **facts)
    return facts


def quadzoo(*arguments: str) -> list[str]:
    """Return the command that calls quadzoo, which need not be installed."""
    return [sys.executable, "-c", "from quadzoo.cli import main; main()", *arguments]


def drawn(data: str, n: str, seconds: float, scratch: Path) -> dict[str, object]:
    """Draw the images; return how long it took."""
    clock = time.perf_counter()
    succeeded(quadzoo("data", "make", data, "--n", n), seconds, scratch)
    return {"n": int(n), "seconds": round(time.perf_counter() - clock, 2)}


def planned(seconds: float, scratch: Path, *flags: str) -> dict[str, object]:
    """Make a plan, which pays for decoding, precision and estimate of the runs that follow."""
    plan = json.loads(succeeded(quadzoo("bench", *flags, "--dry-run", "--json"), seconds, scratch))
    return {"precision": plan["precision"], "estimate": plan.get("estimate")}


def bench(out: Path, seconds: float, scratch: Path, *flags: str) -> dict[str, object]:
    """Return what a whole command takes, and its runs' figures; of a failed run why it failed.

    Raises Failed, with the logs of its runs, where a run failed or the command did.
    """
    clock, begun = time.perf_counter(), datetime.now(UTC)
    command = ["quadzoo", "bench", *flags]
    try:
        status, _, tail = child(quadzoo("bench", *flags, "--out", str(out)), seconds, scratch)
        why = f"exit status {status}" if status else ""
    except Failed as error:
        why, tail = str(error), str(error.facts["log"])
    facts: dict[str, Any] = {
        "command": command,
        "started": begun.isoformat(),
        "whole_command_seconds": round(time.perf_counter() - clock, 2),
        "runs": [figures(json.loads(path.read_text())) for path in sorted(out.glob("runs/*/record.json"))],
    }
    if not why and facts["runs"]:
        return facts
    logs = {
        path.parent.name[:12]: path.read_text(errors="replace")[-TAIL:] for path in out.glob("runs/*/run.log")
    }
    raise Failed(why or "no run has a record", **facts, log=tail, logs_of_runs=logs)


def figures(record: dict[str, Any]) -> dict[str, Any]:
    """Return what a record has to say here: figures, the curve, and the error of a failed run."""
    recipe, image, metrics = record["recipe"], record["image"], record["metrics"]
    names = ("status", "backbone", "head", "seed", "precision", "precision_note", "environment", "error")
    return {
        **{name: record[name] for name in names},
        "image_size": image["size"],
        "epochs": recipe["epochs"] if recipe["epochs"] != "auto" else record["found"]["epochs"],
        "batch_size": recipe["batch_size"],
        **record["cost"],
        "started": record["started"],
        "finished": record["finished"],
        "val_mse": metrics["val_mse"],
        "test_mse": metrics["test_mse"],
        "curve": [epoch.get("val_mse") for epoch in record["history"]],
    }


def tutorial(
    backbones: list[str], data: str, seconds: float, scratch: Path, so_far: dict[str, Any]
) -> dict[str, Any]:
    """Return the speed of the tutorial's loop in each of two epochs, for each network."""
    for name in backbones:
        command = [sys.executable, str(HERE / "peers.py"), "tutorial", "--backbone", name, "--data", data]
        output = succeeded(command, seconds, scratch)
        so_far[name] = json.loads(output.splitlines()[-1])["images_per_second"]
    return so_far


def streamed(
    script: str,
    flags: list[str],
    scratch: Path,
    seconds: float,
    *,
    so_far: dict[str, Any],
    save: Callable[[], None],
    into: str | None = None,
) -> dict[str, Any]:
    """Run a script that prints a line of JSON for each figure, and keep each at once.

    The lines are put together as one dictionary, or with ``into`` as the list of that name.
    """

    def keep(line: str) -> None:
        if not line.startswith("{"):
            return
        told = json.loads(line)
        if into:
            so_far.setdefault(into, []).append(told)
        else:
            so_far.update(told)
        save()

    succeeded([sys.executable, str(HERE / f"{script}.py"), *flags], seconds, scratch, on_line=keep)
    several = so_far.get(into, []) if into else []
    if broken := sum("failed" in one for one in several):
        raise Failed(f"{broken} of {len(several)} failed")
    return so_far


if __name__ == "__main__":
    main()
