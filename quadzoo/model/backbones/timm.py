"""Every architecture of timm, as timm/<name>, and as <name> where no other plugin has that name.

Also a tag, as ``resnet18.a1_in1k``, and what is on the hub or in a folder, in timm's schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quadzoo import BackboneSpec, QuadzooError, hookimpl
from quadzoo.model.backbones import timm_networks

if TYPE_CHECKING:
    from torch import nn

# The architectures that have a description in lists; each is trained in this project's tests.
CURATED = {
    "efficientnet_b0": "EfficientNet-B0 (Tan & Le 2019): small and accurate",
    "mobilenetv3_large_100": "MobileNetV3 Large (Howard et al. 2019): made for phones",
    "regnety_004": "RegNetY 400 MF (Radosavovic et al. 2020)",
    "convnext_atto": "ConvNeXt Atto (Liu et al. 2022), 3.7 M parameters with its classifier",
    "vit_tiny_patch16_224": "Vision Transformer Tiny (Dosovitskiy et al. 2021), patches of 16 pixels",
    "swin_tiny_patch4_window7_224": "Swin Transformer Tiny (Liu et al. 2021)",
}


def build_timm(name: str, *, pretrained: bool, in_channels: int, image_size: tuple[int, int]) -> nn.Module:
    """Return timm's model ``name`` without pooling and classifier, at any image size.

    Pretrained weights are timm's default set for the model. Raises ValueError when the architecture
    cannot take images of ``image_size`` (H, W), padded or not.
    """
    from quadzoo.model.backbones.timm_features import TimmFeatures

    return TimmFeatures(name, pretrained, in_channels, image_size)


@cache
def _sources() -> tuple[str, ...]:
    package = find_spec("timm")
    if package is None or package.origin is None:
        return ()
    paths = sorted((Path(package.origin).parent / "models").glob("*.py"))
    return tuple(path.read_text("utf-8") for path in paths)


def architectures() -> list[str]:
    """Return the names of timm's architectures without importing timm, which takes seconds.

    They are found by the decorators in timm's source; a test compares them with timm's own list.
    """
    decorated = re.compile(r"^@register_model\ndef (\w+)\(", re.MULTILINE)
    return sorted(name for source in _sources() for name in decorated.findall(source))


def tags_of(architecture: str) -> list[str]:
    """Return the tags of the weights that timm has for an architecture, nearly all, without importing timm.

    A few that timm's source makes up in a loop are not among them.
    """
    named = re.compile(rf"""['"]{re.escape(architecture)}\.([\w.-]+)['"]\s*:""")
    return list(dict.fromkeys(tag for source in _sources() for tag in named.findall(source)))


@hookimpl
def find_backbone(name: str, network: Mapping[str, Any] | None) -> BackboneSpec | None:
    """Find ``resnet18.a1_in1k``, ``hf-hub:OWNER/NAME`` and ``local-dir:PATH``.

    Raises QuadzooError for a tag, a repository or a folder that is not there.
    """
    if ":" in name:
        return timm_networks.find(name, network, architectures())
    architecture, dot, tag = name.removeprefix("timm/").partition(".")
    if not dot or architecture not in architectures():
        return None
    known = tags_of(architecture)
    if tag not in known and not _has_tag(architecture, tag):
        near = get_close_matches(tag, known, n=3, cutoff=0.0)
        has = f"the nearest of its {len(known)} tags: {', '.join(near)}" if near else "it has no tags"
        raise QuadzooError(f"backbone {name}: timm's {architecture} has no weights {tag!r}; {has}"[:300])
    return _spec(f"{architecture}.{tag}")


def _has_tag(architecture: str, tag: str) -> bool:
    """Ask timm itself, which takes seconds."""
    import timm

    return f"{architecture}.{tag}" in timm.list_pretrained(f"{architecture}.*")


def _spec(name: str) -> BackboneSpec:
    return BackboneSpec(
        name=f"timm/{name}",
        build=partial(build_timm, name),
        description=CURATED.get(name, ""),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        revision="0.1.0",
    )


@hookimpl
def register_backbones() -> Iterator[BackboneSpec]:
    """Register all of timm. Images come in 0 to 1: each model normalises them as its weights expect."""
    return map(_spec, architectures())
