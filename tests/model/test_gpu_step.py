"""A training step on a pretended GPU: from augmentation to the fused optimizer, without backward.

Fake tensors carry shape, type and device, and nothing is computed: what would mix tensors of the GPU with
others fails, and so does what reads a value, for which a GPU would have to wait.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torchmetrics import Metric

from quadzoo.model.build import build_backbone, build_head, join
from quadzoo.model.optimizer import optimizer_of
from quadzoo.model.recipe import Recipe
from quadzoo.model.regressor import RegressionModule
from quadzoo.registry import catalogue
from quadzoo.targets import TargetInfo
from tests.model.nets import Line

TARGETS = TargetInfo(names=("a", "b"), low=(0.0, -2.0), high=(9.0, 2.0), integer=(True, True))
SIZE = 64, 64
COMBINATIONS = [
    ("tiny_cnn", "mlp", True), ("tiny_cnn", "mlp", False), ("tiny_cnn", "linear", True),
    ("tiny_cnn", "gaussian", True), ("tiny_cnn", "integer", True), ("tiny_cnn", "spatial", True),
    ("resnet18", "mlp", True), ("resnet50", "mlp", False), ("efficientnet_b0", "mlp", True),
    ("mobilenetv3_small_100", "mlp", True), ("convnext_atto", "mlp", True), ("regnetx_002", "mlp", True),
    ("vit_tiny_patch16_224", "mlp", True),
]  # fmt: skip

ENDING_WITH_A_NORM = {"convnext_atto", "vit_tiny_patch16_224"}  # which autocast computes in float32


@pytest.fixture(autouse=True)
def _autocast_as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_, **__: True)


def built(backbone: str, head: str) -> RegressionModule:
    names = catalogue.load()
    spec = names.backbones[backbone].spec
    net = build_backbone(spec, pretrained=False, in_channels=3, image_size=SIZE)
    answers = build_head(names.heads[head].spec, num_features=net.num_features, targets=TARGETS)
    return join(spec, net, answers, Recipe(augment="photo"), 3, targets=TARGETS)


def pretend(module: nn.Module) -> None:
    """Replace all tensors of a module and its metrics by fake ones on a GPU."""

    def moved(tensor: Tensor) -> Tensor:
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cuda")

    known: dict[int, nn.Parameter] = {}
    for part in module.modules():
        for name, value in part._parameters.items():
            if value is not None:
                known.setdefault(id(value), nn.Parameter(moved(value), value.requires_grad))
                part._parameters[name] = known[id(value)]
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = moved(buffer)
        for name in part._defaults if isinstance(part, Metric) else ():
            setattr(part, name, moved(getattr(part, name)))


def step(module: RegressionModule, bf16: bool) -> dict[str, Tensor]:
    """Take a step; the gradient is there, as if by backward."""
    module._trainer = SimpleNamespace(datamodule=None)  # type: ignore[assignment]
    optimizer = optimizer_of(module.recipe, module.parameters(), fused=True)
    images = torch.empty(4, *SIZE, 3, dtype=torch.uint8, device="cuda").permute(0, 3, 1, 2)
    optimizer.zero_grad()
    with torch.autocast("cuda", torch.bfloat16, enabled=bf16):
        done = module.training_step((images, torch.empty(4, 2, device="cuda")), 0)
    for parameter in module.parameters():
        parameter.grad = torch.empty_like(parameter)
    module.configure_gradient_clipping(optimizer)
    optimizer.step()
    return done


@pytest.mark.parametrize(("backbone", "head", "bf16"), COMBINATIONS)
def test_a_step_stays_on_the_gpu(backbone: str, head: str, bf16: bool) -> None:
    module = built(backbone, head).train()
    dtypes = []
    module.backbone.register_forward_hook(lambda _, __, features: dtypes.append(features.dtype))
    with FakeTensorMode():
        pretend(module)
        done = step(module, bf16)
        assert done["loss"].device.type == "cuda"
        assert (done["loss"].dtype, done["prediction"].dtype) == (torch.float32, torch.float32)
    if backbone not in ENDING_WITH_A_NORM:
        assert dtypes == [torch.bfloat16 if bf16 else torch.float32]


class Elsewhere(nn.Module):
    """A backbone with a constant that stays on the CPU."""

    num_features = 1

    def __init__(self, looks: bool) -> None:
        super().__init__()
        self.layer, self.looks = nn.Conv2d(3, 1, 1), looks
        self.constant = torch.ones(1, 1, *SIZE)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.layer(images)
        if self.looks:
            return features if features.mean() > 0 else -features
        return features * self.constant


@pytest.mark.parametrize("looks", [False, True])
def test_what_leaves_the_gpu_or_waits_for_it_is_noticed(looks: bool) -> None:
    module = RegressionModule(Elsewhere(looks), Line(2), Recipe(), [0.0] * 3, [1.0] * 3)
    with FakeTensorMode(allow_non_fake_inputs=True):
        pretend(module)
        with pytest.raises(Exception, match=r"(?i)device|_local_scalar_dense"):
            step(module, bf16=False)
