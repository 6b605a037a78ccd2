"""docs/plugin-api.md says what the code says."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import quadzoo
from quadzoo import testing
from quadzoo.registry import hooks, specs

PAGE = (Path(__file__).parents[2] / "docs" / "plugin-api.md").read_text(encoding="utf-8")
PYTHON = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
SIGNATURES = set(re.findall(r"```python\n(.*?)\n```", PAGE, re.DOTALL))


def written(name: str, function: object) -> str:
    """A signature as the page writes it."""
    signature = str(inspect.signature(function)).replace("(self, ", "(")  # type: ignore[arg-type]
    # Annotations are text in the source; only the empty default keeps its quotes.
    return name + re.sub(r"(: |-> )'([^']*)'", r"\1\2", signature).removesuffix(
        " -> None" * name.endswith(KINDS)
    )


KINDS = ("Spec", "Info")


def test_every_signature_stands_on_the_page_and_no_other() -> None:
    registering = {name: hook for name, hook in vars(hooks).items() if hasattr(hook, f"{hooks.GROUP}_spec")}
    assert {*registering} == {"register_backbones", "register_heads", "register_models", "find_backbone"}
    public = {name: getattr(quadzoo, name) for name in quadzoo.__all__ if name.endswith(KINDS)}
    builders = {
        "BackboneBuilder": specs.BackboneBuilder.__call__,
        "HeadBuilder": specs.HeadBuilder.__call__,
    }
    checks = {"check_backbone": testing.check_backbone, "check_head": testing.check_head}
    everything = registering | public | builders | checks
    assert {written(name, thing) for name, thing in everything.items()} == SIGNATURES


def test_every_rule_stands_on_the_page_and_no_other() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| (.*) \|$", PAGE, re.MULTILINE)
    assert rows == [(str(rule), rule.promise) for rule in (*testing.BACKBONE_RULES, *testing.HEAD_RULES)]


def test_public_names_are_told() -> None:
    for name in (*quadzoo.__all__, *testing.__all__):
        if name not in ("__version__", "Rule", "broken_rules"):
            assert name in PAGE or f"quadzoo.{name}" in PYTHON
