"""Backbones whose first layers are frozen: which these are, and that training leaves them alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from quadzoo.data.datamodule import DataModule
from quadzoo.errors import ConfigError
from quadzoo.model.freezing import frozen_modules
from quadzoo.model.operators import sketched_backbone
from quadzoo.model.recipe import FreezeTo, Recipe
from quadzoo.records.keys import NEUTRAL_RECIPE
from quadzoo.registry import catalogue
from tests.model.nets import module, trainer

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode"),  # as frozen ones are to be
]


class Staged(nn.Module):
    """A stem with batch norm, two stages, and as many features as the last."""

    num_features = 1

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.layer1 = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.layer2 = nn.Sequential(nn.Conv2d(4, 1, 3, padding=1), nn.BatchNorm2d(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.layer2(self.layer1(self.stem(images)))
        return features


def names(name: str, to: FreezeTo) -> set[str]:
    backbone = sketched_backbone(catalogue.load().backbones[name].spec, in_channels=3, image_size=(64, 64))
    modules = frozen_modules(backbone, to, name)
    inside = {id(parameter) for module in modules for parameter in module.parameters()}
    return {
        ".".join(part for part in key.removeprefix("model.").split(".")[:2])
        for key, parameter in backbone.named_parameters()
        if id(parameter) in inside
    }


@pytest.mark.parametrize(
    ("name", "stem", "stage"),
    [
        ("resnet18", {"conv1.weight", "bn1.weight", "bn1.bias"}, {"layer1.0", "layer1.1"}),
        ("timm/resnet18", {"conv1.weight", "bn1.weight", "bn1.bias"}, {"layer1.0", "layer1.1"}),
        ("efficientnet_b0", {"conv_stem.weight", "bn1.weight", "bn1.bias"}, {"blocks.0"}),
        ("convnext_atto", {"stem.0", "stem.1"}, {"stages.0"}),
        ("regnety_004", {"stem.conv", "stem.bn"}, {"s1.b1"}),
    ],
)
def test_stem_and_first_stage(name: str, stem: set[str], stage: set[str]) -> None:
    assert names(name, "stem") == stem
    assert names(name, "layer1") == stem | stage


@pytest.mark.parametrize("name", ["tiny_cnn", "vit_tiny_patch16_224"])
def test_a_network_without_stages_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"`freeze_to` stem: backbone {name} has no first stage") as raised:
        names(name, "stem")
    assert len(str(raised.value)) <= 300


@pytest.mark.parametrize("to", ["stem", "layer1"])
def test_frozen_layers_stay_as_they_are(data: DataModule, to: FreezeTo) -> None:
    model = module(Staged(), epochs=2, freeze_to=to)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    engine = trainer(epochs=2)
    engine.fit(model, datamodule=data)
    after = model.train().state_dict()
    assert not model.backbone.stem[1].training  # type: ignore[index,union-attr]
    assert model.backbone.layer2[1].training  # type: ignore[index,union-attr]
    changed = {name.split(".")[1] for name in before if not torch.equal(before[name], after[name])}
    parts = ["stem", "layer1", "layer2"]
    assert changed & set(parts) == set(parts[1 if to == "stem" else 2 :])
    (optimizer,) = engine.optimizers
    n = sum(len(group["params"]) for group in optimizer.param_groups)
    assert n == sum(parameter.requires_grad for parameter in model.parameters())
    assert n < len(list(model.parameters()))


def test_it_is_in_a_key_only_when_it_is_given() -> None:
    assert NEUTRAL_RECIPE["freeze_to"] is None
    with pytest.raises(ValueError, match="`freeze_to` stem: `freeze` freezes the whole backbone"):
        Recipe(freeze=True, freeze_to="stem")
