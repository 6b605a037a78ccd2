"""Backbones whose first layers stay as they are, while the others are trained."""

from __future__ import annotations

import re

from torch import nn

from quadzoo.errors import ConfigError
from quadzoo.model.recipe import FreezeTo

# What networks call the first of their stages, after the stem: ResNets layer1, EfficientNets and MobileNets
# blocks.0, ConvNeXts stages.0 (in hierarchies stages_0), Swins layers.0, RegNets s1, DenseNets denseblock1.
_FIRST_STAGE = re.compile(
    r"(?:^|\.)(?:layer1|_?blocks\.0|stages\.0|stages_0|layers\.0|layers_0|s1|denseblock1)$"
)


def frozen_modules(backbone: nn.Module, to: FreezeTo, name: str) -> list[nn.Module]:
    """Return the modules of a backbone that stay as they are: its stem, or also its first stage.

    The stem is what stands before the first stage, which a network with a hierarchy of features has: one
    that grows coarser from stage to stage. Raises ConfigError for a backbone, called ``name``, without one.
    """
    found = None if _is_flat(backbone) else _first_stage(backbone)
    if found is None:
        raise ConfigError(
            f"`freeze_to` {to}: backbone {name[:80]} has no first stage that is known (layer1, blocks.0, "
            "stages.0, layers.0, s1 or denseblock1); leave it out, or choose a backbone with stages"
        )
    stage = backbone.get_submodule(found)
    modules = list(backbone.modules())
    before = modules[: modules.index(stage)]
    stem = [module for module in before if stage not in set(module.modules())]
    return [*stem, stage] if to == "layer1" else stem


def freeze_modules(backbone: nn.Module, to: FreezeTo | None) -> list[nn.Module]:
    """Freeze the first layers of a backbone, none for None, put them into evaluation mode, and return them.

    Keeping them there is the caller's. Raises ConfigError where the backbone has no stages.
    """
    if to is None:
        return []
    modules = frozen_modules(backbone, to, type(backbone).__name__)
    for module in modules:
        module.requires_grad_(False).eval()  # Lightning's fit leaves the mode as it finds it
    return modules


def _first_stage(backbone: nn.Module) -> str | None:
    return next((name for name, _ in backbone.named_modules() if _FIRST_STAGE.search(name)), None)


def _is_flat(backbone: nn.Module) -> bool:
    """Return whether timm says that all stages of a network give features of one size, as of a plain ViT."""
    for module in backbone.modules():
        info = getattr(module, "feature_info", None)
        if isinstance(info, list) and info and all(isinstance(one, dict) for one in info):
            return len({one.get("reduction") for one in info}) == 1
    return False
