"""Which backbones and heads can be an ONNX graph that is exact? The built-in ones and 20 families of timm.

    python benchmarks/export.py
    python benchmarks/export.py --only tiny_cnn,resnet18,tiny_cnn+integer

Weights are random, and batch norm has seen images; the graph takes images of any size, which networks see at
64 × 64 pixels. Each graph answers for 64 made images of many sizes, one by one and in batches of 7, as
`quadzoo export --onnx` checks it. It writes results/export.json, where what is not asked for stays as it was,
and from it EXPORT.md. A name is a backbone, with the head mlp, or BACKBONE+HEAD.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from quadzoo.errors import QuadzooError
from quadzoo.inference.exported import TOLERANCE
from quadzoo.inference.network import Network
from quadzoo.inference.onnx import check_onnx, write_onnx
from quadzoo.inference.view import View
from quadzoo.model.backbones.timm import CURATED
from quadzoo.model.build import build_backbone, build_head, join
from quadzoo.model.contract import backbone_width
from quadzoo.records.keys import ImageFacts, Originals
from quadzoo.records.record import RECORD, read_record_file
from quadzoo.records.trained import Trained
from quadzoo.registry import catalogue

HERE = Path(__file__).parent
SIZE = (64, 64)
HEAD = "mlp"
FAMILIES = [
    "convnextv2_atto", "deit_tiny_patch16_224", "dla34", "edgenext_xx_small", "efficientformerv2_s0",
    "fastvit_t8", "ghostnet_100", "hgnet_tiny", "lcnet_050", "levit_128s", "mixer_s16_224", "mobilenetv2_100",
    "mobilevit_xxs", "nfnet_l0", "poolformer_s12", "pvt_v2_b0", "repvgg_a0", "resnest14d", "vgg11_bn",
    "xcit_nano_12_p16_224",
]  # fmt: skip
PACKAGES = ("quadzoo", "torch", "torchvision", "timm", "onnx", "onnxscript", "onnxruntime")


def everything() -> list[str]:
    """The built-in backbones, the families, and the built-in heads on one backbone."""
    names = catalogue.load()
    own = [name for name, entry in names.backbones if entry.plugin.distribution == "quadzoo"]
    built_in = [
        name for name in own if name in CURATED or not names.backbones[name].spec.name.startswith("timm/")
    ]
    heads = [name for name, entry in names.heads if entry.plugin.distribution == "quadzoo" and name != HEAD]
    return [*built_in, *FAMILIES, *(f"tiny_cnn+{head}" for head in heads)]


def untrained(name: str) -> Network:
    """Return a network of random weights, with the record of a published run that is made to fit it."""
    backbone, _, head = name.partition("+")
    template = next((HERE / "results" / "leaderboard" / "runs").glob(f"*/{RECORD}"))
    record = read_record_file(template).model_copy(update={
        "backbone": backbone, "head": head or HEAD, "precision": "32", "unit": None,
        "image": ImageFacts(
            size=SIZE, channels=3, crop=None, max_scale=1.0, fill=(0, 0, 0), resize="letterbox"
        ),
        "originals": Originals(height=(48, 96), width=(48, 128), bands=(3,)),
    })  # fmt: skip
    trained = Trained(template.parent, record, "")
    names = catalogue.load()
    torch.manual_seed(0)
    spec = names.backbones[backbone].spec
    features = build_backbone(spec, pretrained=False, in_channels=3, image_size=SIZE)
    answers = build_head(
        names.heads[record.head].spec, num_features=backbone_width(features), targets=trained.unit
    )
    module = join(spec, features, answers, record.recipe, 3, targets=trained.unit)
    # Otherwise the signal of a deep network of random weights grows or fades with each layer.
    with torch.no_grad():
        for _ in range(10):
            module.train()(torch.randint(0, 256, (16, 3, *SIZE), dtype=torch.uint8))
    return Network(trained, module.eval(), View.of(record, name))


def tried(name: str) -> dict[str, object]:
    """Export one and compare; return the largest difference, or the reason why there is none."""
    start = time.perf_counter()
    try:
        network = untrained(name)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            write_onnx(network, path)
            found = check_onnx(network, path, [])
            size = path.stat().st_size
    except (QuadzooError, ValueError, RuntimeError) as error:
        return {"reason": " ".join(str(error).split())[:300]}
    share, images, sizes = found.share, found.n, found.sizes
    if other := found.elsewhere:
        share, images, sizes = max(share, other.share), images + other.n, sizes + other.sizes
        if not other.is_exact:
            return {"reason": f"off by up to {other.share:.2g} of the range at {other.worst} pixels"}
    return {
        "share": float(np.float32(share)), "images": images, "sizes": sizes, "bytes": size,
        "seconds": round(time.perf_counter() - start, 1),
    }  # fmt: skip


def page(results: dict) -> str:
    """Return the page: a row for each that can be a graph, and a line for each that cannot."""
    found = results["found"]
    good = {name: one for name, one in found.items() if "share" in one}
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    lines = [
        "# Networks as ONNX graphs",
        "",
        f"`python benchmarks/export.py`: {len(good)} of {len(found)} are a graph whose predictions "
        f"differ from torch's by at most {TOLERANCE:g} of a target's range. {versions}, Python "
        f"{results['python']}, {results['machine']}. Random weights; 64 made images of many sizes, one by "
        "one and in batches of 7.",
        "",
        "| backbone, and head where it is not mlp | largest difference, of the range | MB |",
        "| --- | --- | --- |",
        *(f"| {name} | {one['share']:.1e} | {one['bytes'] / 1e6:.1f} |" for name, one in good.items()),
        "",
        *(f"- {name}: {one['reason']}" for name, one in found.items() if "reason" in one),
    ]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="names with commas between them; the others stay as they were")
    parser.add_argument("--to", type=Path, default=HERE, help="folder of results/ and EXPORT.md")
    arguments = parser.parse_args()
    path = arguments.to / "results" / "export.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(path.read_text())["found"] if path.exists() else {}
    asked = arguments.only.split(",") if arguments.only else everything()
    for name in asked:
        before[name] = tried(name)
        print(name, before[name], flush=True)
        order = {one: place for place, one in enumerate(everything())}
        results = {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "versions": {package: version(package) for package in PACKAGES},
            "found": dict(sorted(before.items(), key=lambda item: order.get(item[0], len(order)))),
        }
        path.write_text(json.dumps(results, indent=1) + "\n")
        (arguments.to / "EXPORT.md").write_text(page(results))


if __name__ == "__main__":
    main()
