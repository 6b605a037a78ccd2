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


def test_missing_targets_add_nothing_to_the_gradient() -> None:
    from quadzoo.model.masking import check_maskable, masked_loss

    torch.manual_seed(0)
    head, features = HLGaussHead(8, 2), torch.randn(4, 8, 1, 1)
    known = torch.tensor([[True, True], [True, False], [False, True], [True, False]])
    target = torch.where(known, torch.rand(4, 2), torch.nan)
    check_maskable(head, head(features), torch.rand(4, 2))
    masked_loss(head, head(features), target, known).backward()
    found = [parameter.grad.clone() for parameter in head.parameters()]
    head.zero_grad()
    log_p = head(features).log_softmax(dim=2)
    losses = [
        -(head._histogram(target[i : i + 1, t : t + 1])[0, 0] * log_p[i, t]).sum()
        for i, t in known.nonzero().tolist()
    ]
    torch.stack(losses).mean().backward()
    for one, parameter in zip(found, head.parameters(), strict=True):
        assert torch.allclose(one, parameter.grad, rtol=1e-4, atol=1e-7)
