"""Hold what is installed to the rules, each backbone and head in a process of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from quadzoo.errors import NameNotFound
from quadzoo.executors.base import Executor, Job, Send, why_it_ended
from quadzoo.registry.catalogue import Catalogue
from quadzoo.registry.plugins import Plugin

_DYING = 2.0  # seconds from closing its end of the connection to being gone


@dataclass(frozen=True)
class Subject:
    """A backbone or a head, by the name it is asked for."""

    kind: Literal["backbone", "head"]
    name: str


@dataclass(frozen=True)
class Verdict:
    """What one rule found; ``broken`` is empty where the promise is kept."""

    subject: Subject
    rule: str
    broken: str


def subjects_of(name: str, catalogue: Catalogue) -> tuple[list[Plugin], list[Subject]]:
    """Return the plugins that a name stands for, and all that is to be checked.

    A name is that of a distribution, a plugin, a backbone or a head, whichever there is. Raises
    NameNotFound for none of them.
    """
    plugins = [plugin for plugin in catalogue.plugins if name in (plugin.distribution, plugin.name)]
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
    """Yield the verdict of each rule; a process that dies or takes too long has broken the rule it was at."""
    position = 0
    while True:
        with tempfile.TemporaryDirectory() as folder:
            job = executor.submit(f"{__name__}:hold", (subject, position), Path(folder) / "log")
            under_way = "build"
            for rule, broken in _messages(job, timeout):
                if broken is None:
                    under_way = rule
                else:
                    position += 1
                    yield Verdict(subject, rule, broken)
                    under_way = ""
            job.wait(_DYING)
            hangs = not job.ended
            reason = f"no end within {timeout:g} seconds" if hangs else why_it_ended(job)
            job.cancel()
        if not under_way:
            return
        position += 1
        yield Verdict(subject, under_way, f"{subject.name}: {under_way}: expected it to end, got {reason}")
        if hangs:
            return


def _messages(job: Job, timeout: float) -> Iterator[tuple[str, str | None]]:
    """Yield messages until the child has ended, or has said nothing for ``timeout`` seconds."""
    heard = True
    while heard:
        heard = False
        for message in job.messages(timeout):
            heard = True
            yield message


def hold(task: tuple[Subject, int], send: Send) -> None:
    """Child's side: send each rule from a position on, before it is tried and with what was found."""
    from quadzoo.testing import BACKBONE_RULES, HEAD_RULES, broken_rules

    subject, position = task
    rules: tuple[Any, ...] = BACKBONE_RULES if subject.kind == "backbone" else HEAD_RULES
    for rule in rules[position:]:
        send((str(rule), None))
        send((str(rule), "".join(broken_rules(subject.name, (rule,)))))
    send(("", None))
