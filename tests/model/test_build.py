"""From specs to the module that is trained."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from quadzoo import BackboneSpec, HeadSpec, TargetInfo
from quadzoo.errors import BadModule
from quadzoo.model.build import build_backbone, build_head, join
from quadzoo.model.recipe import Recipe

INFO = TargetInfo(names=("y",), low=(0.0,), high=(2.0,), integer=(False,))
SIZE = {"pretrained": False, "image_size": (8, 8)}


def convolution(in_channels: int) -> nn.Module:
    module = nn.Conv2d(in_channels, in_channels, 3, groups=in_channels)
    module.num_features = in_channels  # type: ignore[assignment]
    return module


def spec(built: Any = None, **fields: Any) -> BackboneSpec:
    return BackboneSpec(
        name="net", build=lambda **given: built or convolution(given["in_channels"]), **fields
    )


class Head(nn.Linear):
    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features.mean(dim=(2, 3)))

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        return (raw - target).square().mean()

    def predict(self, raw: Tensor) -> Tensor:
        return raw


def test_a_backbone_gets_what_its_builder_asks_for() -> None:
    given: dict[str, Any] = {}

    def build(**arguments: Any) -> nn.Module:
        given.update(arguments)
        return convolution(2)

    build_backbone(BackboneSpec(name="net", build=build), pretrained=True, in_channels=2, image_size=(3, 4))
    assert given == {"pretrained": True, "in_channels": 2, "image_size": (3, 4)}


def widthless(width: Any) -> nn.Module:
    module = nn.Conv2d(1, 1, 1)
    module.num_features = width
    return module


@pytest.mark.parametrize(
    ("built", "told"),
    [
        ("a network", "backbone 'net': expected build to return a torch.nn.Module, got str"),
        (nn.Conv2d(1, 1, 1), "backbone 'net': expected an int attribute num_features, got None"),
        (widthless("8"), "backbone 'net': expected an int attribute num_features, got '8'"),
        (widthless(True), "backbone 'net': expected an int attribute num_features, got True"),
        (widthless(0), "backbone 'net': expected an int attribute num_features, got 0"),
    ],
)
def test_what_is_no_backbone_is_named(built: Any, told: str) -> None:
    with pytest.raises(BadModule) as error:
        build_backbone(spec(built), in_channels=1, **SIZE)
    assert str(error.value) == told


def test_what_a_builder_raises_comes_through() -> None:
    def build(**_: Any) -> nn.Module:
        raise OSError("no weights")

    with pytest.raises(OSError, match="no weights"):
        build_backbone(BackboneSpec(name="net", build=build), in_channels=1, **SIZE)


@pytest.mark.parametrize(
    ("built", "told"),
    [
        (None, "head 'h': expected build to return a torch.nn.Module, got NoneType"),
        (nn.Linear(1, 1), "head 'h': expected a method loss, got none"),
    ],
)
def test_what_is_no_head_is_named(built: Any, told: str) -> None:
    with pytest.raises(BadModule) as error:
        build_head(HeadSpec(name="h", build=lambda **_: built), num_features=1, targets=INFO)
    assert str(error.value) == told


@pytest.mark.parametrize(
    ("channels", "mean", "std"),
    [
        (3, [0.1, 0.2, 0.6], [0.5, 0.25, 0.75]),
        (1, [0.3], [0.5]),
        (2, [0.3] * 2, [0.5] * 2),
        (5, [0.1, 0.2, 0.6, 0.3, 0.3], [0.5, 0.25, 0.75, 0.5, 0.5]),
    ],
)
def test_images_of_any_number_of_channels_are_normalised(
    channels: int, mean: list[float], std: list[float]
) -> None:
    asked = spec(mean=(0.1, 0.2, 0.6), std=(0.5, 0.25, 0.75))
    backbone = build_backbone(asked, in_channels=channels, **SIZE)
    head = build_head(
        HeadSpec(name="h", build=lambda **_: Head(channels, 1)), num_features=channels, targets=INFO
    )
    module = join(asked, backbone, head, Recipe(), channels, targets=INFO)
    assert torch.equal(module.mean.flatten(), torch.tensor(mean))
    assert torch.equal(module.std.flatten(), torch.tensor(std))
    assert module.predict(torch.zeros(2, channels, 8, 8, dtype=torch.uint8)).shape == (2, 1)
    assert ("mean" in module.state_dict()) == (channels > 3)


def test_further_bands_are_normalised_as_they_were_measured() -> None:
    asked, further = spec(mean=(0.1, 0.2, 0.6), std=(0.5, 0.25, 0.75)), ([0.01, 0.02], [0.001, 0.002])
    module = join(asked, convolution(5), Head(5, 1), Recipe(), 5, further=further)
    assert module.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.6, 0.01, 0.02])
    assert module.std.flatten().tolist() == pytest.approx([0.5, 0.25, 0.75, 0.001, 0.002])


def test_depthwise_convolutions_of_what_is_joined_stay_in_float32() -> None:
    module = join(spec(), convolution(3), Head(3, 1), Recipe(), 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert module.features(torch.zeros(1, 3, 8, 8, dtype=torch.uint8)).dtype == torch.float32


def test_a_backbone_without_a_width_is_not_joined() -> None:
    with pytest.raises(BadModule, match="backbone 'net': expected an int attribute num_features"):
        join(spec(), nn.Conv2d(3, 3, 1), Head(3, 1), Recipe(), 3)
