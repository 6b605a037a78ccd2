"""A bench: check everything, plan, run what is not done, write the leaderboard."""

from __future__ import annotations

import errno
import os
import time
from dataclasses import replace
from pathlib import Path

from quadzoo.data.cache import ImageSet, in_use
from quadzoo.data.texts import where
from quadzoo.errors import (
    NO_SPACE,
    ConfigError,
    DataError,
    QuadzooError,
    StorageError,
    WeightsError,
    reason_of,
    refused,
)
from quadzoo.executors.base import Executor
from quadzoo.grid.config import BenchConfig, flag_of
from quadzoo.grid.devices import find_devices
from quadzoo.grid.estimate import is_worth_timing, with_estimate
from quadzoo.grid.freezing import check_freezing
from quadzoo.grid.halving import check_halving, with_halving
from quadzoo.grid.hints import shift_hint
from quadzoo.grid.inputs import read_inputs, uneven_shares
from quadzoo.grid.interrupts import Interrupts
from quadzoo.grid.loop import Loop, what_is_kept
from quadzoo.grid.machines import check_machines, on_machines
from quadzoo.grid.models import check_targets, find_model, fixed_by
from quadzoo.grid.names import chosen_backbones
from quadzoo.grid.observer import Observer, Silent
from quadzoo.grid.plan import Plan, Weights, bench_data, make_plan
from quadzoo.grid.precision import PrecisionChooser
from quadzoo.grid.probe import check_compiler, find_weights
from quadzoo.grid.ridge import with_ridge
from quadzoo.grid.tuning import with_tuning
from quadzoo.grid.watching import check_loggers, how_to_watch
from quadzoo.records.halving import HALVING
from quadzoo.records.record import is_done
from quadzoo.records.suite import is_suite
from quadzoo.registry import additions, catalogue
from quadzoo.registry.catalogue import Catalogue
from quadzoo.report.files import dropped, reporting, write_report
from quadzoo.report.leaderboard import leaderboards
from quadzoo.report.results import Results, kept_records, read_runs
from quadzoo.report.rows import Leaderboard
from quadzoo.report.text import listed
from quadzoo.scratch import sweep_scratch_below
from quadzoo.storage import cache_folder, sweep_below
from quadzoo.threads import crowded, misread, too_many
from quadzoo.training.task import LOGS, TRIALS, Device

_SHARE_SAID = 0.05  # of a bench's time
_WRITTEN = ("runs", "baselines", "tuning", HALVING, TRIALS, LOGS)  # the folders in a results folder


def plan_bench(
    config: BenchConfig,
    executor: Executor,
    observer: Observer,
    *,
    dry: bool = False,
    like: Plan | None = None,
) -> Plan:
    """Check names, data, split, device and weights, and return the plan, without an estimate of its time.

    What is to be told of the data is in the plan's notes, for its caller to tell.
    A ``dry`` plan writes nothing to the results folder; else that keeps the precisions that were chosen.
    ``like`` is an earlier plan of the same bench: weights are not looked for again, and data may not differ.
    Raises a QuadzooError for the first thing that does not fit.
    """
    try:
        return _planned(config, executor, observer, dry, like)
    except OSError as error:  # a path that is too long, a folder without permissions, a full disk
        raise refused(error) from error


def _planned(
    config: BenchConfig, executor: Executor, observer: Observer, dry: bool, like: Plan | None
) -> Plan:
    check_loggers(config.logger)
    additions.use(config.plugin, config.specs)
    names = catalogue.load()
    for plugin in names.plugins:
        if plugin.failure:
            observer.note(f"warning: {plugin} is left out: {plugin.failure}")
    model = find_model(config.init, names) if config.init else None
    if model:
        names = catalogue.load()  # its own specs are known by now
        config = fixed_by(model, config)
    else:
        chosen = chosen_backbones(config.backbones, names, observer.note)
        config = config.model_copy(update={"backbones": chosen})
    config = config.model_copy(update={"heads": names.heads.distinct(config.heads)})
    config = on_machines(config, executor)
    _check_closed_form(config, names, observer)
    check_halving(config)
    _check_out(config.out)
    kept = kept_records(config.out)
    for one in kept.unreadable:
        observer.note(f"warning: run {one.key} cannot be read: {one.reason}")
    check_machines(executor, config, names)
    inputs = read_inputs(config, observer, model.geometry if model else None)
    source, images = inputs.source, inputs.images
    if like and images.hash != like.data.images.hash:
        raise DataError(
            f"{source.table}: images or targets have changed since the bench began; start it again"
        )
    data = bench_data(source, images, inputs.splits, config.train_share)
    if model:
        check_targets(model, data.folds[0].targets)
    devices = like.devices if like else find_devices(executor, config.device, observer.note)
    _tell_of_crowds(config, executor, devices[0], observer)
    if config.compile:
        check_compiler(executor, devices[0])
    weights = (
        {model.record.backbone: Weights(model.name, f"SHA-256 {model.sha256[:12]}", model=model)}
        if model
        else (like.weights if like else _weights(config, executor, observer, images, names))
    )
    check_freezing(executor, config, images.geometry)
    chooser = PrecisionChooser(
        executor, config, names, images, devices[0], model, keep=not dry, counting=observer.counting
    )
    plan = make_plan(config, names, data, devices, weights=weights, choose=chooser.choose, done=kept.done)
    return replace(plan, notes=(*inputs.notes, *uneven_shares(inputs.splits, data)))


def _check_closed_form(config: BenchConfig, names: Catalogue, observer: Observer) -> None:
    """Raise ConfigError for what heads that are fitted in closed form cannot do; tell what does nothing."""
    closed = [head for head in config.heads if names.heads[head].spec.closed_form]
    if not closed or config.recipe.epochs == 0:
        return
    if not config.recipe.freeze:
        raise ConfigError(
            f"`heads` {closed[0]} is fitted in closed form to frozen features; add `freeze`, or choose "
            "another"
        )
    if config.recipe.tune:
        raise ConfigError(
            f"`tune`: {closed[0]} is fitted in closed form and has no learning rate; bench it without `tune`"
        )
    given = [f"`{name}`" for name in ("epochs", "batch_size", "lr") if flag_of(name) in config.flags]
    if given and len(closed) == len(config.heads):
        observer.note(
            f"note: {listed(given)}: a head that is fitted in closed form takes no steps; its runs get other "
            "keys, and the same scores"
        )


def _tell_of_crowds(config: BenchConfig, executor: Executor, device: Device, observer: Observer) -> None:
    jobs = 1 if config.jobs == "auto" else config.jobs
    if not config.threads and not executor.machines():
        if reason := too_many():
            raise ConfigError(reason)
        if warning := misread():
            observer.note(warning)
    on_cpu = device.kind == "cpu" and not executor.machines()
    if on_cpu and (warning := crowded(jobs, config.threads)):
        observer.note(warning)


def _weights(
    config: BenchConfig, executor: Executor, observer: Observer, images: ImageSet, names: Catalogue
) -> dict[str, Weights]:
    weights = find_weights(
        executor,
        config.backbones,
        config.weights,
        images.geometry,
        timeout=config.timeout,
        advance=observer.counting("looking for pretrained weights", len(config.backbones)),
    )
    for backbone, start in weights.items():
        if config.weights == "auto" and start.kind == "none" and not names.backbones.is_listed(backbone):
            raise WeightsError(
                f"`backbones` {backbone}: it names weights, and these are not available ({start.note}); "
                "`weights` none trains it from scratch"
            )
        if (config.recipe.freeze or config.recipe.freeze_to) and start.kind == "none":
            flag = "freeze" if config.recipe.freeze else "freeze_to"
            observer.note(f"warning: `{flag}`: {backbone} is randomly initialised (weights: {start.note})")
        if start.loaded and start.loaded.missing:
            observer.note(f"warning: pretrained weights of {backbone} are incomplete: {start.note}")
        elif start.loaded and start.loaded.unexpected:
            observer.note(f"warning: pretrained weights of {backbone} are not all used: {start.note}")
    return weights


def _check_out(out: Path) -> None:
    """Raise ConfigError for a folder that cannot be written to."""
    try:
        out.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:  # a name that is too long, for one
        raise ConfigError(f"`out` {where(out)}: {error.strerror}; name another folder") from error
    existing = next(folder for folder in (out, *out.absolute().parents) if os.path.lexists(folder))
    if not os.path.isdir(existing):
        what = "a link that leads to no folder" if existing.is_symlink() else "a file, not a folder"
        raise ConfigError(f"`out` {out}: {existing} is {what}")
    if not os.access(existing, os.W_OK):
        raise ConfigError(f"`out` {out}: {existing} is not writable; choose another folder")
    if os.path.lexists(out / "runs") and not os.path.isdir(out / "runs"):
        raise ConfigError(f"`out` {out}: {out / 'runs'} is no folder; name another `out`, or delete that")
    if is_suite(out):
        raise ConfigError(f"`out` {out}: it holds a suite; name another folder, or that of a set in it")
    if link := _first_link(out):  # whoever made it may have it lead anywhere
        raise ConfigError(
            f"`out` {out}: {link} is a link, and a bench writes through none; put there what it leads to, or "
            "name another folder"
        )


def _first_link(out: Path) -> str:
    """Return the first link to a folder, among those that a bench writes into; nothing without any."""
    for top in (out / name for name in _WRITTEN):
        if top.is_symlink():
            return top.name
        for folder, subfolders, _ in os.walk(top):
            for path in (Path(folder, name) for name in subfolders):
                if path.is_symlink():
                    return str(path.relative_to(out))
    return ""


def bench(
    config: BenchConfig, executor: Executor, observer: Observer, *, like: Plan | None = None
) -> Leaderboard:
    """Run what is not done yet, each run in a process of its own, and write OUT's leaderboard.

    A run that fails leaves a record that says so; the others go on. An interrupt ends the runs under way,
    writes the leaderboard of what is finished, and is raised again. Raises a QuadzooError for what cannot be
    run, before anything is trained, DataError where no record can be read afterwards, and StorageError where
    files cannot be written any more. ``like`` as for `plan_bench`; its estimate of the time is taken over.
    """
    plan = plan_bench(config, executor, observer, like=like)
    for note in () if like else plan.notes:
        observer.note(note)
    if like:
        plan = replace(plan, estimate=like.estimate, costs=like.costs)
    elif is_worth_timing(plan) and (not isinstance(observer, Silent) or _order_matters(plan)):
        plan = with_estimate(plan, executor, observer)
    observer.planned(plan)
    for line in how_to_watch(config.logger if plan.to_do else (), config.out):
        observer.note(line)
    if hint := shift_hint(plan.tasks[0].targets.names, plan.config.recipe):
        observer.note(hint)
    try:
        board = _run(plan, executor, observer)
    except OSError as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # nor could the table be written then
            raise KeyboardInterrupt from error
        raise _stopped(plan, error) from error
    if board is None:
        raise DataError(f"`out` {config.out}: none of its records can be read; the warnings above say why")
    return board


def _run(plan: Plan, executor: Executor, observer: Observer) -> Leaderboard | None:
    """Run what is not done, and write the leaderboard, however it ends; see `bench`."""
    data = plan.data
    for folder in (plan.config.out, cache_folder()):
        sweep_below(folder)
        sweep_scratch_below(folder)
    with Interrupts() as interrupts:
        try:
            with in_use(data.images):
                clock = time.monotonic()
                try:
                    plan = with_ridge(plan, executor, observer)
                    ridge_seconds = time.monotonic() - clock
                    plan = with_halving(plan, executor, observer, interrupts.check)
                    plan = with_tuning(plan, executor, observer, interrupts.check)
                except KeyboardInterrupt:
                    observer.note(what_is_kept(plan, len(plan.done)))
                    raise
                Loop(plan, executor, observer, interrupts).run()
                share = ridge_seconds / (time.monotonic() - clock)
                if plan.to_do and share > _SHARE_SAID:
                    observer.note(f"ridge regression took {ridge_seconds:.1f} s, {share:.0%} of the bench")
        finally:
            board = _report(plan.config.out, data.images.hash, plan.tasks[0].split.whole, observer)
    return board


def _order_matters(plan: Plan) -> bool:
    """Say whether knowing the longest runs saves time; else the silent have no use for an estimate."""
    return len(plan.slots) > 1 and len({task.backbone for task in plan.to_do}) > 1


def _stopped(plan: Plan, error: OSError) -> QuadzooError:
    """Return why a bench cannot go on, and how much of its work is kept."""
    kept = sum(is_done(plan.config.out, task.key) for task in plan.tasks)
    mend = "mend that"
    if error.errno in NO_SPACE:
        mend = "make room"
    elif error.errno == errno.EFBIG:
        mend = "raise the limit that `ulimit -f` shows"
    return StorageError(
        f"{reason_of(error)}; {kept} of {len(plan.tasks)} runs are finished and kept; {mend}, and the same "
        "command continues from here"
    )


def _report(out: Path, data_hash: str, split_hash: str, observer: Observer) -> Leaderboard | None:
    """Write the leaderboard of the records for one data set and split, and shares of its training images.

    None where there are none.
    """
    with reporting(out):
        results = read_runs([out])
        for one in results.unreadable:
            observer.note(f"warning: run {one.key} left out: {one.reason}")
        chosen = [
            r for r in results.runs if (r.record.data.hash, r.record.split.whole) == (data_hash, split_hash)
        ]
        if not chosen:
            return None
        boards = leaderboards(chosen, results.unreadable, results.answers)
        if gone := dropped(out, boards):
            observer.note(f"warning: {gone}")
        write_report(out, boards, Results(chosen, [], results.unreadable))
    return boards[0]
