"""The hooks a plugin may implement. The entry-point group is ``quadzoo``."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from quadzoo.registry.specs import BackboneSpec, HeadSpec, ModelSpec

GROUP = "quadzoo"

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
