from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from quadzoo import TargetInfo
from quadzoo.registry.catalogue import load

INFO = TargetInfo(names=("u", "v"), low=(0.0, 0.0), high=(1.0, 1.0), integer=(False, False))


def build(name: str, num_features: int = 32, targets: TargetInfo = INFO) -> nn.Module:
    torch.manual_seed(0)
    return load().heads[name].spec.build(num_features=num_features, targets=targets)


@pytest.mark.parametrize("name", ["mlp", "linear"])
@pytest.mark.parametrize("size", [(1, 1), (2, 7)])
def test_contract(name: str, size: tuple[int, int]) -> None:
    head = build(name)
    raw = head(torch.rand(5, 32, *size))
    target = torch.rand(5, 2)
    loss = head.loss(raw, target)
    assert loss.shape == ()
    assert head.predict(raw).shape == (5, 2)
    assert loss.item() == pytest.approx(((head.predict(raw) - target) ** 2).mean().item())
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())


def test_mlp_is_the_tutorials_stack() -> None:
    layers = list(build("mlp", 2048).layers)
    widths = [(m.in_features, m.out_features) for m in layers if isinstance(m, nn.Linear)]
    assert widths == [(2048, 1024), (1024, 512), (512, 256), (256, 100), (100, 10), (10, 2)]
    assert [type(m).__name__ for m in layers] == ["Linear", "LeakyReLU"] * 4 + ["Linear", "Linear"]


def test_linear_is_one_layer() -> None:
    (layer,) = build("linear").layers
    assert (layer.in_features, layer.out_features) == (32, 2)


WHOLE = TargetInfo(names=("n", "y"), low=(-3, 0), high=(6, 1), integer=(True, False))


def test_integer_is_the_cross_entropy_of_a_class_a_value() -> None:
    head = build("integer", targets=WHOLE)
    raw = head(torch.randn(4, 32, 2, 7))
    assert raw.shape == (4, 10 + 101)
    n = torch.tensor([-3, 0, 5, 6])
    y = torch.tensor([0.0, 0.25, 0.505, 1.0])
    expected = F.cross_entropy(raw[:, :10], n + 3, reduction="none")
    # What lies between two values of the grid counts for both.
    logs = raw[:, 10:].log_softmax(dim=1)
    expected = expected - torch.stack(
        [logs[0, 0], logs[1, 25], (logs[2, 50] + logs[2, 51]) / 2, logs[3, 100]]
    )
    target = torch.stack(((n + 3) / 9, y), dim=1)
    assert head.loss(raw, target).item() == pytest.approx(expected.mean().item() / 2, rel=1e-4)


def test_integer_takes_what_lies_outside_for_the_nearest() -> None:
    head = build("integer", targets=WHOLE)
    raw = head(torch.randn(2, 32, 1, 1))
    outside, edge = torch.tensor([[-0.4, 1.3]] * 2), torch.tensor([[0.0, 1.0]] * 2)
    assert head.loss(raw, outside).item() == pytest.approx(head.loss(raw, edge).item())


def test_integer_predicts_the_expectation_or_the_mode() -> None:
    head = build("integer", targets=WHOLE)
    raw = torch.full((1, 111), -50.0)
    raw[0, 2], raw[0, 8] = 1.0, 0.0  # of n: 2/9 is e times as probable as 8/9
    raw[0, 10 + 40] = 0.0
    share = torch.e / (1 + torch.e)
    expectation = share * 2 / 9 + (1 - share) * 8 / 9
    assert head.predict(raw)[0].tolist() == pytest.approx([expectation, 0.4], abs=1e-5)
    head.use_prediction_mode("mode")
    assert head.predict(raw)[0].tolist() == pytest.approx([2 / 9, 0.4], abs=1e-6)
    loaded = build("integer", targets=WHOLE)
    loaded.load_state_dict(head.state_dict())
    assert torch.equal(loaded.predict(raw), head.predict(raw))
    loaded.use_prediction_mode("expectation")
    assert loaded.predict(raw)[0, 0].item() == pytest.approx(expectation, abs=1e-5)
    with pytest.raises(ValueError, match="prediction mode 'median': use expectation or mode"):
        loaded.use_prediction_mode("median")


@pytest.mark.parametrize(("high", "values"), [(4095, 4096), (4096, 101)])
def test_integer_reads_many_values_off_a_grid(high: int, values: int) -> None:
    head = build("integer", targets=TargetInfo(names=("n",), low=(0,), high=(high,), integer=(True,)))
    assert head(torch.randn(1, 32, 1, 1)).shape == (1, values)


def test_gaussian_is_the_likelihood_weighted_by_its_variance() -> None:
    head = build("gaussian")
    raw = head(torch.randn(6, 32, 2, 3)).detach().requires_grad_()
    target = torch.rand(6, 2)
    mean, variance = raw.unbind(dim=2)
    likelihood = 0.5 * (variance.log() + (target - mean) ** 2 / variance)
    loss = head.loss(raw, target)
    assert loss.item() == pytest.approx((variance.sqrt() * likelihood).mean().item(), rel=1e-4)
    loss.backward()
    # No gradient flows through the weight: that of the mean is (mean - target) / sqrt(variance).
    expected = (mean - target) / variance.sqrt() / 12
    assert torch.allclose(raw.grad[:, :, 0], expected, rtol=1e-3, atol=1e-6)
    expected = variance.sqrt() * 0.5 * (1 / variance - (target - mean) ** 2 / variance**2) / 12
    assert torch.allclose(raw.grad[:, :, 1], expected, rtol=1e-3, atol=1e-6)
    assert torch.equal(head.predict(raw), mean)
    assert torch.equal(head.spread(raw), variance.sqrt())


def test_spatial_sees_in_which_order_columns_stand() -> None:
    features = torch.randn(2, 32, 3, 8)
    turned, lifted = features.flip(3), features.flip(2)
    spatial, pooled = build("spatial"), build("mlp")
    assert not torch.allclose(spatial(features), spatial(turned), atol=1e-3)
    assert torch.allclose(spatial(features), spatial(lifted), atol=1e-5)
    assert torch.allclose(pooled(features), pooled(turned), atol=1e-5)


def test_heads_that_regress_learn_in_standard_units() -> None:
    """Their first answer is then near the mean of each target, not at the low end of its range."""
    heads = load().heads
    ours = ("mlp", "linear", "gaussian", "skip", "ridge", "spatial")
    assert {heads[name].spec.unit for name in ours} == {"standard"}
    assert heads["integer"].spec.unit == "range"
