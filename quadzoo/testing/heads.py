"""The rules for heads: each docstring is the rule, its code the check."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from quadzoo.model.contract import check_head
from quadzoo.registry.specs import HeadSpec
from quadzoo.targets import TargetInfo
from quadzoo.testing.tools import (
    Broken,
    check_device,
    check_finite,
    check_global_state,
    check_gradients,
    check_saved_weights,
    difference,
)

_NUM_FEATURES = 24
_TARGETS = {
    1: TargetInfo(names=("y",), low=(-3.0,), high=(5.0,), integer=(False,)),
    3: TargetInfo(names=("a", "b", "c"), low=(1, -48, -792), high=(20, 96, 600), integer=(True, True, True)),
}


def _build(spec: HeadSpec, n_targets: int = 3) -> Any:
    head = spec.build(num_features=_NUM_FEATURES, targets=_TARGETS[n_targets])
    check_head(head)
    return head


def shapes(spec: HeadSpec) -> None:
    """Any h and w, one target or three: finite predictions (B, T) and loss, the mean of any `losses`.

    Any spread is positive.
    """
    for n_targets, size, batch in ((1, (1, 1), 3), (3, (1, 1), 1), (3, (4, 7), 3), (1, (2, 13), 1)):
        head = _build(spec, n_targets)
        for training in (True, False):
            raw = head.train(training)(torch.randn(batch, _NUM_FEATURES, *size))
            # Test targets may lie a little outside the range of the training targets.
            target = torch.rand(batch, n_targets) * 1.2 - 0.1
            loss = head.loss(raw, target)
            prediction = head.predict(raw)
            where = f"features ({batch}, {_NUM_FEATURES}, {size[0]}, {size[1]})"
            if loss.ndim != 0:
                raise Broken(f"a scalar loss of {where}", tuple(loss.shape))
            if tuple(prediction.shape) != (batch, n_targets):
                raise Broken(f"predictions {(batch, n_targets)} of {where}", tuple(prediction.shape))
            check_finite(loss, where)
            _check_losses(head, raw, target, loss)
            check_finite(prediction, where)
            if hasattr(head, "spread"):
                spread = head.spread(raw)
                if tuple(spread.shape) != (batch, n_targets) or not (spread > 0).all():
                    raise Broken(f"positive spreads {(batch, n_targets)} of {where}", _described(spread))
                check_finite(spread, where)


def _described(spread: Tensor) -> str:
    return f"{tuple(spread.shape)}, from {float(spread.detach().min()):.3g}"


def _check_losses(head: Any, raw: Any, target: Tensor, loss: Tensor) -> None:
    """Check that what a head says of each target fits its loss; not every head has such a method."""
    if callable(getattr(head, "losses", None)):
        losses = head.losses(raw, target)
        if tuple(losses.shape) != tuple(target.shape):
            raise Broken(f"losses {tuple(target.shape)}", tuple(losses.shape))
        if not torch.allclose(losses.mean(), loss, rtol=1e-4, atol=1e-5):
            raise Broken("losses whose mean is the loss", difference(losses.mean().detach(), loss.detach()))


def gradients(spec: HeadSpec) -> None:
    """The loss gives every parameter, and the features, a finite gradient; a closed form has none."""
    head = _build(spec).train()
    if spec.closed_form:
        if count := sum(1 for _ in head.parameters()):
            raise Broken("no parameters in a head with closed_form", count)
        return
    features = torch.randn(8, _NUM_FEATURES, 2, 3, requires_grad=True)
    head.loss(head(features), torch.rand(8, 3)).backward()
    check_gradients(head)
    if features.grad is None or not features.grad.isfinite().all():
        raise Broken("a finite gradient for the features", features.grad)


def learning(spec: HeadSpec) -> None:
    """300 steps explain more than half of the targets' variance; so does `start`, if there is one."""
    features = torch.randn(64, _NUM_FEATURES, 1, 1)
    target = torch.sigmoid(features[:, :3, 0, 0])
    if not spec.closed_form:
        _check_fit(_trained(_build(spec), features, target), features, target, "300 steps")
    if spec.closed_form or hasattr(_build(spec), "start"):
        head = _build(spec)
        head.start(features[:, :, 0, 0], target)
        _check_fit(head, features, target, "start")


def _trained(head: Any, features: Tensor, target: Tensor) -> Any:
    optimizer = torch.optim.Adam(head.train().parameters(), lr=3e-3)
    for _ in range(300):
        optimizer.zero_grad()
        head.loss(head(features), target).backward()
        optimizer.step()
    return head


def _check_fit(head: Any, features: Tensor, target: Tensor, after: str) -> None:
    with torch.no_grad():
        error = float((head.eval().predict(head(features)) - target).square().mean())
    variance = float(target.var(dim=0).mean())
    if not error < variance / 2:
        raise Broken(f"an MSE below {variance / 2:.3g} after {after}", f"{error:.3g}")


def evaluation(spec: HeadSpec) -> None:
    """In eval mode the same features give the same prediction, whatever else is in the batch."""
    head = _build(spec).eval()
    features = torch.randn(3, _NUM_FEATURES, 2, 3)
    with torch.no_grad():
        together, alone = head.predict(head(features)), head.predict(head(features[1:2]))
    if not torch.allclose(together[1:2], alone, rtol=1e-4, atol=1e-5):
        raise Broken(
            "predictions independent of the batch",
            difference(together[1:2], alone),
        )


def weights(spec: HeadSpec) -> None:
    """Weights saved with safetensors and loaded into another build give the same output, bit for bit."""
    check_saved_weights(lambda: _build(spec), torch.randn(2, _NUM_FEATURES, 2, 3))


class _Whole(nn.Module):
    """Forward, loss and predict of a head in one call."""

    def __init__(self, head: Any) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        raw = self.head(features)
        return self.head.loss(raw, target), self.head.predict(raw)


def device(spec: HeadSpec) -> None:
    """Tensors that a head creates are on the features' device, as far as that can be seen without a GPU."""
    for training in (True, False):
        features, target = torch.randn(4, _NUM_FEATURES, 2, 3), torch.rand(4, 3)
        check_device(_Whole(_build(spec)).train(training), features, target)


def global_state(spec: HeadSpec) -> None:
    """Build seeds nothing, draws from torch's generator alone, and changes no other global state."""
    check_global_state(lambda: _build(spec))
