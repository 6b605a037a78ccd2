"""Every curated backbone keeps the contract; timm's list is timm's own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from quadzoo.model.backbones.timm import CURATED, architectures
from quadzoo.model.backbones.torchvision import adapted
from quadzoo.registry.catalogue import load

NAMES = ["resnet18", "resnet34", "resnet50", "tiny_cnn", *CURATED]


def build(name: str, in_channels: int, image_size: tuple[int, int], pretrained: bool = False) -> nn.Module:
    spec = load().backbones[name].spec
    return spec.build(pretrained=pretrained, in_channels=in_channels, image_size=image_size)


@pytest.mark.parametrize(("in_channels", "image_size"), [(1, (32, 200)), (3, (51, 77))])
@pytest.mark.parametrize("name", NAMES)
def test_features_and_gradients(name: str, in_channels: int, image_size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    backbone = build(name, in_channels, image_size)
    images = torch.rand(2, in_channels, *image_size, requires_grad=True)
    features = backbone(images)
    assert features.ndim == 4
    assert features.shape[:2] == (2, backbone.num_features)
    with torch.no_grad():
        for parameter in backbone.parameters():  # blocks that start as zero would hide what they see
            parameter.add_(0.01)
    backbone(images).square().mean().backward()
    missing = [n for n, p in backbone.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not missing
    # Every image counts up to its last row and column.
    seen = images.grad.abs().sum(dim=(0, 1)) > 0
    assert seen[-1].any()
    assert seen[:, -1].any()


@pytest.mark.parametrize("name", NAMES)
def test_eval_ignores_the_other_images(name: str) -> None:
    torch.manual_seed(0)
    backbone = build(name, 1, (32, 64)).eval()
    images = torch.rand(3, 1, 32, 64)
    with torch.inference_mode():
        together, alone = backbone(images), backbone(images[:1])
    torch.testing.assert_close(together[:1], alone, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "image_size", "ndim"),
    [
        ("timm/vgg11", (32, 64), 4),  # whose own num_features is that of its hidden layers
        ("timm/vit_small_patch14_dinov2", (32, 40), 4),  # patches of 14: padded
        ("timm/crossvit_tiny_240", (32, 200), 2),  # insists on pooling and on multiples of 240
    ],
)
def test_awkward_architectures(name: str, image_size: tuple[int, int], ndim: int) -> None:
    backbone = build(name, 3, image_size).eval()
    with torch.inference_mode():
        features = backbone(torch.rand(1, 3, *image_size))
    assert features.ndim == ndim
    assert features.shape[1] == backbone.num_features


def test_tokens_become_a_map_of_the_image() -> None:
    features = build("vit_tiny_patch16_224", 1, (32, 200)).eval()(torch.rand(1, 1, 32, 200))
    assert features.shape == (1, 192, 2, 14)  # 32x224 after padding, patches of 16


def test_a_build_does_not_hang_on_the_seed() -> None:
    """pit_ti ends in a layer norm, whose sum is constant: what it saw was once a matter of rounding."""
    shapes = set()
    for seed in range(5):
        torch.manual_seed(seed)
        backbone = build("pit_ti_224", 3, (64, 96))
        shapes.add(tuple(tuple(value.shape) for value in backbone.state_dict().values()))
    assert len(shapes) == 1


def test_a_size_that_cannot_be_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    def refuse(*_: object, **__: object) -> nn.Module:
        raise AssertionError("Input height (32) doesn't match model (224)")

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(ValueError, match=r"convnext_atto cannot take images of 32x200 pixels \(Input height"):
        build("convnext_atto", 1, (32, 200))


def test_missing_weights_are_not_blamed_on_the_size() -> None:
    with pytest.raises(ValueError, match="timm has no pretrained weights for botnet50ts_256"):
        build("timm/botnet50ts_256", 3, (64, 64), pretrained=True)


def test_timm_names_are_timms_own() -> None:
    import timm

    assert architectures() == sorted(timm.list_models())


def test_tiny_cnn_is_small_and_has_no_pretrained_weights() -> None:
    assert sum(p.numel() for p in build("tiny_cnn", 1, (32, 32)).parameters()) < 100_000
    with pytest.raises(ValueError, match="no pretrained weights"):
        build("tiny_cnn", 1, (32, 32), pretrained=True)


def test_pretrained_stem_sees_grey_as_colour_saw_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With weights at hand (random ones stand in), a grey image gives what its colour copy would."""
    from torchvision import models

    torch.manual_seed(0)
    original = models.get_model

    def fixed(name: str, weights: str | None) -> nn.Module:
        torch.manual_seed(1)
        return original(name, weights=None)

    monkeypatch.setattr(models, "get_model", fixed)
    colour = build("resnet18", 3, (32, 32), pretrained=True).eval()
    grey = build("resnet18", 1, (32, 32), pretrained=True).eval()
    image = torch.rand(1, 1, 32, 32)
    torch.testing.assert_close(grey(image), colour(image.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bands", [1, 2, 4, 5, 7, 16])
def test_first_layers_are_adapted_as_timm_does(bands: int) -> None:
    from timm.models import adapt_input_conv

    weight = torch.randn(8, 3, 7, 7)
    torch.testing.assert_close(adapted(weight, bands), adapt_input_conv(bands, weight))


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0", "vit_tiny_patch16_224"])
def test_further_bands_reach_the_features(name: str) -> None:
    backbone = build(name, 5, (64, 64)).eval()
    one = torch.rand(1, 5, 64, 64)
    other = one.clone()
    other[:, 4] = torch.rand(64, 64)
    with torch.no_grad():
        assert not torch.allclose(backbone(one), backbone(other))


def test_timm_models_leave_further_bands_as_they_come() -> None:
    """They are normalised by their own mean and std already."""
    backbone = build("efficientnet_b0", 5, (64, 64))
    assert backbone.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406, 0, 0])
    assert backbone.std.flatten().tolist() == pytest.approx([0.229, 0.224, 0.225, 1, 1])


def test_pretrained_weights_offline_fail_fast_and_loudly() -> None:
    script = (
        "from quadzoo.registry.catalogue import load\n"
        "load().backbones['resnet18'].spec.build(pretrained=True, in_channels=3, image_size=(32, 32))"
    )
    offline = os.environ | {"TORCH_HOME": os.devnull, "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=offline, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Error" in done.stderr
