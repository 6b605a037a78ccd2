"""Any timm architecture as a backbone, for images of any size and number of channels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import timm
import torch
from huggingface_hub import constants, model_info, try_to_load_from_cache
from torch import Tensor, nn
from torch.nn import functional as F

_HUB_SECONDS = 5.0  # for the hub's first answer
_POOLINGS: tuple[dict[str, Any], ...] = ({"global_pool": ""}, {})


def _check_available(repository: str | None) -> None:
    """Raise the hub's error when weights are neither in the local cache nor on the hub.

    The hub's own download retries for 45 seconds before it fails.
    """
    files = (constants.SAFETENSORS_SINGLE_FILE, constants.PYTORCH_WEIGHTS_NAME)
    if repository and not any(isinstance(try_to_load_from_cache(repository, file), str) for file in files):
        model_info(repository, timeout=_HUB_SECONDS)


class TimmFeatures(nn.Module):
    """A timm model that maps float32 images (B, in_channels, H, W) in 0 to 1 to features (B, F, h, w).

    Transformers give their patch tokens as a map, without class and register tokens. For an architecture
    that refuses the size, or whose patches would cut off its last rows or columns, the image is padded at
    the right and the bottom with the mean colour. ``num_features`` is measured, since timm's own attribute
    is not always the width of the features. ``network`` describes a model of a hub or a folder, as
    `quadzoo.model.backbones.timm_networks` does; then ``name`` is its architecture, and `load_weights` brings
    its weights. Raises ValueError where there are no pretrained weights, and where no padding helps.
    """

    mean: Tensor
    std: Tensor
    model: Any

    def __init__(
        self,
        name: str,
        pretrained: bool,
        in_channels: int,
        image_size: tuple[int, int],
        network: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        overlay = dict(network["pretrained_cfg"]) if network else {}
        known: Any = timm.get_pretrained_cfg(name)
        config = replace(known, **overlay)
        given = {"pretrained_cfg_overlay": overlay, **network["model_args"]} if network else {}
        if pretrained:
            if not config.has_weights:
                raise ValueError(f"timm has no pretrained weights for {name}")
            _check_available(config.hf_hub_id)
        mean, std = torch.tensor(config.mean), torch.tensor(config.std)
        if in_channels > 3:  # further bands come normalised by their own mean and std
            further = torch.ones(in_channels - 3)
            mean, std = torch.cat([mean, 0 * further]), torch.cat([std, further])
        elif in_channels < 3:
            mean, std = mean.mean().repeat(in_channels), std.mean().repeat(in_channels)
        self.register_buffer("mean", mean.view(-1, 1, 1), persistent=False)
        self.register_buffer("std", std.view(-1, 1, 1), persistent=False)
        problem: Exception | None = None
        native = config.input_size[-1]
        # First without padding, then padded to multiples of 32 (for patches of 16 and strides of 32), 64, and
        # the size the model was made for; then again with pooling, which a few cannot do without.
        for pooling, multiple in itertools.product(_POOLINGS, (1, 32, 64, native)):
            height, width = (math.ceil(side / multiple) * multiple for side in image_size)
            sized: dict[str, Any] = {"img_size": (height, width)} if config.fixed_input_size else {}
            self._options = {**given, "in_chans": in_channels, "num_classes": 0, **pooling, **sized}
            self.padding = (0, width - image_size[1], 0, height - image_size[0])
            try:
                self.model = timm.create_model(name, pretrained=pretrained, **self._options)
                self.num_features, complete = self._probe(in_channels, image_size)
            except (ValueError, AssertionError, RuntimeError, IndexError) as error:
                problem = problem or error
                continue
            if complete:
                self._name = name
                return
            problem = problem or ValueError("it ignores the image's last rows or columns")
        raise ValueError(
            f"timm's {name} cannot take images of {image_size[0]}x{image_size[1]} pixels "
            f"({problem}); try `image_size` {native}"
        ) from problem

    def load_weights(self, state: Mapping[str, Tensor]) -> list[str]:
        """Load weights, float32 (...,), by the names of timm's model, and return the names not needed.

        timm adapts them to channels and size of the images, as it does its own. These not needed are of the
        classifier. Raises RuntimeError for tensors of other shapes.
        """
        overlay = self._options.get("pretrained_cfg_overlay", {})
        # Another number of classes than the network's 0, so that timm drops the classifier.
        taken = {**overlay, "state_dict": dict(state), "num_classes": -1, "source": None}
        options = {**self._options, "pretrained_cfg_overlay": taken}
        self.model = timm.create_model(self._name, pretrained=True, **options)
        config = self.model.pretrained_cfg
        config.pop("state_dict")  # which would stay in memory
        classifiers = config.get("classifier") or ()
        names = (classifiers,) if isinstance(classifiers, str) else classifiers
        return [name for name in state if name.rpartition(".")[0] in names]

    def forward(self, images: Tensor) -> Tensor:
        """Map float32 (B, in_channels, H, W) in 0 to 1 to features (B, F, h, w), of a few models (B, F)."""
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
        # A grid with the aspect ratio of the image, or one row where the tokens do not form one.
        count = patches.shape[-1]
        height = round(math.sqrt(count * size[0] / size[1]))
        if height < 1 or count % height:
            height = 1
        return patches.reshape(*patches.shape[:2], height, count // height)

    def _probe(self, in_channels: int, image_size: tuple[int, int]) -> tuple[int, bool]:
        """Return the features' width F, and whether they depend on the image's last row and column.

        On the meta device nothing is computed, and it is taken that they do.
        """
        if self.mean.is_meta:
            width = int(self.eval()(self.mean.new_empty(1, in_channels, *image_size)).shape[1])
            self.train()
            return width, True
        generator = torch.Generator().manual_seed(0)
        image = torch.rand(1, in_channels, *image_size, generator=generator).requires_grad_()
        # Parameters that are initialised to zero, as in many residual blocks, would block the gradient.
        without_zeros = {n: torch.ones_like(p) for n, p in self.named_parameters() if not p.any()}
        self.eval()
        features = torch.func.functional_call(self, without_zeros, image)
        # Weighted, because the plain sum of a layer norm's output is constant.
        weighted = features * torch.rand(features.shape, generator=generator)
        (gradient,) = torch.autograd.grad(weighted.sum(), image)
        self.train()
        reached = gradient.abs().sum(dim=(0, 1)) > 0
        return int(features.shape[1]), bool(reached[-1].any() and reached[:, -1].any())
