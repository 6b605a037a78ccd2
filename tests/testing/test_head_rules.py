"""Every rule for heads catches what it is there for, and lets pass what keeps it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from quadzoo import HeadSpec, TargetInfo
from quadzoo.errors import ContractBroken, QuadzooError
from quadzoo.testing import HEAD_RULES, check_head

from .test_rules import broken


class Head(nn.Module):
    """A head that keeps every rule; its children break one each."""

    def __init__(self, num_features: int, num_targets: int) -> None:
        super().__init__()
        self.linear = nn.Linear(num_features, num_targets)

    def forward(self, features: Tensor) -> Tensor:
        raw: Tensor = self.linear(features.mean(dim=(2, 3)))
        return raw

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(raw, target)

    def predict(self, raw: Tensor) -> Tensor:
        return raw


class PerImage(Head):
    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        return (raw - target).square().mean(dim=1)


class OtherLosses(Head):
    def losses(self, raw: Tensor, target: Tensor) -> Tensor:
        return 2 * (raw - target).square()


class OneTarget(Head):
    def predict(self, raw: Tensor) -> Tensor:
        return raw[:, :1]


class LogOfTarget(Head):
    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        return (raw - target.log()).square().mean()


class OtherUnit(Head):
    def predict(self, raw: Tensor) -> Tensor:
        return raw * 100


class HalfDead(Head):
    def __init__(self, num_features: int, num_targets: int) -> None:
        super().__init__(num_features, num_targets)
        self.spare = nn.Parameter(torch.zeros(2))


class Unlearnable(Head):
    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        return raw.square().mean() + 0 * target.sum()


class Batchwise(Head):
    def predict(self, raw: Tensor) -> Tensor:
        return raw - raw.mean(dim=0)


class LossElsewhere(Head):
    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        return ((raw - target) * torch.ones(raw.shape)).square().mean()


class PredictsElsewhere(Head):
    def predict(self, raw: Tensor) -> Tensor:
        return raw + torch.linspace(0, 0, raw.shape[1])


class NegativeSpread(Head):
    def spread(self, raw: Tensor) -> Tensor:
        return -raw.exp()


class OneSpread(Head):
    def spread(self, raw: Tensor) -> Tensor:
        return raw.exp().mean(dim=1)


class NoLoss(nn.Linear):
    def predict(self, raw: Tensor) -> Tensor:
        return raw


def head(kind: Callable[[int, int], nn.Module]) -> HeadSpec:
    def build(*, num_features: int, targets: TargetInfo) -> nn.Module:
        return kind(num_features, len(targets))

    return HeadSpec(name=getattr(kind, "__name__", "x"), build=build)


def test_a_good_head_keeps_every_rule() -> None:
    check_head(head(Head))


@pytest.mark.parametrize(
    ("kind", "rule", "told"),
    [
        (PerImage, "shapes", "expected a scalar loss"),
        (OtherLosses, "shapes", "expected losses whose mean is the loss"),
        (OneTarget, "shapes", "expected predictions (1, 3)"),
        (LogOfTarget, "shapes", "expected finite numbers"),
        (NegativeSpread, "shapes", "expected positive spreads (3, 1)"),
        (OneSpread, "shapes", "expected positive spreads (3, 1)"),
        (NoLoss, "shapes", "expected a method loss, got none"),
        (HalfDead, "gradients", "expected a finite gradient for spare"),
        (OtherUnit, "learning", "expected an MSE below"),
        (Unlearnable, "learning", "expected an MSE below"),
        (LossElsewhere, "device", "expected all tensors on the device of the inputs"),
        (PredictsElsewhere, "device", "expected all tensors on the device of the inputs"),
        (Batchwise, "evaluation", "expected predictions independent of the batch"),
    ],
)
def test_a_bad_head_breaks_its_rule(kind: type[Head], rule: str, told: str) -> None:
    lines = broken(head(kind), HEAD_RULES)
    assert told in lines[rule]


def test_all_broken_rules_are_told_at_once() -> None:
    with pytest.raises(ContractBroken) as error:
        check_head(head(Batchwise))
    assert str(error.value).splitlines() == list(broken(head(Batchwise), HEAD_RULES).values())
    assert isinstance(error.value, QuadzooError)
    assert isinstance(error.value, AssertionError)


@pytest.mark.parametrize("name", ["mlp", "linear", "gaussian", "integer", "spatial", "skip", "ridge"])
def test_built_in_heads(name: str) -> None:
    check_head(name)
