"""A suite: one bench on several data sets of a TOML file, all checked before anything is trained."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quadzoo.errors import ConfigError, DataError, QuadzooError
from quadzoo.executors.base import Executor
from quadzoo.grid.config import BenchConfig
from quadzoo.grid.estimate import with_estimate
from quadzoo.grid.observer import Observer, Silent
from quadzoo.grid.plan import Estimate, Plan
from quadzoo.grid.runner import bench, plan_bench
from quadzoo.records.record import RunRecord
from quadzoo.records.suite import SetRequest, Suite, is_set_name, read_suite, write_suite
from quadzoo.report.suite.board import SuiteBoard, read_suite_board
from quadzoo.report.suite.files import write_suite_report
from quadzoo.report.text import duration, listed, one_line
from quadzoo.storage import read_regular
from quadzoo.training.task import Task

_MOST_BYTES = 1 << 20
_LONGEST = 300  # characters of an error
_LONGEST_PATH = 100
_SETS = "sets"
# What a set is; everything else can also be given beside the file, for all sets.
OF_A_SET = (
    "data",
    "images",
    "targets",
    "id_column",
    "group_column",
    "test_data",
    "split",
    "bands",
    "value_range",
)
# A file may be anybody's, so it names no code to be run.
_OF_THE_COMMAND = ("out", "suite", "force", "dry_run", "json", "plugin", "executor", "ray_address", "retries")
# Parameters that are paths, with the words that are none. `init` is one where a folder has that name.
_PATHS: Mapping[str, tuple[str, ...]] = {
    "data": ("quadratic",), "images": (), "test_data": (), "split": ("grouped", "article"),
    "weights": ("auto", "pretrained", "none"),
}  # fmt: skip
_COLUMNS = {"targets", "id_column", "group_column"}
_PARAMETER = re.compile(r"`([a-z][a-z0-9_]*)`")

Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class SuiteRequest:
    """What was asked for: the suite's file, the bench of each set, the parameters given beside the file."""

    path: Path
    out: Path
    benches: Mapping[str, BenchConfig]
    beside: Parameters


def read_suite_file(path: Path, known: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return the parameters of each set of a suite's file, with paths that hold from the current folder.

    ``known`` are the parameters of a bench. Raises ConfigError for a file that cannot be read, has no sets,
    names a parameter that is none or does not belong there, or has one data set twice.
    """
    where = shown(path)
    try:
        content = tomllib.loads(read_regular(path, _MOST_BYTES, follow=True).decode())
    except OSError as error:
        raise ConfigError(f"`suite` {where}: {error.strerror}; name a TOML file") from error
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, of a number with too many digits
        raise ConfigError(f"`suite` {where}: not TOML: {error}") from error
    sets = content.pop(_SETS, None)
    if not isinstance(sets, dict) or not sets:
        raise ConfigError(f"`suite` {where}: no sets; add tables [sets.NAME] with data, images and targets")
    _check_names(f"{where}: ", content, known)
    found: dict[str, dict[str, Any]] = {}
    for name, own in sets.items():
        if not is_set_name(name):
            raise ConfigError(
                f"{where}: set {one_line(repr(name), 60)}: its results get a folder of that name; use "
                "letters, digits, _ and -, 60 at most"
            )
        if not isinstance(own, dict):
            raise ConfigError(
                f"{where}: set {name}: not a table; write [sets.{name}] and its parameters below"
            )
        _check_names(f"{where}: set {name}: ", own, known)
        given = {**content, **own}
        if "data" not in given:
            raise ConfigError(
                f'{where}: set {name}: no data; name its table, as in data = "{name}/table.csv"'
            )
        found[name] = {key: _located(path.parent, key, value) for key, value in given.items()}
    _check_distinct(path, found)
    return found


def shown(path: Path) -> str:
    """Return the path of a suite's file for a message, without its folders where these are long."""
    return str(path) if len(str(path)) <= _LONGEST_PATH else f"…/{path.name}"


def _check_names(where: str, given: Parameters, known: tuple[str, ...]) -> None:
    for name, value in given.items():
        if name in _OF_THE_COMMAND:
            raise ConfigError(f"{where}{name} cannot stand in the file; give `{name}` beside it")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else "; take it out"
            raise ConfigError(f"{where}there is no parameter {one_line(name, 60)!r}{hint}")
        if isinstance(value, dict):
            raise ConfigError(f"{where}{name} is a table; it takes a value")
        if name == "recipe" and not isinstance(value, str):
            raise ConfigError(f"{where}recipe {one_line(repr(value), 60)}: it takes the name of one")


def _located(folder: Path, name: str, value: Any) -> Any:
    """Return a parameter's value; a path in it is relative to the suite's file."""
    if not isinstance(value, str) or not value:
        return value
    if name == "init":
        return str(folder / value) if os.path.isdir(folder / value) else value
    return str(folder / value) if name in _PATHS and value not in _PATHS[name] else value


def _check_distinct(path: Path, sets: Mapping[str, Parameters]) -> None:
    """Raise ConfigError where two sets are the same images and targets, which would then count twice."""
    seen: dict[str, str] = {}
    for name, given in sets.items():
        identity = repr([given.get(one) for one in ("data", "images", "targets")])
        if identity in seen:
            raise ConfigError(
                f"{shown(path)}: set {name}: the same data, images and targets as set {seen[identity]}; take "
                "one of them out"
            )
        seen[identity] = name


@contextmanager
def blamed(path: Path, name: str, given_beside: Parameters) -> Iterator[None]:
    """Have errors name file and set; parameters of the file lose their backticks: they are no flags there.

    Raises the error that it catches, with another text.
    """
    try:
        yield
    except QuadzooError as error:
        text = f"{shown(path)}: set {name}: {_as_in_file(error, given_beside)}"
        raise type(error)(one_line(text, _LONGEST)) from error


def _as_in_file(error: QuadzooError, given_beside: Parameters) -> str:
    """Return an error's text, where parameters of the suite's file have no backticks."""
    return _PARAMETER.sub(lambda match: match[0] if match[1] in given_beside else match[1], str(error))


class _Told:
    """Passes on what an observer is told about a set, but for lines that have been told before."""

    def __init__(self, observer: Observer, told: set[str], name: str = "") -> None:
        self._observer = observer
        self._told = told
        self._name = name

    def note(self, text: str) -> None:
        """Receive one line; while sets are planned it is passed on once, with the set's name."""
        if text in self._told:
            return
        if self._name:
            self._told.add(text)
            text = f"{self._name}: {text}"
        self._observer.note(text)

    def counting(self, what: str, total: int) -> Callable[[int], None]:
        """Return a function that is called with the number of further things done, of ``total``."""
        return self._observer.counting(f"{self._name}: {what}" if self._name else what, total)

    def planned(self, plan: Plan) -> None:
        """Receive what will run."""
        self._observer.planned(plan)

    def progressed(self, task: Task, share: float, val_mse: float | None) -> None:
        """Receive how far a run is."""
        self._observer.progressed(task, share, val_mse)

    def ended(self, task: Task, record: RunRecord) -> None:
        """Receive the record of a run that ended."""
        self._observer.ended(task, record)


def plan_suite(request: SuiteRequest, executor: Executor, observer: Observer) -> dict[str, Plan]:
    """Check every set, and return their plans, with how long they take; nothing is trained or written.

    A set that an earlier bench has read, and that cannot be read any more, is told and has no plan. Raises a
    QuadzooError, which names the set, for the first other thing that does not fit.
    """
    plans, _ = _planned(request, executor, observer, set())
    return _estimated(plans, executor, observer, dry=True)


def total_estimate(plans: Mapping[str, Plan]) -> Estimate:
    """Return how long all sets take, one after the other; None where that of one cannot be said."""
    total = 0.0
    estimates = [plan.estimate for plan in plans.values() if plan.estimate]
    untimed = tuple(dict.fromkeys(name for one in estimates for name in one.untimed))
    for name, plan in plans.items():
        if plan.estimate is None or plan.estimate.seconds is None:
            return Estimate(None, f"set {name} has none", untimed)
        total += plan.estimate.seconds
    told = f"about {duration(total)} for all sets" if total else "nothing to do"
    return Estimate(total, f"{told}; {listed(untimed)} not counted" if untimed else told, untimed)


def _estimated(
    plans: Mapping[str, Plan], executor: Executor, observer: Observer, *, dry: bool = False
) -> dict[str, Plan]:
    told: set[str] = set()
    return {
        name: with_estimate(plan, executor, _Told(observer, told, name), dry=dry)
        for name, plan in plans.items()
    }


def _planned(
    request: SuiteRequest, executor: Executor, observer: Observer, told: set[str]
) -> tuple[dict[str, Plan], dict[str, str]]:
    """Return the plans of all sets, and why those without one cannot be read any more.

    These are sets that an earlier bench of the folder has read; a set that never could be is an error, and so
    are a column that is not there and a suite of which nothing can be read. ``told`` receives the lines that
    ``observer`` was told.
    """
    if os.path.isdir(request.out / "runs"):
        raise ConfigError(
            f"`out` {request.out}: it holds the runs of a single bench; name another folder for the suite"
        )
    earlier = _earlier(request.out)
    plans: dict[str, Plan] = {}
    lost: dict[str, str] = {}
    names: dict[str, str] = {}
    for name, config in request.benches.items():
        with blamed(request.path, name, request.beside):
            if config.out.is_symlink():
                raise ConfigError(
                    f"its results folder {config.out} is a link, and a suite writes through none; delete it"
                )
            try:
                plans[name] = plan_bench(config, executor, _Told(observer, told, name), dry=True)
            except DataError as error:
                last = not plans and len(lost) == len(request.benches) - 1
                if name not in earlier or last or _names_a_column(error):
                    raise
                lost[name] = one_line(_as_in_file(error, request.beside), _LONGEST)
                continue
            same = names.setdefault(plans[name].data.images.hash, name)
            if same != name:
                raise DataError(f"it has the same images and targets as set {same}; take one of them out")
    for name, plan in plans.items():
        for note in plan.notes:
            observer.note(f"{name}: {note}")
    for name, why in lost.items():
        observer.note(f"warning: set {name} keeps its finished runs; it cannot be read any more: {why}")
    return plans, lost


def _names_a_column(error: DataError) -> bool:
    """Whether an error is of a column that the suite's file names: then the file is to be mended."""
    return not _COLUMNS.isdisjoint(_PARAMETER.findall(str(error)))


def _earlier(out: Path) -> dict[str, SetRequest]:
    """Return what an earlier bench of the folder asked of its sets; nothing where none can be read."""
    try:
        return read_suite(out).sets
    except DataError:
        return {}


def bench_suite(request: SuiteRequest, executor: Executor, observer: Observer) -> SuiteBoard:
    """Run what is not done yet on each set, one set after the other, and write OUT's leaderboard-suite.

    Each set has a results folder of its own, OUT/<set>. A set that can no longer be run when its turn comes
    is told and named in the board's ``errors``; the others go on. So it is with a set that an earlier bench
    has read and that cannot be read any more, unless all of its runs are finished. An interrupt leaves what
    is finished, writes the leaderboards, and is raised again. Raises a QuadzooError for what cannot be run,
    before anything is trained.
    """
    told: set[str] = set()
    plans, lost = _planned(request, executor, observer, told)
    if not isinstance(observer, Silent):  # else nobody sees how long it takes
        plans = _estimated(plans, executor, observer)
        observer.note(total_estimate(plans).text)
    earlier = _earlier(request.out)
    asked = {
        name: _asked(plans[name]) if name in plans
        else earlier[name].model_copy(update={"seeds": len(config.seeds)})
        for name, config in request.benches.items()
    }  # fmt: skip
    write_suite(request.out, Suite(sets=asked))
    errors: dict[str, str] = {}
    try:
        for number, (name, plan) in enumerate(plans.items(), 1):
            observer.note(f"set {name} ({number} of {len(plans)})")
            try:
                bench(request.benches[name], executor, _Told(observer, told), like=plan)
            except QuadzooError as error:
                errors[name] = one_line(str(error), _LONGEST)
                observer.note(f"error: set {name} is not finished: {errors[name]}")
    finally:
        board = read_suite_board(request.out, errors)
        for name, why in lost.items():
            if not board.rows or not all(row.cells[name].finished for row in board.rows):
                board.errors[name] = why
        write_suite_report(request.out, board)
    for name in lost.keys() & board.errors.keys():
        observer.note(f"error: set {name} is not finished: {lost[name]}")
    return board


def _asked(plan: Plan) -> SetRequest:
    return SetRequest(
        data_hash=plan.data.images.hash,
        split_hash=plan.tasks[0].split.whole,
        seeds=len(plan.config.seeds),
    )
