"""Change training images a little, on the batch and on its device, never what they say."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from quadzoo.model.recipe import Augment

_SHIFT = 0.02  # of a side
_ZOOM = 0.04
_LIGHT = 0.2
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def augment(images: Tensor, kind: Augment) -> Tensor:
    """Return the images (B, C, H, W), from 0 to 255, each changed at random; nothing is mirrored or turned.

    ``shift`` moves an image by up to 2 % of its sides and scales it by up to 4 %, the same for height and
    width; what comes in from outside repeats the edge. ``photo`` also changes brightness, contrast and,
    with three channels, saturation, by up to a fifth each. The result is float32, but for ``none``, which
    returns what it was given. Torch's generator of the device decides.
    """
    if kind == "none":
        return images
    # Autocast would round the grid to 8 bits, and with it the images.
    with torch.autocast(images.device.type, enabled=False):
        changed = _moved(images.float())
        return _lit(changed) if kind == "photo" else changed


def _moved(images: Tensor) -> Tensor:
    amount = _random(images, 3)
    theta = torch.zeros(len(images), 2, 3, device=images.device)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 + _ZOOM * amount[:, 0]
    theta[:, :, 2] = 2 * _SHIFT * amount[:, 1:]  # in the grid's unit a side is 2 long
    grid = affine_grid(theta, list(images.shape), align_corners=False)
    moved: Tensor = grid_sample(images, grid, padding_mode="border", align_corners=False)
    return moved.contiguous(memory_format=torch.channels_last)


def _lit(images: Tensor) -> Tensor:
    brightness, contrast, saturation = (1 + _LIGHT * _random(images, 3)).T[..., None, None, None]
    if images.shape[1] == 3:
        red, green, blue = (weight * images[:, i : i + 1] for i, weight in enumerate(_LUMA))
        grey = red + green + blue
        images = grey + saturation * (images - grey)
    middle = images.mean(dim=(1, 2, 3), keepdim=True)
    return torch.clamp(brightness * (middle + contrast * (images - middle)), 0, 255)


def _random(images: Tensor, n: int) -> Tensor:
    """Return (B, n) numbers from -1 to 1."""
    uniform: Tensor = 2 * torch.rand(len(images), n, device=images.device) - 1
    return uniform
