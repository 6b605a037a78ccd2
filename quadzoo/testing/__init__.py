"""The conformance kit: does a backbone or a head keep the plugin contract? For plugin authors and our tests.

::

    import pytest
    from quadzoo.testing import BACKBONE_RULES, check_backbone

    def test_mynet() -> None:
        check_backbone("mynet")  # every rule; fails with one line for each broken one

    @pytest.mark.parametrize("rule", BACKBONE_RULES, ids=str)
    def test_mynet_rule_by_rule(rule) -> None:
        rule("mynet")

A rule takes the name of an installed backbone or head, or a spec. docs/plugin-api.md lists all rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch

from quadzoo.errors import BadModule, ContractBroken
from quadzoo.registry import catalogue
from quadzoo.registry.specs import BackboneSpec, HeadSpec
from quadzoo.testing import backbones, heads
from quadzoo.testing.tools import Broken

__all__ = ["BACKBONE_RULES", "HEAD_RULES", "Rule", "broken_rules", "check_backbone", "check_head"]

Spec = TypeVar("Spec", BackboneSpec, HeadSpec)


@dataclass(frozen=True)
class Rule(Generic[Spec]):
    """One rule of the contract; a call with a name or a spec raises ContractBroken where it is broken."""

    kind: type[Spec]
    check: Callable[[Spec], None]

    def __str__(self) -> str:
        return self.check.__name__.replace("_", "-")

    @property
    def promise(self) -> str:
        """What the rule asks for, in a sentence."""
        return " ".join((self.check.__doc__ or "").split())

    def __call__(self, subject: str | Spec) -> None:
        """Check a backbone or head, by name or spec. Raises ContractBroken, or NameNotFound for its name."""
        spec = _find(subject, self.kind)
        torch.manual_seed(0)
        try:
            self.check(spec)
        except (Broken, BadModule) as error:
            reason = str(error)
        except Exception as error:  # whatever a plugin's code raises
            reason = f"expected it to work, got {type(error).__name__}: {error}"
        else:
            return
        raise ContractBroken(f"{spec.name}: {self}: {' '.join(reason.split())}; see docs/plugin-api.md#rules")


BACKBONE_RULES: tuple[Rule[BackboneSpec], ...] = tuple(
    Rule(BackboneSpec, check)
    for check in (
        backbones.shapes,
        backbones.gradients,
        backbones.evaluation,
        backbones.weights,
        backbones.fresh_process,
        backbones.low_precision,
        backbones.device,
        backbones.offline,
        backbones.global_state,
    )
)
"""The rules for backbones, for pytest.mark.parametrize."""

HEAD_RULES: tuple[Rule[HeadSpec], ...] = tuple(
    Rule(HeadSpec, check)
    for check in (
        heads.shapes,
        heads.gradients,
        heads.learning,
        heads.evaluation,
        heads.weights,
        heads.device,
        heads.global_state,
    )
)
"""The rules for heads, for pytest.mark.parametrize."""


def check_backbone(name_or_spec: str | BackboneSpec) -> None:
    """Check a backbone, by name or spec, against every rule.

    Raises ContractBroken with one line for each broken rule, NameNotFound for an unknown name.
    """
    _raise(broken_rules(name_or_spec, BACKBONE_RULES))


def check_head(name_or_spec: str | HeadSpec) -> None:
    """Check a head, by name or spec, against every rule.

    Raises ContractBroken with one line for each broken rule, NameNotFound for an unknown name.
    """
    _raise(broken_rules(name_or_spec, HEAD_RULES))


def broken_rules(subject: str | Spec, rules: tuple[Rule[Spec], ...]) -> Iterator[str]:
    """Yield a line for each broken rule: what was expected, what came, where to read more."""
    for rule in rules:
        try:
            rule(subject)
        except ContractBroken as error:
            yield str(error)


def _raise(lines: Iterator[str]) -> None:
    if broken := list(lines):
        raise ContractBroken("\n".join(broken))


def _find(subject: str | Spec, kind: type[Spec]) -> Spec:
    if not isinstance(subject, str):
        return subject
    names = catalogue.load()
    found = names.backbones[subject] if kind is BackboneSpec else names.heads[subject]
    return found.spec  # type: ignore[return-value]
