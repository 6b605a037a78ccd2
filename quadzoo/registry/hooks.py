"""The hooks a plugin may implement. The entry-point group is ``quadzoo``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pluggy

from quadzoo.registry.specs import BackboneSpec, HeadSpec, ModelSpec

GROUP = "quadzoo"
API = 1
"""The plugin API: hooks, types and what is asked of them. Raised when older plugins may not work any more,
and when newer ones need what older versions of quadzoo have not."""
OLDEST_API = 1
"""The oldest plugin API that is still served; it is that of a plugin which asks for none."""

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def register_backbones() -> Iterable[BackboneSpec]:
    """Return the backbones this plugin brings; called before anything heavy is imported."""
    raise NotImplementedError


@hookspec
def register_heads() -> Iterable[HeadSpec]:
    """Return the heads this plugin brings; called before anything heavy is imported."""
    raise NotImplementedError


@hookspec
def register_models() -> Iterable[ModelSpec]:
    """Return the trained models this plugin brings; called before anything heavy is imported."""
    raise NotImplementedError


@hookspec
def find_backbone(name: str, network: Mapping[str, Any] | None) -> BackboneSpec | None:
    """Return the backbone of a name that is in no list, such as that of a file or a hub; None for others.

    ``network`` is `BackboneSpec.network` of the spec that was found before, if there is one: then neither
    files nor a network connection are needed. Raises QuadzooError for a name that cannot be had.
    """
    raise NotImplementedError
