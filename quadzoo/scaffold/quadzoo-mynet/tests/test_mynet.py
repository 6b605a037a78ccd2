"""Check the installed plugin against every rule of quadzoo's conformance kit."""

import pytest

from quadzoo.testing import BACKBONE_RULES, HEAD_RULES, Rule


@pytest.mark.parametrize("rule", BACKBONE_RULES, ids=str)
def test_backbone(rule: Rule) -> None:
    """Check the backbone against a rule."""
    rule("mynet")


@pytest.mark.parametrize("rule", HEAD_RULES, ids=str)
def test_head(rule: Rule) -> None:
    """Check the head against a rule."""
    rule("mynet_head")
