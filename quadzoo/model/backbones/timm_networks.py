"""Networks in timm's schema that are in no list: in a local folder, or on the hub.

Each is a ``config.json`` with an architecture of timm, its arguments and its preprocessing, and a file of
weights. What counts of the first is kept in a run's record, so that the network can be built without it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quadzoo import BackboneSpec, QuadzooError
from quadzoo.storage import read_regular

if TYPE_CHECKING:
    from torch import nn

HUB, FOLDER = "hf-hub:", "local-dir:"
_CONFIG = "config.json"
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # that timm writes; the first is preferred
_MOST_BYTES = 1 << 20  # of config.json
_LAYERS = re.compile("layer|depth|block|stage|repeat")  # what counts parts of a network
_MOST_LAYERS, _LARGEST = 1000, 1 << 20  # of that, and of a width
_HUB_SECONDS = 5.0  # for the hub's first answer

# What a config says of preprocessing and of names of layers, and what must be right about it. Of what else it
# may say, a file, an address or a class to be loaded, nothing is taken.
_PREPROCESSING = (
    "mean",
    "std",
    "input_size",
    "fixed_input_size",
    "first_conv",
    "classifier",
    "tag",
    "license",
)
# Arguments that are the bench's to give, or that would have timm read other files.
_NOT_TAKEN = (
    "in_chans", "num_classes", "global_pool", "img_size", "pretrained", "pretrained_cfg", "checkpoint_path",
    "pretrained_cfg_overlay", "cache_dir", "features_only", "scriptable", "exportable", "no_jit",
)  # fmt: skip


def find(name: str, network: Mapping[str, Any] | None, architectures: list[str]) -> BackboneSpec | None:
    """Return the spec of ``hf-hub:OWNER/NAME`` or ``local-dir:PATH``, None for another name.

    With ``network``, which an earlier spec had, nothing is read. Raises QuadzooError, in one line, for what
    is not there, and for what is no network of timm.
    """
    if not name.startswith((HUB, FOLDER)):
        return None
    who = name if len(name) <= 120 else f"{name[:119]}…"
    try:
        content = network if network is not None else _checked(_read_config(name))
        architecture, arguments = content["architecture"], content["model_args"]
        if architecture not in architectures:
            raise ValueError(f"timm {_version()} has no architecture {architecture!r}"[:120])
        if not isinstance(arguments, Mapping) or not isinstance(content["pretrained_cfg"], Mapping):
            raise ValueError("no network of timm")
        for argument, value in arguments.items():
            _check_size(argument, value)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise QuadzooError(f"backbone {who}: {_CONFIG} cannot be used ({_reason(error)})") from error
    code = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
    return BackboneSpec(
        name=f"timm/{architecture}",
        build=partial(build_network, name, content),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        revision=f"0.1.0+{code}",
        network=content,
    )


def build_network(
    name: str,
    network: Mapping[str, Any],
    *,
    pretrained: bool,
    in_channels: int,
    image_size: tuple[int, int],
) -> nn.Module:
    """Return the network without pooling and classifier: (B, in_channels, H, W) to (B, F, h, w).

    With ``pretrained`` it has the weights of the folder or the hub. Raises QuadzooError where these are not
    available, and ValueError for images of a size that the network cannot take.
    """
    from quadzoo.model.backbones.timm_features import TimmFeatures
    from quadzoo.model.checkpoint import load_weights, read_checkpoint

    backbone = TimmFeatures(network["architecture"], False, in_channels, image_size, network)
    if pretrained:
        try:
            path = _file(name, *_WEIGHTS)
        except OSError as error:
            raise QuadzooError(f"backbone {_last(name)}: no weights ({_reason(error)})") from error
        load_weights(backbone, read_checkpoint(path), _last(name))
        origin = {"weights_source": _last(name), "weights_tag": network["pretrained_cfg"].get("tag", "")}
        vars(backbone).update(origin)
    return backbone


def _read_config(name: str) -> Any:
    return json.loads(read_regular(_file(name, _CONFIG), _MOST_BYTES, follow=True))


def _checked(config: Any) -> dict[str, Any]:
    """Return what counts of a config. Raises ValueError for one that describes no network."""
    if not isinstance(config, Mapping) or not isinstance(config.get("architecture"), str):
        raise ValueError("it names no architecture of timm")
    given = config.get("pretrained_cfg", config)  # older ones have all on one level
    arguments = config.get("model_args") or {}
    if not isinstance(given, Mapping) or not isinstance(arguments, Mapping):
        raise ValueError("pretrained_cfg and model_args are no mappings")
    kept = {name: given[name] for name in _PREPROCESSING if given.get(name) is not None}
    for name in ("mean", "std", "input_size"):
        values = kept.get(name, [1, 1, 1])
        if not (isinstance(values, list) and len(values) == 3 and all(map(_is_finite, values))):
            raise ValueError(f"{name} {values!r}: three numbers are needed"[:120])
    if min(kept.get("std", [1])) <= 0 or min(kept.get("input_size", [1])) < 1:
        raise ValueError("std and input_size must be above 0")
    return {
        "architecture": config["architecture"],
        "model_args": {name: value for name, value in arguments.items() if name not in _NOT_TAKEN},
        "pretrained_cfg": kept,
    }


def _check_size(name: str, value: object) -> None:
    """Check an argument of an architecture. Raises ValueError for one that would take hours to build."""
    if isinstance(value, int):
        if value > (_MOST_LAYERS if _LAYERS.search(name) else _LARGEST):
            raise ValueError(f"model_args.{name} {str(value)[:20]}: no network is that large"[:120])
    elif isinstance(value, Mapping | list | tuple):
        for one in value.values() if isinstance(value, Mapping) else value:
            _check_size(name, one)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _file(name: str, *names: str) -> Path:
    """Return the first of these files in the folder, or from the hub. Raises OSError where there is none."""
    if name.startswith(FOLDER):
        folder = Path(name.removeprefix(FOLDER)).expanduser()
        found = [folder / one for one in names if (folder / one).is_file()]
        if not found:
            raise FileNotFoundError(f"{folder} has no {' or '.join(names)}"[-150:])
        return found[0]
    return _from_hub(name.removeprefix(HUB), names)


def _from_hub(address: str, names: tuple[str, ...]) -> Path:
    """Return a file of ``OWNER/NAME`` or ``OWNER/NAME@REVISION``, from the local cache where there is no hub.

    Raises OSError, within seconds: the hub's own download would try again and again.
    """
    from huggingface_hub import hf_hub_download, model_info
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError

    repository, _, revision = address.partition("@")
    wanted: str | None = revision or None
    problem = ""
    try:
        wanted = model_info(repository, revision=wanted, timeout=_HUB_SECONDS).sha
    except HFValidationError as error:
        raise OSError(f"{repository!r} is no OWNER/NAME") from error
    except Exception as error:  # offline, no such repository, no access
        problem = f"the hub does not give it: {_reason(error)}; it is not in the local cache"
    for one in names:
        with suppress(EntryNotFoundError):  # of the cache, too
            return Path(hf_hub_download(repository, one, revision=wanted, local_files_only=bool(problem)))
    raise OSError(problem or f"the hub has no {' or '.join(names)} of it")


def _last(name: str) -> str:
    """Return a name without the folders above the last."""
    return f"{FOLDER}{Path(name.removeprefix(FOLDER)).name}" if name.startswith(FOLDER) else name


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"it has no {error}"
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


def _version() -> str:
    from importlib.metadata import version

    return version("timm")
