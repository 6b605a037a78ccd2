"""The backbone of a task, with the weights that it starts from."""

from __future__ import annotations

from torch import nn

from quadzoo.errors import BadModule, WeightsError
from quadzoo.model.build import build_backbone
from quadzoo.model.checkpoint import load_weights, read_checkpoint
from quadzoo.model.weights import LoadedWeights, watched_loading
from quadzoo.registry.specs import BackboneSpec
from quadzoo.training.task import FROM_FILE, Placement, Task


def started_backbone(spec: BackboneSpec, task: Task, placement: Placement) -> nn.Module:
    """Build a task's backbone, and load its weights: pretrained ones, those of a file, or none.

    Raises BadModule where it breaks the plugin contract, and for weights that are no longer the task's.
    """
    image, planned, weights = task.identity.image, task.identity.loaded, task.identity.weights
    with watched_loading() as loading:
        backbone = build_backbone(
            spec, pretrained=weights == "pretrained", in_channels=image.channels, image_size=image.size
        )
    if planned is None:
        return backbone
    found = _from_file(backbone, placement) if weights == FROM_FILE else loading.of(backbone)
    if found.sha256 != planned.sha256:
        raise BadModule(
            f"the pretrained weights of {task.backbone} are not those of the plan (SHA-256 "
            f"{planned.sha256[:12]}, now {found.sha256[:12]}): their file changed, so start again; or its "
            "code draws some at random each time, and `weights` none trains it from scratch"
        )
    return backbone


def _from_file(backbone: nn.Module, placement: Placement) -> LoadedWeights:
    if placement.weights is None:
        raise BadModule("the task starts from a file of weights, and its placement names none")
    try:
        return load_weights(backbone, read_checkpoint(placement.weights), placement.weights.name)
    except WeightsError as error:
        raise BadModule(str(error)) from error
