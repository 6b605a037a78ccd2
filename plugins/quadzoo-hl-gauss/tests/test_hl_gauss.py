import pytest
import torch

from quadzoo.testing import HEAD_RULES, Rule
from quadzoo_hl_gauss.head import HLGaussHead


@pytest.mark.parametrize("rule", HEAD_RULES, ids=str)
def test_rule(rule: Rule) -> None:
    rule("hl_gauss")


def test_histograms_are_gaussians_around_their_targets() -> None:
    head = HLGaussHead(8, 1)
    targets = torch.tensor([[0.0], [0.3], [1.0]])
    histogram = head._histogram(targets)
    assert torch.allclose(histogram.sum(dim=2), torch.ones(3, 1))
    centres = (head.edges[1:] + head.edges[:-1]) / 2
    mean = (histogram * centres).sum(dim=2)
    assert torch.allclose(mean, targets, atol=1e-4)
    width = ((histogram * (centres - mean[:, :, None]) ** 2).sum(dim=2)).sqrt() / (centres[1] - centres[0])
    assert torch.allclose(
        width, torch.tensor((0.75**2 + 1 / 12) ** 0.5), atol=1e-3
    )  # and the bin's own width


def test_targets_beyond_the_bins_are_the_outermost() -> None:
    head = HLGaussHead(8, 2)
    histogram = head._histogram(torch.tensor([[-5.0, 5.0]]))
    assert histogram.isfinite().all()
    assert (int(histogram[0, 0].argmax()), int(histogram[0, 1].argmax())) == (0, 100)


def test_the_loss_is_least_at_the_targets_own_histogram() -> None:
    head = HLGaussHead(8, 1)
    target = torch.tensor([[0.37]])
    right = head._histogram(target).clamp(min=1e-12).log()
    assert head.loss(right, target) < head.loss(right.roll(1, dims=2), target)
    assert torch.allclose(head.predict(right), target, atol=1e-4)
