"""Check installed backbones and heads against the rules, each in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from quadzoo.errors import DuplicateName, NameNotFound
from quadzoo.executors.base import Executor, Job, Send, why_it_ended
from quadzoo.registry.catalogue import Catalogue
from quadzoo.registry.plugins import Plugin
from quadzoo.scratch import scratch_folder

_EXIT_SECONDS = 2.0  # from a process's last message to its end


@dataclass(frozen=True)
class Subject:
    """A backbone or a head, by the name it is asked for."""

    kind: Literal["backbone", "head"]
    name: str


@dataclass(frozen=True)
class Verdict:
    """What one rule found; ``broken`` says what is wrong, and is empty where nothing is."""

    subject: Subject
    rule: str
    broken: str


def subjects_of(name: str, catalogue: Catalogue) -> tuple[list[Plugin], list[Subject]]:
    """Return the plugins that a name stands for, and the backbones and heads to be checked.

    The name is that of a distribution, a plugin, a backbone or a head. Raises NameNotFound for any other, and
    DuplicateName for a name that several plugins have.
    """
    plugins = [plugin for plugin in catalogue.plugins if name in (plugin.distribution, plugin.name)]
    named = [plugin for plugin in plugins if plugin.name == name]
    if len(named) > 1 and all(plugin.distribution != name for plugin in plugins):
        raise DuplicateName(f"{' and '.join(map(str, named))} have one name; give that of a distribution")
    everything = [
        *((Subject("backbone", short), entry.plugin) for short, entry in catalogue.backbones),
        *((Subject("head", short), entry.plugin) for short, entry in catalogue.heads),
    ]
    subjects = [subject for subject, plugin in everything if plugin in plugins]
    for subject, names in (
        (Subject("backbone", name), catalogue.backbones),
        (Subject("head", name), catalogue.heads),
    ):
        with suppress(NameNotFound):
            plugin = names[name].plugin
            if plugin not in plugins:
                plugins.append(plugin)
                subjects.append(subject)
    if not plugins:
        raise NameNotFound(
            f"no distribution, plugin, backbone or head {name!r}; `quadzoo list plugins` shows all"
        )
    return plugins, subjects


def verdicts(subject: Subject, executor: Executor, timeout: float) -> Iterator[Verdict]:
    """Yield the verdict of each rule.

    A rule during which the process crashes, or sends nothing for ``timeout`` seconds, is broken; after a
    crash the next rules are checked in a new process.
    """
    position = 0
    while True:
        with scratch_folder() as folder:
            job = executor.submit(f"{__name__}:check_rules", (subject, position), folder / "log")
            current = "build"
            for rule, broken in _messages(job, timeout):
                if broken is None:
                    current = rule
                else:
                    position += 1
                    yield Verdict(subject, rule, broken)
                    current = ""
            job.wait(_EXIT_SECONDS)
            hangs = not job.ended
            reason = f"no end within {timeout:g} seconds" if hangs else why_it_ended(job)
            job.cancel()
        if not current:
            return
        position += 1
        yield Verdict(subject, current, f"{subject.name}: {current}: expected it to end, got {reason}")
        if hangs:
            return


def _messages(job: Job, timeout: float) -> Iterator[tuple[str, str | None]]:
    """Yield messages until the job has ended, or has sent nothing for ``timeout`` seconds."""
    received = True
    while received:
        received = False
        for message in job.messages(timeout):
            received = True
            yield message


def check_rules(task: tuple[Subject, int], send: Send) -> None:
    """Check each rule from a position on; send its name before, and its name and what is broken after."""
    from quadzoo.testing import BACKBONE_RULES, HEAD_RULES, broken_rules

    subject, position = task
    rules: tuple[Any, ...] = BACKBONE_RULES if subject.kind == "backbone" else HEAD_RULES
    for rule in rules[position:]:
        send((str(rule), None))
        send((str(rule), "".join(broken_rules(subject.name, (rule,)))))
    send(("", None))
