"""Can backbones be frozen in part? Asked in processes of their own, before anything trains."""

from __future__ import annotations

from quadzoo.data.geometry import Geometry
from quadzoo.errors import ConfigError
from quadzoo.executors.base import Executor, NoAnswer, Send, answer
from quadzoo.grid.config import BenchConfig
from quadzoo.model.recipe import FreezeTo

_LONG = 1800.0  # seconds for a build


def check_freezing(executor: Executor, config: BenchConfig, geometry: Geometry) -> None:
    """Check that backbones have the layers that `freeze_to` names. Raises ConfigError for the first without.

    What cannot be built is left to its run, whose record says so.
    """
    to = config.recipe.freeze_to
    for name in config.backbones if to else ():
        question = name, to, geometry.channels, geometry.size
        try:
            fault = answer(executor, f"{__name__}:find_layers", question, config.timeout or _LONG)
        except NoAnswer:
            continue
        if fault:
            raise ConfigError(fault)


def find_layers(question: tuple[str, FreezeTo, int, tuple[int, int]], send: Send) -> None:
    """Child's side: send why the layers are not there, nothing where they are."""
    from quadzoo.model.freezing import frozen_modules
    from quadzoo.model.operators import sketched_backbone
    from quadzoo.registry import catalogue

    name, to, in_channels, image_size = question
    spec = catalogue.load().backbones[name].spec
    backbone = sketched_backbone(spec, in_channels=in_channels, image_size=image_size)
    try:
        frozen_modules(backbone, to, name)
    except ConfigError as error:
        send(str(error))
    else:
        send("")
