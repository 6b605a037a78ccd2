import pytest
import torch

from quadzoo.testing import BACKBONE_RULES, Rule
from quadzoo_efficientnet_lite import build


@pytest.mark.parametrize("rule", BACKBONE_RULES, ids=str)
def test_rule(rule: Rule) -> None:
    rule("efficientnet_lite0")


def test_pretrained_weights_differ_and_are_the_same_each_time() -> None:
    torch.manual_seed(0)
    one, two, scratch = (
        build(pretrained=pretrained, in_channels=3, image_size=(64, 64)).eval()
        for pretrained in (True, True, False)
    )
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(one(image), two(image))
        assert not torch.allclose(one(image), scratch(image), atol=0.1)


def test_grey_is_the_same_as_grey_three_times() -> None:
    grey, colour = (build(pretrained=True, in_channels=n, image_size=(64, 96)).eval() for n in (1, 3))
    image = torch.rand(2, 1, 64, 96)
    with torch.no_grad():
        assert torch.allclose(grey(image), colour(image.expand(-1, 3, -1, -1)), atol=1e-3)
