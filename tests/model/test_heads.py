from __future__ import annotations

import pytest
import torch
from torch import nn

from quadzoo import TargetInfo
from quadzoo.registry.catalogue import load

INFO = TargetInfo(names=("u", "v"), low=(0.0, 0.0), high=(1.0, 1.0), integer=(False, False))


def build(name: str, num_features: int = 32) -> nn.Module:
    torch.manual_seed(0)
    return load().heads[name].spec.build(num_features=num_features, targets=INFO)


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
