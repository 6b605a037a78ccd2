"""Make any timm architecture a backbone: any size, 1 or 3 channels, features as a map."""

from __future__ import annotations

import itertools
import math
from typing import Any

import timm
import torch
from huggingface_hub import constants, model_info, try_to_load_from_cache
from torch import Tensor, nn
from torch.nn import functional as F

_PATIENCE = 5.0  # seconds for the hub's first answer
_POOLINGS: tuple[dict[str, Any], ...] = ({"global_pool": ""}, {})


def _ask_once_for(repository: str | None) -> None:
    """Raise when weights are neither in the local cache nor in reach.

    The hub's own download tries again and again for three quarters of a minute before it says so.
    """
    files = (constants.SAFETENSORS_SINGLE_FILE, constants.PYTORCH_WEIGHTS_NAME)
    if repository and not any(isinstance(try_to_load_from_cache(repository, file), str) for file in files):
        model_info(repository, timeout=_PATIENCE)


class TimmFeatures(nn.Module):
    """A timm model as features (B, F, h, w) from images (B, in_channels, H, W) in [0, 1].

    Transformers give their patch tokens as a map, without class and register tokens. An architecture
    that refuses the size, or whose patches would cut off its last rows or columns, gets the image
    padded at the right and the bottom with the mean colour. ``num_features`` is measured, since timm's
    own attribute is not always what comes out.
    """

    mean: Tensor
    std: Tensor
    model: Any

    def __init__(self, name: str, pretrained: bool, in_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        config: Any = timm.get_pretrained_cfg(name)
        if pretrained:
            if not config.has_weights:
                raise ValueError(f"timm has no pretrained weights for {name}")
            _ask_once_for(config.hf_hub_id)
        mean, std = torch.tensor(config.mean), torch.tensor(config.std)
        if in_channels != 3:
            mean, std = mean.mean().repeat(in_channels), std.mean().repeat(in_channels)
        self.register_buffer("mean", mean.view(-1, 1, 1), persistent=False)
        self.register_buffer("std", std.view(-1, 1, 1), persistent=False)
        problem: Exception | None = None
        native = config.input_size[-1]
        # As it is, then what patches of 16 and strides of 32 and 64 divide, then what it was made for; a
        # few architectures insist on pooling and come last.
        for pooling, multiple in itertools.product(_POOLINGS, (1, 32, 64, native)):
            height, width = (math.ceil(side / multiple) * multiple for side in image_size)
            sized: dict[str, Any] = {"img_size": (height, width)} if config.fixed_input_size else {}
            self.padding = (0, width - image_size[1], 0, height - image_size[0])
            try:
                self.model = timm.create_model(
                    name, pretrained=pretrained, in_chans=in_channels, num_classes=0, **pooling, **sized
                )
                self.num_features, complete = self._probe(in_channels, image_size)
            except (ValueError, AssertionError, RuntimeError, IndexError) as error:
                problem = problem or error
                continue
            if complete:
                return
            problem = problem or ValueError("it would not see the image's last rows or columns")
        raise ValueError(
            f"timm's {name} cannot take images of {image_size[0]}x{image_size[1]} pixels "
            f"({problem}); try --image-size {native}"
        ) from problem

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) in [0, 1] to (B, F, h, w)."""
        normalised = (images - self.mean) / self.std
        padded = F.pad(normalised, self.padding) if any(self.padding) else normalised
        features: Tensor = self.model(padded)
        if features.ndim == 3:
            return self._tokens_to_map(features, padded.shape[-2:])
        if features.ndim == 4 and self.model.num_features == features.shape[-1] != features.shape[1]:
            return features.permute(0, 3, 1, 2)
        return features

    def _tokens_to_map(self, tokens: Tensor, size: torch.Size) -> Tensor:
        patches: Tensor = tokens[:, getattr(self.model, "num_prefix_tokens", 0) :].transpose(1, 2)
        # The grid has the image's shape; where no such grid exists, the tokens stand in one row.
        count = patches.shape[-1]
        height = round(math.sqrt(count * size[0] / size[1]))
        if height < 1 or count % height:
            height = 1
        return patches.reshape(*patches.shape[:2], height, count // height)

    def _probe(self, in_channels: int, image_size: tuple[int, int]) -> tuple[int, bool]:
        """Return the features' width F, and whether the image's last row and column reach them."""
        own = torch.Generator().manual_seed(0)
        image = torch.rand(1, in_channels, *image_size, generator=own).requires_grad_()
        # Many blocks start as zero, so that nothing flows through them yet: here they let all through.
        opened = {n: torch.ones_like(p) for n, p in self.named_parameters() if not p.any()}
        self.eval()
        features = torch.func.functional_call(self, opened, image)
        # Weighted, since the sum of what a layer norm puts out is the same whatever the image shows.
        weighted = features * torch.rand(features.shape, generator=own)
        (gradient,) = torch.autograd.grad(weighted.sum(), image)
        self.train()
        seen = gradient.abs().sum(dim=(0, 1)) > 0
        return int(features.shape[1]), bool(seen[-1].any() and seen[:, -1].any())
