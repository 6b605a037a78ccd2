"""The loss of a head where some targets are missing: that of the known ones alone, whatever the head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from quadzoo.errors import BadModule
from quadzoo.model.contract import loss_value

_TOLERANCE = 1e-4  # relative: rounding of float32
_NOISE = 0.01
_SEED = 0


def masked_loss(head: Any, raw: Any, target: Tensor, known: Tensor) -> Tensor:
    """Return a head's mean loss over the targets that are known, a scalar.

    ``raw`` is what the head's ``forward`` gave, ``target`` float32 (B, T) in the scaled unit, ``known`` bool
    (B, T). A head with a method ``losses`` says what each target adds. Of any other the raw output of missing
    targets is detached, and they are taken to be what the head predicts: so they add a constant, and no
    gradient. What is left is scaled to the number of known ones. Up to that constant this is right where
    `is_separable`. Raises BadModule for what is no loss.
    """
    if _says_losses(head):
        losses = head.losses(raw, torch.where(known, target, 0.0))
        if not isinstance(losses, Tensor) or losses.shape != target.shape:
            raise BadModule(f"the head's method losses must give a tensor (B, T), {tuple(target.shape)}")
        return torch.where(known, losses, 0.0).sum() / known.sum()
    with torch.no_grad():
        filled = torch.where(known, target, head.predict(raw))
    kept = _each(raw, lambda part: torch.where(_like(known, part), part, part.detach()))
    return loss_value(head.loss(kept, filled)) * (known.numel() / known.sum())


def check_maskable(head: Any, raw: Any, target: Tensor) -> None:
    """Check that `masked_loss` is right for a head. Raises BadModule where it is not.

    ``raw`` is what its ``forward`` gave for some images, ``target`` float32 (B, T) is like theirs, all known.
    """
    if not (_says_losses(head) or is_separable(head, raw, target)):
        raise BadModule(
            "the head's loss does not say what each target adds, so it cannot train where some are missing; "
            "it needs a method losses(raw, target) -> (B, T)"
        )


def is_separable(head: Any, raw: Any, target: Tensor) -> bool:
    """Say whether the loss is a sum over images and targets, of each one's raw output and target alone.

    For that ``raw`` is a tensor (B, T, ...), or a tuple, list or dict of such; ``target`` is float32 (B, T).
    It is tried out: where half of the entries get another raw output and another target, the gradient of the
    others must stay the same.
    """
    parts = _parts(raw)
    if not all(part.is_floating_point() and part.shape[:2] == target.shape for part in parts):
        return False
    generator = torch.Generator().manual_seed(_SEED)

    def noise(like: Tensor) -> Tensor:
        return torch.rand(like.shape, generator=generator).to(like)

    changed = noise(target) < 0.5
    # Almost what the head gives for another image, so that the loss can be expected to take it.
    beside = [part.detach().roll(1, dims=0) + _NOISE * noise(part) for part in parts]
    mixed = [torch.where(_like(changed, one), two, one) for one, two in zip(parts, beside, strict=True)]
    before = _gradients(head, raw, parts, target)
    after = _gradients(head, raw, mixed, torch.where(changed, noise(target), target))
    return all(
        bool((torch.where(_like(changed, one), 0.0, one - two).abs() <= _TOLERANCE * one.abs().max()).all())
        for one, two in zip(before, after, strict=True)
    )


def _gradients(head: Any, raw: Any, values: list[Tensor], target: Tensor) -> list[Tensor]:
    """Return the gradient of the loss by each tensor of raw output that has these values."""
    with torch.enable_grad():
        leaves = [value.detach().clone().requires_grad_() for value in values]
        given = iter(leaves)
        loss = loss_value(head.loss(_each(raw, lambda _: next(given)), target))
        found = torch.autograd.grad(loss, leaves, allow_unused=True)
    return [torch.zeros_like(leaf) if one is None else one for one, leaf in zip(found, leaves, strict=True)]


def _says_losses(head: Any) -> bool:
    return callable(getattr(head, "losses", None))


def _like(known: Tensor, part: Tensor) -> Tensor:
    """Return bool (B, T) with as many dimensions as a part of the raw output, (B, T, ...)."""
    return known.reshape(*known.shape, *[1] * (part.ndim - known.ndim))


def _parts(raw: Any) -> list[Tensor]:
    parts: list[Tensor] = []

    def take(part: Tensor) -> Tensor:
        parts.append(part)
        return part

    _each(raw, take)
    return parts


def _each(raw: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return raw output with each of its tensors changed. Raises BadModule for other output."""
    if isinstance(raw, Tensor):
        return change(raw)
    if isinstance(raw, dict):
        return {name: _each(part, change) for name, part in raw.items()}
    if type(raw) in (list, tuple):
        return type(raw)(_each(part, change) for part in raw)
    raise BadModule(f"where targets are missing, forward must give tensors, got {type(raw).__name__}")
