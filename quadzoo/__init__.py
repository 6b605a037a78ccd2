"""quadzoo: which backbone should read numbers off my images?

The public names. Each is imported when it is first asked for, so ``import quadzoo`` takes no time and torch
is imported only by what needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quadzoo.api import bench, leaderboard, load, suite, suite_leaderboard
    from quadzoo.data.datamodule import DataModule
    from quadzoo.errors import QuadzooError
    from quadzoo.model.regressor import RegressionModule
    from quadzoo.registry.hooks import hookimpl
    from quadzoo.registry.specs import BackboneSpec, HeadSpec, ModelSpec
    from quadzoo.targets import TargetInfo

__version__ = "0.1.0"
__all__ = [
    "BackboneSpec",
    "DataModule",
    "HeadSpec",
    "ModelSpec",
    "QuadzooError",
    "RegressionModule",
    "TargetInfo",
    "__version__",
    "bench",
    "hookimpl",
    "leaderboard",
    "load",
    "suite",
    "suite_leaderboard",
]

_HOMES = {
    "BackboneSpec": "quadzoo.registry.specs",
    "DataModule": "quadzoo.data.datamodule",
    "HeadSpec": "quadzoo.registry.specs",
    "ModelSpec": "quadzoo.registry.specs",
    "QuadzooError": "quadzoo.errors",
    "RegressionModule": "quadzoo.model.regressor",
    "TargetInfo": "quadzoo.targets",
    "bench": "quadzoo.api",
    "hookimpl": "quadzoo.registry.hooks",
    "leaderboard": "quadzoo.api",
    "load": "quadzoo.api",
    "suite": "quadzoo.api",
    "suite_leaderboard": "quadzoo.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'quadzoo' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
