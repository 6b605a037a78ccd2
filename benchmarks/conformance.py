"""Do timm's architectures keep the rules for backbones? One of each family, randomly initialised.

    python benchmarks/conformance.py

Each runs in a process of its own. It writes benchmarks/results/conformance.json (every verdict, device and
versions) and, from that file, benchmarks/CONFORMANCE.md.
"""

from __future__ import annotations

import argparse
import json
import platform
from importlib.metadata import version
from pathlib import Path

from quadzoo.executors.local import LocalExecutor
from quadzoo.testing.checking import Subject, verdicts

HERE = Path(__file__).parent
ARCHITECTURES = [
    "coat_lite_tiny",
    "convnext_atto",
    "convnextv2_atto",
    "deit_tiny_patch16_224",
    "dla34",
    "edgenext_xx_small",
    "efficientformer_l1",
    "efficientformerv2_s0",
    "efficientnet_b0",
    "fastvit_t8",
    "fbnetc_100",
    "gernet_s",
    "ghostnet_100",
    "hardcorenas_a",
    "hgnet_tiny",
    "lcnet_050",
    "levit_128s",
    "mixer_s16_224",
    "mnasnet_small",
    "mobilenetv2_100",
    "mobilenetv3_large_100",
    "mobilenetv4_conv_small",
    "mobileone_s0",
    "mobilevit_xxs",
    "mobilevitv2_050",
    "nfnet_l0",
    "pit_ti_224",
    "poolformer_s12",
    "pvt_v2_b0",
    "regnety_002",
    "repvgg_a0",
    "repvit_m0_9",
    "resmlp_12_224",
    "resnest14d",
    "resnet18",
    "rexnet_100",
    "swin_tiny_patch4_window7_224",
    "tf_efficientnetv2_b0",
    "tiny_vit_5m_224",
    "tinynet_e",
    "vgg11_bn",
    "visformer_tiny",
    "vit_tiny_patch16_224",
    "xcit_nano_12_p16_224",
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--architectures", default=",".join(ARCHITECTURES))
    parser.add_argument("--to", type=Path, default=HERE, help="folder of results/ and CONFORMANCE.md")
    arguments = parser.parse_args()
    executor = LocalExecutor()
    found: dict[str, dict[str, str]] = {}
    for name in arguments.architectures.split(","):
        subject = Subject("backbone", f"timm/{name}")
        found[name] = {one.rule: one.broken for one in verdicts(subject, executor, timeout=300)}
        print(name, sum(not line for line in found[name].values()), "of", len(found[name]), flush=True)
        write(found, arguments.to)  # after each one, so that an interrupt loses nothing


def write(found: dict[str, dict[str, str]], to: Path) -> None:
    """Write the verdicts, as JSON and as a page."""
    results = {
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("quadzoo", "timm", "torch")},
        "verdicts": found,
    }
    (to / "results").mkdir(parents=True, exist_ok=True)
    (to / "results" / "conformance.json").write_text(json.dumps(results, indent=1) + "\n")
    (to / "CONFORMANCE.md").write_text(page(results))


def page(results: dict) -> str:
    """Return the page: the architectures that keep every rule, and a line for each rule that is broken."""
    verdicts_of = results["verdicts"]
    whole = [name for name, rules in verdicts_of.items() if not any(rules.values())]
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    broken = [line for rules in verdicts_of.values() for line in rules.values() if line]
    lines = [
        "# timm's architectures and the rules",
        "",
        f"`python benchmarks/conformance.py`: {len(whole)} of {len(verdicts_of)} architectures keep every "
        f"rule ([which](../docs/plugin-api.md#rules)). {versions}, Python {results['python']}.",
        "",
        f"Every rule: {', '.join(whole)}.",
        "",
        *(f"- {line}" for line in broken),
    ]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    main()
