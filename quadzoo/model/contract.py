"""What a plugin's modules must be: checked here, for training and for the conformance kit alike.

Each text says what the contract asks for and what came, without the plugin's name: the caller knows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from quadzoo.errors import BadModule


@contextmanager
def named(who: str) -> Iterator[None]:
    """Write ``who`` before the text of a BadModule. Raises it again."""
    try:
        yield
    except BadModule as error:
        raise BadModule(f"{who}: {error}") from None


def check_module(built: object) -> None:
    """Check that ``build`` returned an nn.Module. Raises BadModule where it did not."""
    if not isinstance(built, nn.Module):
        raise BadModule(f"expected build to return a torch.nn.Module, got {type(built).__name__}")


def backbone_width(backbone: object) -> int:
    """Return F, the ``num_features`` of what a backbone's ``build`` returned.

    Raises BadModule for what is no nn.Module, or has no positive int of that name.
    """
    check_module(backbone)
    width = getattr(backbone, "num_features", None)
    if not isinstance(width, int) or isinstance(width, bool) or width < 1:
        raise BadModule(f"expected an int attribute num_features, got {width!r}")
    return width


def feature_tensor(features: object) -> Tensor:
    """Return the features of a backbone, float32 or bfloat16 (B, F, h, w) or (B, F).

    Raises BadModule for a list, a tuple, a dict and the like.
    """
    if not isinstance(features, Tensor):
        raise BadModule(
            f"expected features as one tensor (B, F, h, w) or (B, F), got {type(features).__name__}"
        )
    return features


def feature_map(features: object, num_features: int, batch: int) -> Tensor:
    """Return features as (B, F, h, w), float32 or bfloat16 as they were; (B, F) becomes (B, F, 1, 1).

    ``batch`` is B. Raises BadModule for what is no floating-point tensor, or has another shape.
    """
    tensor = feature_tensor(features)
    if tensor.ndim not in (2, 4) or tensor.shape[1] != num_features or 0 in tensor.shape:
        raise BadModule(
            f"the backbone says num_features = {num_features} but gives features of shape "
            f"{tuple(tensor.shape)}; the contract asks for (B, F, h, w) or (B, F)"
        )
    if tensor.shape[0] != batch:  # an export to ONNX would take len() for a number that never changes
        raise BadModule(f"the backbone gives features of {tensor.shape[0]} images for a batch of {batch}")
    if not tensor.is_floating_point():
        raise BadModule(
            f"the backbone gives features of {tensor.dtype}; the contract asks for floating point"
        )
    return tensor[:, :, None, None] if tensor.ndim == 2 else tensor


def check_head(head: object) -> None:
    """Check that a head is an nn.Module with ``loss`` and ``predict``. Raises BadModule where it is not."""
    check_module(head)
    for method in ("loss", "predict"):
        if not callable(getattr(head, method, None)):
            raise BadModule(f"expected a method {method}, got none")


def loss_value(loss: object) -> Tensor:
    """Return a head's loss over (B, T), a float32 scalar. Raises BadModule for anything else."""
    if not isinstance(loss, Tensor) or loss.ndim != 0 or not loss.is_floating_point():
        raise BadModule(f"the head's loss must be a floating-point scalar, got {_described(loss)}")
    return loss


def predictions(prediction: object, target: Tensor) -> Tensor:
    """Return a head's predictions, float32 (B, T) like ``target``. Raises BadModule for anything else."""
    if not isinstance(prediction, Tensor) or not prediction.is_floating_point():
        raise BadModule(f"the head must predict a floating-point tensor (B, T), got {_described(prediction)}")
    if prediction.shape != target.shape:
        raise BadModule(
            f"the head predicts {tuple(prediction.shape)} for targets of shape {tuple(target.shape)}"
        )
    return prediction


def _described(value: object) -> str:
    return f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
