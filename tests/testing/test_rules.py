"""Every rule catches what it is there for, and lets pass what keeps it."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from quadzoo import BackboneSpec
from quadzoo.errors import ContractBroken, NameNotFound
from quadzoo.model.backbones.timm import CURATED
from quadzoo.testing import BACKBONE_RULES, HEAD_RULES, Rule, check_backbone, check_head


class Net(nn.Module):
    """A backbone that keeps every rule; its children break one each."""

    num_features: Any = 8

    def __init__(self, in_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.layer = nn.Conv2d(in_channels, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.norm(self.layer(images))
        return features


class Liar(Net):
    num_features = 9


class Widthless(Net):
    num_features = None


class WrongShape(Net):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).flatten(2)


class OneSizeOnly(Net):
    def forward(self, images: Tensor) -> Tensor:
        if images.shape[2] % 8:
            raise RuntimeError("sides must be multiples of 8")
        return super().forward(images)


class Pyramid(Net):
    def forward(self, images: Tensor) -> Any:
        features = super().forward(images)
        return [features, features]


class NaN(Net):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) / 0 * 0


class Unused(Net):
    def __init__(self, in_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__(in_channels, image_size)
        self.spare = nn.Linear(2, 2)


class Noisy(Net):
    def forward(self, images: Tensor) -> Tensor:
        return F.dropout(super().forward(images), training=True)


class LooksAround(Net):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images - images.mean(dim=0, keepdim=True))


class Rounds(Net):
    """Large features, off by a millionth of them where there are more images in the batch."""

    def forward(self, images: Tensor) -> Tensor:
        return 1e6 * super().forward(images) + len(images)


class Forgets(Net):
    """Part of what it computes with is in no state dict."""

    def __init__(self, in_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__(in_channels, image_size)
        self.hidden = torch.rand(8, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) * self.hidden.to(images.device)


class StaysBehind(Net):
    """Part of what it computes with does not move to a GPU."""

    def __init__(self, in_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__(in_channels, image_size)
        self.steps = torch.arange(8.0)[:, None, None]

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) + self.steps


class Overflows(Net):
    """Fine in float32, infinite in bf16, which ends where float32 ends but rounds there."""

    def forward(self, images: Tensor) -> Tensor:
        features = super().forward(images)
        return features if self.layer(images).dtype == torch.float32 else features / 0


def build(
    kind: Callable[..., nn.Module], pretrained: bool, in_channels: int, image_size: tuple[int, int]
) -> Any:
    if pretrained:
        raise ValueError("no weights")
    return kind(in_channels, image_size)


def net(kind: type[Net]) -> BackboneSpec:

    return BackboneSpec(name=kind.__name__, build=_keywords(partial(build, kind)))


class _keywords:
    """Something pickle can take that has build's signature."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *, pretrained: bool, in_channels: int, image_size: tuple[int, int]) -> Any:
        return self.function(pretrained, in_channels, image_size)


def seeds(*, pretrained: bool, in_channels: int, image_size: tuple[int, int]) -> nn.Module:
    torch.manual_seed(42)
    return Net(in_channels, image_size)


def shuffles(*, pretrained: bool, in_channels: int, image_size: tuple[int, int]) -> nn.Module:
    random.random()
    return Net(in_channels, image_size)


def waits(*, pretrained: bool, in_channels: int, image_size: tuple[int, int]) -> nn.Module:
    if pretrained:
        time.sleep(12)
    return Net(in_channels, image_size)


def downloads(*, pretrained: bool, in_channels: int, image_size: tuple[int, int]) -> nn.Module:
    import socket

    if os.environ.get("HTTP_PROXY") == "http://127.0.0.1:9":  # only where the rule has cut the network off
        socket.create_connection(("example.org", 80), timeout=1)
    return Net(in_channels, image_size)


def only_here(*, pretrained: bool, in_channels: int, image_size: tuple[int, int]) -> Any:
    if "quadzoo.testing" in " ".join(sys.orig_argv):  # a process of the rule's
        os._exit(3)
    return Net(in_channels, image_size)


def no_module(*, pretrained: bool, in_channels: int, image_size: tuple[int, int]) -> Any:
    return "a network"


def spec(function: Callable[..., Any]) -> BackboneSpec:
    return BackboneSpec(name=function.__name__, build=function)


def broken(subject: Any, rules: tuple[Rule[Any], ...]) -> dict[str, str]:
    lines = {}
    for rule in rules:
        try:
            rule(subject)
        except ContractBroken as error:
            lines[str(rule)] = str(error)
    return lines


def test_a_good_backbone_keeps_every_rule() -> None:
    check_backbone(net(Net))


@pytest.mark.parametrize("rule", ["shapes", "gradients", "evaluation", "weights", "low-precision"])
def test_a_list_of_features_is_named_by_every_rule_that_needs_features(rule: str) -> None:
    told = broken(net(Pyramid), tuple(one for one in BACKBONE_RULES if str(one) == rule))[rule]
    assert told == (
        f"Pyramid: {rule}: expected features as one tensor (B, F, h, w) or (B, F), got list; "
        "see docs/plugin-api.md#rules"
    )


@pytest.mark.parametrize(
    ("subject", "rule", "told"),
    [
        (net(Liar), "shapes", "expected features (1, 9, h, w) or (1, 9)"),
        (net(Widthless), "shapes", "expected an int attribute num_features, got None"),
        (net(WrongShape), "shapes", "got (1, 8, 1536)"),
        (net(OneSizeOnly), "shapes", "RuntimeError: sides must be multiples of 8"),
        (net(NaN), "shapes", "expected finite numbers"),
        (net(Unused), "gradients", "expected a finite gradient for spare.weight, got none"),
        (net(Noisy), "evaluation", "expected two passes in eval mode to be equal"),
        (net(LooksAround), "evaluation", "expected features independent of the batch's other images"),
        (net(Forgets), "weights", "expected equal output after saving and loading"),
        (net(Overflows), "low-precision", "expected finite numbers with bf16 autocast"),
        (
            net(StaysBehind),
            "device",
            "expected all tensors on the device of the inputs, cuda",
        ),
        (spec(seeds), "global-state", "expected torch's generator to continue from the run's seed"),
        (spec(shuffles), "global-state", "a change of Python's random"),
        (spec(waits), "offline", "expected build(pretrained=True) to end within 10 seconds"),
        (spec(downloads), "offline", "OSError: no network"),
        (spec(only_here), "fresh-process", "expected a fresh process not to crash, got exit status 3"),
        (spec(no_module), "shapes", "expected build to return a torch.nn.Module, got str"),
        (BackboneSpec(name="x", build=lambda **_: Net(3, (1, 1))), "fresh-process", "at the top of a module"),
    ],
)
def test_a_bad_backbone_breaks_its_rule(subject: BackboneSpec, rule: str, told: str) -> None:
    (asked,) = (one for one in BACKBONE_RULES if str(one) == rule)
    with pytest.raises(ContractBroken) as error:
        asked(subject)
    line = str(error.value)
    assert line.startswith(f"{subject.name}: {rule}: expected ")
    assert told in line
    assert "\n" not in line
    assert line.endswith("; see docs/plugin-api.md#rules")


def test_rounding_is_no_fault() -> None:
    (evaluation,) = (one for one in BACKBONE_RULES if str(one) == "evaluation")
    evaluation(net(Rounds))


def test_one_fault_breaks_one_rule() -> None:
    assert list(broken(net(Unused), BACKBONE_RULES)) == ["gradients"]
    assert list(broken(net(Forgets), BACKBONE_RULES)) == ["weights"]
    assert list(broken(net(StaysBehind), BACKBONE_RULES)) == ["device"]


def test_unknown_names() -> None:
    with pytest.raises(NameNotFound, match="unknown backbone 'resnet5O'"):
        check_backbone("resnet5O")
    with pytest.raises(NameNotFound, match="unknown head 'mpl'"):
        check_head("mpl")


@pytest.mark.parametrize("rule", [*BACKBONE_RULES, *HEAD_RULES], ids=str)
def test_rules_say_what_they_promise(rule: Rule[Any]) -> None:
    assert rule.promise.endswith(".")


@pytest.mark.slow
def test_built_in_backbones_of_each_kind() -> None:
    for name in ("tiny_cnn", "resnet18", "efficientnet_b0"):
        check_backbone(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet34", "resnet50", *CURATED])
def test_built_in_backbones(name: str) -> None:
    """The same code as one of those above, but for the layers."""
    process_rules = {"fresh-process", "offline"}
    assert broken(name, tuple(rule for rule in BACKBONE_RULES if str(rule) not in process_rules)) == {}
