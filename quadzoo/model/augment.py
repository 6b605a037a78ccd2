"""Small random changes of training images, on the whole batch and on its device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from quadzoo.model.recipe import Augment

_MOST_SHIFT = 0.02  # of a side
_MOST_ZOOM = 0.04
_MOST_LIGHT = 0.2
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def augment(images: Tensor, kind: Augment) -> Tensor:
    """Return the images (B, C, H, W), values 0 to 255, each changed at random; none is flipped or rotated.

    ``shift`` moves an image by up to 2 % of its sides and scales it by up to 4 %, height and width alike; new
    border pixels repeat the edge. ``photo`` also changes brightness, contrast and, with three channels,
    saturation, by up to 20 % each. The result is float32; ``none`` returns its argument unchanged. Random
    numbers come from torch's generator of the device.
    """
    if kind == "none":
        return images
    # Autocast would compute the sampling grid in bf16, which is too coarse for positions.
    with torch.autocast(images.device.type, enabled=False):
        shifted = _shift(images.float())
        return _change_light(shifted) if kind == "photo" else shifted


def _shift(images: Tensor) -> Tensor:
    amount = _random(images, 3)
    theta = torch.zeros(len(images), 2, 3, device=images.device)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 + _MOST_ZOOM * amount[:, 0]
    theta[:, :, 2] = 2 * _MOST_SHIFT * amount[:, 1:]  # in the grid's unit a side has length 2
    grid = affine_grid(theta, list(images.shape), align_corners=False)
    on_mps = images.device.type == "mps"
    padding = "zeros" if on_mps else "border"
    shifted: Tensor = grid_sample(
        images, _within(grid, images) if on_mps else grid, padding_mode=padding, align_corners=False
    )
    return shifted.contiguous(memory_format=torch.channels_last)


def _within(grid: Tensor, images: Tensor) -> Tensor:
    """Return a grid of positions, float32 (B, H, W, 2), moved to the centres of the border pixels at most.

    That is border padding, which torch has not on Apple's GPUs.
    """
    height, width = images.shape[2:]
    last = torch.tensor([1 - 1 / width, 1 - 1 / height], device=grid.device)
    return torch.clamp(grid, -last, last)


def _change_light(images: Tensor) -> Tensor:
    brightness, contrast, saturation = (1 + _MOST_LIGHT * _random(images, 3)).T[..., None, None, None]
    if images.shape[1] == 3:
        red, green, blue = (weight * images[:, i : i + 1] for i, weight in enumerate(_LUMA))
        grey = red + green + blue
        images = grey + saturation * (images - grey)
    middle = images.mean(dim=(1, 2, 3), keepdim=True)
    return torch.clamp(brightness * (middle + contrast * (images - middle)), 0, 255)


def _random(images: Tensor, n: int) -> Tensor:
    """Return float32 (B, n), uniform from -1 to 1."""
    uniform: Tensor = 2 * torch.rand(len(images), n, device=images.device) - 1
    return uniform
