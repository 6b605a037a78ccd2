"""Change training pictures a little, on the batch and on its device, never what they say."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from quadzoo.model.recipe import Augment

_SHIFT = 0.02  # of a side
_ZOOM = 0.04
_LIGHT = 0.2
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def augment(pictures: Tensor, kind: Augment) -> Tensor:
    """Return the pictures (B, C, H, W), from 0 to 255, each changed at random; nothing is mirrored or turned.

    ``shift`` moves a picture by up to 2 % of its sides and scales it by up to 4 %, the same for height and
    width; what comes in from outside repeats the edge. ``photo`` also changes brightness, contrast and,
    with three channels, saturation, by up to a fifth each. The result is float32, but for ``none``, which
    returns what it was given. Torch's generator of the device decides.
    """
    if kind == "none":
        return pictures
    # Autocast would round the grid to 8 bits, and with it the pictures.
    with torch.autocast(pictures.device.type, enabled=False):
        changed = _moved(pictures.float())
        return _lit(changed) if kind == "photo" else changed


def _moved(pictures: Tensor) -> Tensor:
    amount = _random(pictures, 3)
    theta = torch.zeros(len(pictures), 2, 3, device=pictures.device)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 + _ZOOM * amount[:, 0]
    theta[:, :, 2] = 2 * _SHIFT * amount[:, 1:]  # in the grid's unit a side is 2 long
    grid = affine_grid(theta, list(pictures.shape), align_corners=False)
    moved: Tensor = grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    return moved.contiguous(memory_format=torch.channels_last)


def _lit(pictures: Tensor) -> Tensor:
    brightness, contrast, saturation = (1 + _LIGHT * _random(pictures, 3)).T[..., None, None, None]
    if pictures.shape[1] == 3:
        red, green, blue = (weight * pictures[:, i : i + 1] for i, weight in enumerate(_LUMA))
        grey = red + green + blue
        pictures = grey + saturation * (pictures - grey)
    middle = pictures.mean(dim=(1, 2, 3), keepdim=True)
    return torch.clamp(brightness * (middle + contrast * (pictures - middle)), 0, 255)


def _random(pictures: Tensor, n: int) -> Tensor:
    """Return (B, n) numbers from -1 to 1."""
    uniform: Tensor = 2 * torch.rand(len(pictures), n, device=pictures.device) - 1
    return uniform
