"""The plugin, installed, against every rule of quadzoo's conformance kit."""

import pytest

from quadzoo.testing import BACKBONE_RULES, HEAD_RULES, Rule


@pytest.mark.parametrize("rule", BACKBONE_RULES, ids=str)
def test_backbone(rule: Rule) -> None:
    """Hold the backbone to a rule."""
    rule("mynet")


@pytest.mark.parametrize("rule", HEAD_RULES, ids=str)
def test_head(rule: Rule) -> None:
    """Hold the head to a rule."""
    rule("mynet_head")
