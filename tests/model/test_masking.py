"""Where targets are missing, the gradient is that of the loss over the known ones, by independent code."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from quadzoo import TargetInfo
from quadzoo.errors import BadModule
from quadzoo.model.masking import check_maskable, masked_loss
from tests.model.test_heads import build

INFO = TargetInfo(
    names=("u", "v", "w"), low=(0.0, 0.0, -3.0), high=(1.0, 1.0, 6.0), integer=(False, False, True)
)
B, T, F = 7, 3, 16


def entries(known: Tensor) -> list[tuple[int, int]]:
    """The known entries, one by one."""
    return [(image, target) for image in range(B) for target in range(T) if known[image, target]]


def squared(head: Any, raw: Tensor, target: Tensor, known: Tensor) -> Tensor:
    return torch.stack([(raw[at] - target[at]) ** 2 for at in entries(known)]).mean()


def beta_nll(head: Any, raw: Tensor, target: Tensor, known: Tensor) -> Tensor:
    losses = []
    for at in entries(known):
        mean, variance = raw[at]
        nll = 0.5 * (torch.log(variance) + (target[at] - mean) ** 2 / variance)
        losses.append(variance.detach().sqrt() * nll)
    return torch.stack(losses).mean()


def cross_entropy(head: Any, raw: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Classes at equal distances, 101 of u and v, and 10 of w; a value between two is divided."""
    sizes, losses = (101, 101, 10), []
    for image, at in entries(known):
        begin = sum(sizes[:at])
        log_p = raw[image, begin : begin + sizes[at]].log_softmax(dim=0)
        position = float(target[image, at].clamp(0, 1)) * (sizes[at] - 1)
        below = min(math.floor(position), sizes[at] - 2)
        losses.append(-(1 - (position - below)) * log_p[below] - (position - below) * log_p[below + 1])
    return torch.stack(losses).mean()


OWN: dict[str, Callable[..., Tensor]] = {
    "mlp": squared, "linear": squared, "skip": squared, "spatial": squared, "ridge": squared,
    "gaussian": beta_nll, "integer": cross_entropy,
}  # fmt: skip


def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Features, targets with NaN where they are missing, and where they are not."""
    torch.manual_seed(1)
    known = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1]]).bool()
    target = torch.where(known, torch.rand(B, T) * 1.2 - 0.1, torch.nan)
    return torch.randn(B, F, 2, 9), target, known


def gradients(head: Any, features: Tensor, loss: Callable[[Any], Tensor]) -> list[Tensor]:
    """Those of all parameters, and of the features."""
    features = features.clone().requires_grad_()
    wanted = [*head.parameters(), features]
    found = torch.autograd.grad(loss(head(features)), wanted, allow_unused=True)
    return [torch.zeros_like(of) if one is None else one for one, of in zip(found, wanted, strict=True)]


def prepared(name: str) -> Any:
    """A head that predicts something: not the zeros that some start with."""
    head = build(name, F, INFO).train()
    with torch.no_grad():
        for value in [head.weight] if name == "ridge" else head.parameters():
            value.add_(0.1 * torch.randn_like(value))
    if name == "ridge":
        head.low.fill_(-9.0)
        head.high.fill_(9.0)
    return head


@pytest.mark.parametrize("name", OWN)
def test_gradients_are_those_of_the_known_targets_alone(name: str) -> None:
    head, (features, target, known) = prepared(name), batch()
    check_maskable(head, head(features), torch.rand(B, T))
    found = gradients(head, features, lambda raw: masked_loss(head, raw, target, known))
    expected = gradients(head, features, lambda raw: OWN[name](head, raw, target, known))
    assert max(float(one.abs().max()) for one in expected) > 1e-4
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", OWN)
def test_with_all_targets_it_is_the_loss(name: str) -> None:
    head, (features, _, _) = prepared(name), batch()
    target, known, raw = torch.rand(B, T), torch.ones(B, T, dtype=torch.bool), head(features)
    found, expected = masked_loss(head, raw, target, known), head.loss(raw, target)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


class Stranger(nn.Module):
    """A head of a plugin that knows no more than the contract: the raw output is a dict of tuples."""

    def __init__(self) -> None:
        super().__init__()
        self.mean, self.scale = nn.Linear(F, T), nn.Linear(F, T)

    def forward(self, features: Tensor) -> dict[str, Any]:
        pooled = features.mean((2, 3))
        return {"both": (self.mean(pooled), self.scale(pooled).exp())}

    def loss(self, raw: Any, target: Tensor) -> Tensor:
        mean, scale = raw["both"]
        # Laplace; a sum over targets, which is three times the mean.
        return ((mean - target).abs() / scale + scale.log()).sum(dim=1).mean()

    def predict(self, raw: Any) -> Tensor:
        mean: Tensor = raw["both"][0]
        return mean


def test_a_head_that_knows_only_loss_and_predict() -> None:
    torch.manual_seed(0)
    head, (features, target, known) = Stranger(), batch()
    check_maskable(head, head(features), torch.rand(B, T))

    def own(raw: Any) -> Tensor:
        mean, scale = raw["both"]
        some = [(mean[at] - target[at]).abs() / scale[at] + scale[at].log() for at in entries(known)]
        return T * torch.stack(some).mean()

    found = gradients(head, features, lambda raw: masked_loss(head, raw, target, known))
    for one, other in zip(found, gradients(head, features, own), strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6)


class Coupled(Stranger):
    """Its loss looks at the sum of the errors of all targets."""

    def loss(self, raw: Any, target: Tensor) -> Tensor:
        return (raw["both"][0] - target).sum(dim=1).square().mean()


class OfTheBatch(Stranger):
    """Its loss is relative to the spread of the targets in the batch."""

    def loss(self, raw: Any, target: Tensor) -> Tensor:
        return (raw["both"][0] - target).square().mean() / target.var()


class Latent(nn.Module):
    """Its raw output is (B, T), but each prediction is made of all of it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.mix = nn.Linear(F, T), nn.Linear(T, T)
        for parameter in self.layer.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor) -> Tensor:
        raw: Tensor = self.layer(features.mean((2, 3)))
        return raw

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        return (self.predict(raw) - target).square().mean()

    def predict(self, raw: Tensor) -> Tensor:
        prediction: Tensor = self.mix(raw)
        return prediction


class Narrow(Stranger):
    """Its raw output is not by target."""

    def forward(self, features: Tensor) -> Any:
        return torch.cat(super().forward(features)["both"], dim=1)

    def loss(self, raw: Any, target: Tensor) -> Tensor:
        return (raw[:, :T] - target).square().mean()

    def predict(self, raw: Any) -> Tensor:
        prediction: Tensor = raw[:, :T]
        return prediction


@pytest.mark.parametrize("kind", [Coupled, OfTheBatch, Latent, Narrow])
def test_a_loss_that_cannot_be_divided_is_refused(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    head, (features, _, _) = kind(), batch()
    with pytest.raises(BadModule, match=r"needs a method losses\(raw, target\)"):
        check_maskable(head, head(features), torch.rand(B, T))


def test_losses_of_another_shape_are_refused() -> None:
    head, (features, target, known) = build("integer", F, INFO), batch()
    head.losses = lambda raw, target: target.sum(dim=1)
    with pytest.raises(BadModule, match=r"losses must give a tensor \(B, T\), \(7, 3\)"):
        masked_loss(head, head(features), target, known)
