"""From a spec to a checked backbone or head, and from the two to the module that is trained."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path

import safetensors
import safetensors.torch
from torch import nn

from quadzoo.errors import BadModule
from quadzoo.model.bounds import Bounds
from quadzoo.model.contract import backbone_width, check_head, named
from quadzoo.model.depthwise import adapt_depthwise
from quadzoo.model.recipe import Recipe
from quadzoo.model.regressor import RegressionModule
from quadzoo.registry.specs import BackboneSpec, HeadSpec
from quadzoo.targets import TargetInfo

Further = tuple[list[float], list[float]]
"""Mean and standard deviation of each band beyond the third, in 0 to 1."""


def build_backbone(
    spec: BackboneSpec, *, pretrained: bool, in_channels: int, image_size: tuple[int, int]
) -> nn.Module:
    """Build a backbone for images (B, in_channels, H, W); ``image_size`` is (H, W).

    The module has an int attribute ``num_features``. Raises BadModule where ``build`` returns anything else;
    what ``build`` itself raises, such as for weights that are not available, comes through.
    """
    backbone = spec.build(pretrained=pretrained, in_channels=in_channels, image_size=image_size)
    _check(backbone_width, backbone, f"backbone {spec.name!r}")
    return backbone


def build_head(spec: HeadSpec, *, num_features: int, targets: TargetInfo) -> nn.Module:
    """Build a head for features (B, num_features, h, w).

    The module has methods ``loss`` and ``predict``. Raises BadModule where ``build`` returns anything else;
    what ``build`` itself raises comes through.
    """
    head = spec.build(num_features=num_features, targets=targets)
    _check(check_head, head, f"head {spec.name!r}")
    return head


def join(
    spec: BackboneSpec,
    backbone: nn.Module,
    head: nn.Module,
    recipe: Recipe,
    in_channels: int,
    *,
    targets: TargetInfo | None = None,
    scored: TargetInfo | None = None,
    further: Further | None = None,
) -> RegressionModule:
    """Join a backbone, as built from its spec for images of ``in_channels`` channels, and a head.

    Images of three channels are normalised with the spec's mean and std, of one or two with their averages;
    of more, the first three with the spec's, and the others with ``further``, mean and std of each in 0 to 1.
    While these are not known, the averages stand for them.
    ``targets`` names the targets, in the unit that the head learns in, and ``scored`` in the unit of scores.
    Raises BadModule for a backbone without a width.
    """
    _check(backbone_width, backbone, f"backbone {spec.name!r}")
    adapt_depthwise(backbone)
    n_further = max(0, in_channels - 3)
    mean, std = (
        [*values, *(measured or [statistics.fmean(values)] * n_further)]
        if in_channels >= 3
        else [statistics.fmean(values)] * in_channels
        for values, measured in zip((spec.mean, spec.std), further or ((), ()), strict=True)
    )
    return RegressionModule(backbone, head, recipe, mean, std, targets=targets, scored=scored)


def load_weights(module: RegressionModule, path: Path, who: str) -> None:
    """Load the weights that a run left, into a module that was joined as the run's was.

    ``who`` says of which model they are and what they do not fit. Raises BadModule where they do not fit, or
    the file is none of weights.
    """
    try:
        state = safetensors.torch.load_file(path)
        for name in ("feature_mean", "feature_std"):  # which only a model with a frozen backbone has
            setattr(module, name, state.get(name))
        module.bounds = Bounds(len(state["bounds.low"])) if "bounds.low" in state else None
        module.load_state_dict(state)
    except (RuntimeError, OSError, safetensors.SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadModule(f"the weights of {who}: {reason}") from error


def _check(check: Callable[[object], object], module: object, who: str) -> None:
    with named(who):
        check(module)
