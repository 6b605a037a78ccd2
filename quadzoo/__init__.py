"""quadzoo: which backbone should read numbers off my pictures?

The names below are all a plugin needs; importing them does not import torch.
"""

from quadzoo.errors import QuadzooError
from quadzoo.registry.hooks import hookimpl
from quadzoo.registry.specs import BackboneSpec, HeadSpec, ModelSpec, TargetInfo

__version__ = "0.1.0"
__all__ = [
    "BackboneSpec",
    "HeadSpec",
    "ModelSpec",
    "QuadzooError",
    "TargetInfo",
    "__version__",
    "hookimpl",
]
