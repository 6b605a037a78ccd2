"""How long does a command take beside its training? By turns with the imports that it cannot do without.

    python benchmarks/startup.py

Each round times, one after the other and each in a process of its own: importing torch, timm and
pytorch_lightning; `quadzoo bench --dry-run` of the default networks with images cached; and a whole
`quadzoo bench` of tiny_cnn on 64 images for one epoch, images cached, results not. It writes
benchmarks/results/startup.json: all seconds, and the ratios to the imports, medians of the rounds' own with
the lowest and the highest. Nothing else should run at the same time; the load is in the JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from turns import positive, ratios, seconds_of, where

from quadzoo.data.equations import write_folder

RESULTS = Path(__file__).parent / "results" / "startup.json"
IMPORTS = [sys.executable, "-c", "import torch, timm, pytorch_lightning"]
QUADZOO = [sys.executable, "-c", "from quadzoo.start import main; main()"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--backbones", default="resnet50,efficientnet_b0", help="of the dry run")
    parser.add_argument("--to", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory() as scratch:
        data, cache = f"{scratch}/data", {"QUADZOO_CACHE_DIR": f"{scratch}/cache"}
        write_folder(Path(data), 64, seed=0)
        bench = [*QUADZOO, "bench", "--data", data, "--weights", "none"]
        dry = [*bench, "--backbones", arguments.backbones, "--dry-run", "--out", f"{scratch}/none"]
        short = [*bench, "--backbones", "tiny_cnn", "--epochs", "1", "--out"]
        seconds_of([*short, f"{scratch}/warm"], **cache)  # fills the cache, and reads all files once
        seconds_of(dry, **cache)
        for number in range(arguments.rounds):
            figures.append(
                {
                    "imports": seconds_of(IMPORTS),
                    "dry run": seconds_of(dry, **cache),
                    "short job": seconds_of([*short, f"{scratch}/{number}"], **cache),
                }
            )
            print(json.dumps(figures[-1]), flush=True)
    found = {name: ratios(figures, name, "imports") for name in ("dry run", "short job")}
    print(json.dumps(found))
    result = {**where(), "images": 64, "ratios to the imports": found, "seconds": figures}
    arguments.to.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
