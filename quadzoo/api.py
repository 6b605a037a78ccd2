"""What the command line calls, and what a notebook calls. Nothing here is printed unless it is asked for."""

from __future__ import annotations

import difflib
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quadzoo.parameters import BenchParameters, SuiteParameters, as_files, check_lists, without_specs
from quadzoo.registry.specs import BackboneSpec, HeadSpec

if TYPE_CHECKING:
    from typing import Unpack

    from quadzoo.executors.base import Executor
    from quadzoo.grid.config import BenchConfig
    from quadzoo.grid.observer import Observer
    from quadzoo.grid.plan import Plan
    from quadzoo.grid.suite import SuiteRequest
    from quadzoo.inference.exported import Exported
    from quadzoo.inference.load import Model
    from quadzoo.records.trained import Trained
    from quadzoo.registry.catalogue import Catalogue
    from quadzoo.report.notebook import NotebookLeaderboard, NotebookSuite

_RECIPE = ("epochs", "batch_size", "lr", "tune", "augment", "freeze", "freeze_to")
_LISTS = ("backbones", "heads", "seeds", "targets", "train_share", "bands", "value_range", "plugin", "logger")
_EXECUTOR = ("executor", "ray_address", "jobs", "retries")
_SHOWN = 60  # characters of a value in an error
_QUOTES = "'\""


def bench(
    backbones: Sequence[str | BackboneSpec] | None = None,
    heads: Sequence[str | HeadSpec] | None = None,
    seeds: Sequence[int] | None = None,
    *,
    progress: bool | Observer = False,
    **parameters: Unpack[BenchParameters],
) -> NotebookLeaderboard:
    """Train every backbone × head × seed on one data set, and return the leaderboard.

    Backbones and heads are names or specs; a spec needs no plugin, and its `revision`, else a hash of its
    source, is in the keys of its runs. ``parameters`` are the flags of ``quadzoo bench`` with underscores:
    ``data``, ``images``, ``targets``, ``split``, ``epochs``, ``out`` and so on; ``quadzoo bench --help`` says
    what each does. ``data``, ``test_data`` and ``split`` may be DataFrames. Finished runs are kept in ``out``
    and not run again; a run that fails is counted in the leaderboard and costs no other. ``progress=True``
    shows bars on stderr, or in the notebook. Raises QuadzooError for what cannot be run, before anything is
    trained; its text names the parameter.
    """
    start(parameters.get("executor"))  # before the other imports: it has more to import, and begins with it
    asked = {"backbones": backbones, "heads": heads, "seeds": seeds, **parameters}
    with as_files(asked) as given, _observed(progress) as observer, _executor(given, observer) as executor:
        config = config_of(**given)
        from quadzoo.grid.runner import bench as run_bench
        from quadzoo.report.notebook import NotebookLeaderboard

        return NotebookLeaderboard.of([run_bench(config, executor, observer)])


def plan(
    backbones: Sequence[str | BackboneSpec] | None = None,
    heads: Sequence[str | HeadSpec] | None = None,
    seeds: Sequence[int] | None = None,
    *,
    progress: bool | Observer = False,
    **parameters: Unpack[BenchParameters],
) -> Plan:
    """Check everything that `bench` with these parameters would, and return its plan; nothing is trained.

    Raises QuadzooError for what cannot be run.
    """
    start(parameters.get("executor"))
    asked = {"backbones": backbones, "heads": heads, "seeds": seeds, **parameters}
    with as_files(asked) as given, _observed(progress) as observer, _executor(given, observer) as executor:
        config = config_of(**given)
        from quadzoo.grid.estimate import with_estimate
        from quadzoo.grid.runner import plan_bench

        made = plan_bench(config, executor, observer, dry=True)
        for note in made.notes:
            observer.note(note)
        return with_estimate(made, executor, observer, dry=True)


def suite(
    path: str | PathLike[str], *, progress: bool | Observer = False, **parameters: Unpack[SuiteParameters]
) -> NotebookSuite:
    """Train every backbone × head × seed on each data set of a suite's TOML file, and return the leaderboard.

    ``parameters`` are those of `bench`, and replace what the file says, for all sets; what makes a set,
    ``data`` and the like, is in the file alone. Each set has its results folder, ``out``/<set>. All sets are
    checked before anything is trained. Raises QuadzooError for what cannot be run; its text names the file,
    the set and the parameter. A set that an earlier call has read, and that cannot be read any more, keeps
    its finished runs; ``errors`` of the leaderboard names it if some are missing.
    """
    start(parameters.get("executor"))
    request = _suite_request(Path(path), parameters)
    from quadzoo.grid.suite import bench_suite
    from quadzoo.report.notebook import NotebookSuite

    with _observed(progress) as observer, _executor(_of_executor(parameters), observer) as executor:
        return NotebookSuite.of(bench_suite(request, executor, observer))


def plan_suite(
    path: str | PathLike[str], *, progress: bool | Observer = False, **parameters: Unpack[SuiteParameters]
) -> dict[str, Plan]:
    """Check everything that `suite` would, and return the plan of each set; nothing is trained or written.

    A set that an earlier `suite` has read, and that cannot be read any more, has no plan. Raises QuadzooError
    for what cannot be run.
    """
    start(parameters.get("executor"))
    request = _suite_request(Path(path), parameters)
    from quadzoo.grid import suite as of_suite

    with _observed(progress) as observer, _executor(_of_executor(parameters), observer) as executor:
        return of_suite.plan_suite(request, executor, observer)


def suite_leaderboard(folder: str | PathLike[str]) -> NotebookSuite:
    """Return the leaderboard of a suite's results folder; nothing is trained or written.

    Raises DataError where the folder is that of no suite.
    """
    from quadzoo.errors import DataError
    from quadzoo.records.suite import SUITE, is_suite
    from quadzoo.report.notebook import NotebookSuite
    from quadzoo.report.suite.board import read_suite_board

    if not is_suite(Path(folder)):
        raise DataError(f"{folder}: no results folder of a suite (it has no {SUITE}); give what `out` named")
    return NotebookSuite.of(read_suite_board(Path(folder)))


def _suite_request(path: Path, parameters: Mapping[str, Any]) -> SuiteRequest:
    """Return the checked benches of a suite. Raises ConfigError."""
    from quadzoo.errors import ConfigError
    from quadzoo.grid.config import BenchConfig
    from quadzoo.grid.suite import OF_A_SET, SuiteRequest, blamed, read_suite_file, shown

    beside = {name: value for name, value in parameters.items() if value is not None}
    wrong = [name for name in OF_A_SET if name in beside]
    if wrong:
        raise ConfigError(f"`{wrong[0]}` beside `suite`: each set has its own; write it in {shown(path)}")
    known = {*BenchConfig.model_fields, *_RECIPE}
    out = Path(beside.pop("out", BenchConfig.model_fields["out"].default))
    benches = {}
    for name, given in read_suite_file(path, tuple(sorted(known))).items():
        with blamed(path, name, beside):
            benches[name] = config_of(**{**given, **beside, "out": out / name})
    return SuiteRequest(path, out, benches, beside)


def leaderboard(
    *folders: str | PathLike[str], external: Mapping[str, str | PathLike[str]] | None = None
) -> NotebookLeaderboard:
    """Return the leaderboard of one or more results folders; nothing is trained or written.

    Where they hold several data sets or splits it is that with most runs, and its ``more`` are the others.
    ``external`` are files of predictions of other readers, by the name of their row, as ``quadzoo report
    --external`` takes them; a warning names ids that are no test images. Raises DataError where there is no
    results folder or no run, or for such a file that cannot be used, and ConfigError for a name that is
    taken.
    """
    from quadzoo.errors import DataError
    from quadzoo.records.suite import is_suite
    from quadzoo.report.external import with_external
    from quadzoo.report.leaderboard import leaderboards
    from quadzoo.report.notebook import NotebookLeaderboard
    from quadzoo.report.results import read_runs

    wrong = [folder for folder in folders if not isinstance(folder, str | PathLike)]
    if wrong or not folders:
        raise DataError(
            f"leaderboard takes folders, one or more, each by itself; got {wrong or 'none'}"[:300]
        )
    paths = [Path(folder) for folder in folders]
    for path in paths:
        if is_suite(path):
            raise DataError(
                f"{path}: it holds a suite, which suite_leaderboard reads; or give a set's folder"
            )
        if not os.path.isdir(path / "runs"):
            raise DataError(f"{path}: no results folder (it has no runs/); give what `out` named")
    results = read_runs(paths)
    boards = leaderboards(results.runs, results.unreadable, results.answers)
    if not boards:
        raise DataError(f"{', '.join(map(str, paths))}: no run that can be read")
    files = {name: Path(path) for name, path in (external or {}).items()}
    boards, told = with_external(boards, results.runs, files, results.answers)
    for text in (*told, *(f"run {one.key} left out: {one.reason}" for one in results.unreadable)):
        warnings.warn(text, stacklevel=2)
    return NotebookLeaderboard.of(boards)


def load(
    run: str | PathLike[str],
    out: str | PathLike[str] = "results",
    *,
    device: str = "auto",
    plugin: Sequence[str | PathLike[str]] = (),
    specs: Sequence[BackboneSpec | HeadSpec] = (),
) -> Model:
    """Return a trained model, ready to predict new images.

    ``run`` is the folder of a run or an exported one, the name of a registered model, the beginning of a key
    in the results folder ``out``, ``best`` of ``out`` (of the best row the seed with the lowest val MSE), or
    ``ensemble`` of ``out``; several with commas between them are averaged. ``device`` is auto, cpu, cuda or
    mps; ``plugin`` are the files of one-file plugins that the runs used, ``specs`` the specs that a program
    gave for them; those that this process has trained with are known.
    A Python warning says where the best beats nothing, and where a plugin is of another version than it was.
    Pretrained weights are not looked for. Raises NameNotFound where there is no such model, and another
    QuadzooError for one that cannot be used: a file that was changed, a failed run, a plugin that is missing.
    """
    from quadzoo.registry import additions, catalogue
    from quadzoo.registry.given import given

    check_lists({"plugin": plugin, "specs": specs})
    additions.use((Path(one) for one in plugin), [given(one) for one in specs])
    names = catalogue.load()
    found, told, warned = _found(str(run), Path(out), names)
    from quadzoo.inference.load import load_model

    model = load_model(found, names, device, told=told, warned=warned)
    for text in model.warnings:
        warnings.warn(text, stacklevel=2)
    return model


def export(
    run: str | PathLike[str],
    folder: str | PathLike[str],
    out: str | PathLike[str] = "results",
    *,
    onnx: bool = False,
    images: Sequence[str | PathLike[str]] = (),
    plugin: Sequence[str | PathLike[str]] = (),
) -> Exported:
    """Write a trained model to ``folder``, as `quadzoo export` does, and return what is to be told of it.

    ``run`` is one run, named as for `load`. With ``onnx`` the folder has a graph, too, which is checked on
    64 of ``images``, paths or patterns. Raises ConfigError for several runs, for a folder that holds anything
    but an earlier export, and for a graph that cannot be made or is not exact; then nothing is written.
    """
    from quadzoo.errors import ConfigError
    from quadzoo.inference.export import export_run
    from quadzoo.registry import additions, catalogue
    from quadzoo.report.card import card_of

    check_lists({"plugin": plugin, "images": images})
    additions.use(Path(one) for one in plugin)
    names = catalogue.load()
    found, told, warned = _found(str(run), Path(out), names)
    if len(found) > 1:
        keys = ", ".join(trained.record.key for trained, _ in found[:3])
        keys += ", …" * (len(found) > 3)
        raise ConfigError(
            f"run {str(run)[:_SHOWN]!r}: it is the mean of {len(found)} runs ({keys}); an export holds one: "
            "name it"
        )
    ((trained, _),) = found
    done = export_run(trained, Path(folder), names, card_of, onnx=onnx, images=images)
    return replace(done, told=(*told, *done.told), warnings=(*warned, *done.warnings))


def _found(
    run: str, folder: Path, names: Catalogue
) -> tuple[list[tuple[Trained, float]], list[str], list[str]]:
    """Return the trained models that a name stands for, each with its weight, what they are, and warnings."""
    from quadzoo.data.texts import where
    from quadzoo.errors import ConfigError
    from quadzoo.inference.find import find_trained
    from quadzoo.records.trained import read_trained, record_file
    from quadzoo.report.winner import NAMES, chosen

    parts = [run] if record_file(Path(run)) else run.split(",")
    found: list[tuple[Trained, float]] = []
    told: list[str] = []
    warned: list[str] = []
    for part in (part.strip() for part in parts):
        if not part:
            raise ConfigError(f"run {run[:_SHOWN]!r}: an empty name; say which run, or best")
        if part not in NAMES:
            found.append((find_trained(part, folder, names), 1 / len(parts)))
            if len(parts) > 1:
                told.append(f"{part[:_SHOWN]} is run {found[-1][0].title}")
            continue
        some = chosen(part, folder)
        told.append(some.told)
        warned += some.warnings
        total = sum(weight for _, weight in some.runs) * len(parts)
        found += [(read_trained(path, where(path)), weight / total) for path, weight in some.runs]
    keys = [trained.record.key for trained, _ in found]
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise ConfigError(f"run {run[:_SHOWN]!r}: run {twice} is in it twice; name each run once")
    return found, told, warned


def start(executor: str | None = None) -> None:
    """Begin to start what runs will need, in the background; without it `bench` begins when it is called.

    ``executor`` is the parameter of that name; on a Ray cluster nothing is needed here.
    """
    if executor in (None, "local"):
        from quadzoo.executors.local import LocalExecutor

        LocalExecutor()


def _of_executor(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that choose an executor; a suite's file has none of them."""
    return {name: parameters[name] for name in _EXECUTOR if name in parameters}


@contextmanager
def _executor(given: Mapping[str, Any], observer: Observer) -> Iterator[Executor]:
    """Yield the executor that was asked for. Raises ConfigError for parameters that make no sense."""
    from quadzoo.executors.choice import executor_of

    if not any(given.get(name) for name in ("executor", "ray_address")):
        with executor_of() as executor:
            yield executor
        return
    config = config_of(**given)
    with executor_of(
        config.executor,
        config.ray_address,
        jobs=config.jobs_of_a_node,
        retries=config.retries,
        note=observer.note,
    ) as executor:
        yield executor


def config_of(**parameters: Any) -> BenchConfig:
    """Return the checked parameters of a bench; of None, and of what is left out, the default.

    Raises ConfigError, naming all parameters that make no sense.
    """
    from pydantic import ValidationError

    from quadzoo.errors import ConfigError
    from quadzoo.grid.config import BenchConfig
    from quadzoo.model.recipe import RECIPES, Recipe

    given = {name: value for name, value in parameters.items() if value is not None}
    unknown = sorted(given.keys() - BenchConfig.model_fields.keys() - {*_RECIPE})
    unknown += ["specs"] * ("specs" in given)  # they are among backbones and heads
    if unknown:
        near = difflib.get_close_matches(unknown[0], [*BenchConfig.model_fields, *_RECIPE], n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        hint = "; quadzoo.suite runs several data sets" if unknown[0] == "suite" else hint
        raise ConfigError(f"there is no parameter {unknown[0]!r}{hint}")
    recipe = given.pop("recipe", {})
    if isinstance(recipe, str):
        if recipe not in RECIPES:
            raise ConfigError(f"`recipe` {recipe[:_SHOWN]!r}: there is {', '.join(RECIPES)}")
        recipe = RECIPES[recipe]
    if not isinstance(recipe, Recipe | Mapping):
        raise ConfigError(f"`recipe` {str(recipe)[:_SHOWN]!r}: give the name of one, or its fields")
    recipe = recipe.model_dump(exclude_unset=True) if isinstance(recipe, Recipe) else dict(recipe)
    recipe |= {name: given.pop(name) for name in _RECIPE if name in given}
    check_lists({name: given[name] for name in _LISTS if name in given})
    given = without_specs(given)
    try:
        return BenchConfig(**given, recipe=recipe)
    except ValidationError as error:
        faults = []
        for fault in error.errors():
            names = [str(part) for part in fault["loc"] if part != "recipe"]
            given_value = fault["input"]
            if isinstance(given_value, tuple):  # as its flag takes it
                given_value = ",".join(map(str, given_value))
            value = " ".join(repr(given_value).split())
            value = value if len(value) <= _SHOWN else f"{value[: _SHOWN - 1]}…"
            where = f"`{names[0]}` {value.strip(_QUOTES)}: " if names else ""
            faults.append(where + fault["msg"].removeprefix("Value error, "))
        raise ConfigError("; ".join(faults)) from error


def _observed(progress: bool | Observer) -> Any:
    """Return a context whose value is the observer that was asked for."""
    if progress is True:
        from quadzoo.progress import Display

        return Display()
    if progress is False:
        from quadzoo.grid.observer import Silent

        return nullcontext(Silent())
    return nullcontext(progress)
