"""How often are all coefficients read right? EXACTNESS.md, from the records and results in results/.

    python benchmarks/exactness.py                                    writes the table anew, runs nothing
    python benchmarks/exactness.py --data FOLDER --fonts FONTS        first runs what has no record

FOLDER holds the published images, FONTS fonts that the training of reader-equations did not use. Each row
names the command that gave its figures; the rows of benchmarks/ocr.py and benchmarks/tutorial_loop.py come
from their own results.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from leaderboard import keep

from quadzoo import api
from quadzoo.data.equations import write_folder
from quadzoo.records.record import RunRecord, read_records

HERE = Path(__file__).parent
RECORDS = Path("results") / "exactness"
N_DRAWN = 2000  # newly drawn equations in the published font
N_EACH = 500  # and in each other font
SEED = 7  # of their generator; the published ones and those of `quadratic` have others
MODEL = "reader-equations"
FINE_TUNING = {"epochs": 5, "lr": 2e-4}
PUBLISHED = 0.002589975  # the tutorial's test MSE
# The best by val of some from scratch, and the best with pretrained weights, at most 15 minutes each.
LONGER = {
    "longer-resnet18-skip": {
        "backbones": ("resnet18",),
        "heads": ("skip",),
        "epochs": 60,
        "recipe": "default",
    },
    "longer-resnet18-mlp": {"backbones": ("resnet18",), "heads": ("mlp",), "epochs": 60},
    "longer-resnet18": {"backbones": ("resnet18",), "heads": ("hl_gauss",), "epochs": 60},
    "longer-lite0": {"backbones": ("efficientnet_lite0",), "heads": ("hl_gauss",), "epochs": 40},
}


def run_all(data: Path, fonts: Sequence[Path], out: Path) -> None:
    """Run what the table needs and has no record yet, each kind into a folder of its own."""
    tested = {"init": MODEL, "epochs": 0, "folds": 5}
    benches: dict[str, dict[str, Any]] = {
        "published": {"data": str(data), **tested},
        "fine-tuned": {"data": str(data), "init": MODEL, **FINE_TUNING, "seeds": (0, 1, 2)},
        **{
            name: {"data": str(data), **parameters, "seeds": (0, 1, 2)} for name, parameters in LONGER.items()
        },
    }
    for font in (data.parent / "fonts" / "HindSiliguri-Regular.ttf", *fonts):
        folder = out / "drawn" / font.stem
        if not folder.exists():
            write_folder(folder, N_EACH if font in fonts else N_DRAWN, SEED, font=font)
        benches[f"font-{font.stem}"] = {"data": str(folder), **tested}
    for name, parameters in benches.items():
        api.bench(**{"recipe": "first", **parameters}, out=out / name, progress=True)


def page(results: Path) -> str:
    """Return EXACTNESS.md."""
    ocr, newer = (json.loads((results / name).read_text()) for name in ("ocr.json", "newer-ocr.json"))
    kinds = {path.name: read_records(path) for path in sorted((results / "exactness").iterdir())}
    published, tuned = kinds["published"], kinds["fine-tuned"]
    fonts = {name: records for name, records in kinds.items() if name.startswith("font-")}
    hind = fonts.pop("font-HindSiliguri-Regular")
    data, untrained = "--data FOLDER", f"quadzoo bench --init {MODEL} --epochs 0 --folds 5"
    rows = [
        ["always the mean of train", "test", *_mean(tuned), ""],
        *_tutorial(results / "tutorial_loop.json"),
        *(_longer(kinds[name], str(one.get("recipe", "first"))) for name, one in LONGER.items()),
        *(_read(one, side, flags) for result, flags in ((ocr, ""), (newer, " --readers rapidocr-3"))
          for one in result["results"] if not one["reader"].endswith((MODEL, "batches"))
          for side in ("test", "all") if side in one["scores"]),
        [f"{MODEL}, without further training", *_of(published), f"`{untrained} {data}`"],
        [f"{MODEL}, fine-tuned on train for {FINE_TUNING['epochs']} epochs", *_of(tuned),
         f"`quadzoo bench --recipe first --init {MODEL} --epochs {FINE_TUNING['epochs']} "
         f"--lr {FINE_TUNING['lr']} --seeds 0,1,2 {data}`"],
    ]  # fmt: skip
    drawn = f"`quadzoo data make DRAWN --n N --seed {SEED} --font FONT` and `{untrained} --data DRAWN`"
    first, split = published[0], tuned[0].split
    unseen = [record for records in fonts.values() for record in records]
    return "\n".join([
        "# Exactness",
        "",
        f"The {first.data.n:,} published images (data {first.data.hash[:12]}), split grouped "
        f"({split.hash[:12]}: {split.n_train:,} train, {split.n_val} val, {split.n_test} test), "
        f"{first.environment.device_name}, {first.environment.threads} threads. "
        "An image is exact when a, b and c are all right after rounding. Of three seeds the table gives the "
        "mean and, in brackets, the lowest and the highest. `python benchmarks/exactness.py` makes it from "
        "the records in results/exactness, from results/ocr.json, results/newer-ocr.json and "
        "results/tutorial_loop.json.",
        "",
        *_table(["reader", "images", "exact", "MSE", "command"], rows),
        "",
        "Images per second and, in brackets, how many times faster the model is. On each machine all were "
        "measured side by side in one run of `python benchmarks/ocr.py --data FOLDER`.",
        "",
        *_table(["machine", "bf16 units", MODEL, "RapidOCR's recognition", "in batches"],
                [_speeds(json.loads(path.read_text())) for path in sorted(results.glob("ocr*.json"))]),
        "",
        f"## Newly drawn equations: {MODEL}, without further training",
        "",
        drawn,
        "",
        *_table(["font", "images", "exact", "MSE"],
                [["Hind Siliguri, the published one", *_of(hind)],
                 *([name.removeprefix("font-"), *_of(records)] for name, records in fonts.items()),
                 ["all fonts but the first (none was used in its training)", *_of(unseen)]]),
        "",
        f"## By form, on the published images: {MODEL}, without further training",
        "",
        *_table(["form", "images", "exact"], _forms(results / "exactness" / "published")),
        "",
    ])  # fmt: skip


def _of(records: Sequence[RunRecord]) -> list[str]:
    """Return images, exact and MSE: pooled over folds and data sets, or the mean over seeds."""
    sizes = [record.split.n_test for record in records]
    exact = [record.metrics.test_exact or 0.0 for record in records]
    mse = [record.metrics.test_mse or 0.0 for record in records]
    if len({record.seed for record in records}) > 1:
        return ["test", _spread([f"{one:.2%}" for one in (np.mean(exact), min(exact), max(exact))]),
                _spread([f"{one:.3g}" for one in (np.mean(mse), min(mse), max(mse))])]  # fmt: skip
    n = sum(sizes)
    right = round(float(np.dot(exact, sizes)))
    return [f"{n:,}", f"{right / n:.2%} ({n - right} wrong)", f"{np.average(mse, weights=sizes):.3g}"]


def _spread(texts: list[str]) -> str:
    mean, low, high = texts
    return mean if low == high else f"{mean} ({low} – {high})"


def _longer(records: Sequence[RunRecord], recipe: str) -> list[str]:
    first = records[0]
    start = "from ImageNet's weights" if first.weights == "pretrained" else "from scratch"
    minutes = sum(record.cost.fit_seconds or 0 for record in records) / 60
    command = f"quadzoo bench --recipe {recipe} --backbones {first.backbone} --heads {first.head} "
    command += f"--epochs {first.recipe.epochs} --seeds 0,1,2 --precision {first.precision} --data FOLDER"
    what = f"{first.backbone} + {first.head}, {first.recipe.epochs} epochs {start}"
    return [f"{what}, {minutes:.0f} minutes for three seeds", *_of(records), f"`{command}`"]


def _mean(records: Sequence[RunRecord]) -> list[str]:
    baseline = records[0].baselines["mean-of-train"]
    return [f"{baseline.test_exact:.2%}", f"{baseline.test_mse:.3g}"]


def _read(one: dict, side: str, flags: str) -> list[str]:
    score = one["scores"][side]
    shown = "test" if side == "test" else f"{score['n']:,}"
    return [f"{one['reader']} and a parser", shown, f"{score['exact']:.2%}", f"{score['mse']:.3g}",
            f"`python benchmarks/ocr.py --data FOLDER{flags}`"]  # fmt: skip


def _speeds(result: dict) -> list[str]:
    speed = {one["reader"]: one["images_per_second"] for one in result["results"]}
    rapid = [speed[f"RapidOCR, recognition alone{way}"] for way in ("", ", in batches")]
    return [result["device"], ", ".join(result["bf16 units"]), f"{speed[MODEL]:,.0f}",
            *(f"{one:.0f} ({speed[MODEL] / one:.0f} times)" for one in rapid)]  # fmt: skip


def _tutorial(path: Path) -> list[list[str]]:
    result = json.loads(path.read_text())
    score, seconds = result["scores"]["test"], result["seconds"]
    return [
        ["the tutorial, as published", "its own test, two thirds of which is also in train", "",
         f"{PUBLISHED:.3g}", ""],
        [f"the tutorial's loop, {seconds / 60:.0f} minutes ({result['epochs']} epochs) from scratch", "test",
         f"{score['exact']:.2%}", f"{score['mse']:.3g}",
         "`python benchmarks/tutorial_loop.py --data FOLDER --minutes 15`"],
    ]  # fmt: skip


def _forms(folder: Path) -> list[list[str]]:
    kinds = api.leaderboard(folder).rows[0].details.kinds
    return [[f"`{one.kind}`", f"{one.n:,}", f"{one.test_exact:.2%}"] for one in kinds]


def _table(headings: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (headings, ["---"] * len(headings), *rows)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="the published images; without it nothing is run")
    parser.add_argument("--fonts", type=Path, help="a folder of fonts")
    parser.add_argument("--out", type=Path, default=Path("results-exactness"), help="may be resumed")
    arguments = parser.parse_args()
    if arguments.data:
        fonts = sorted(arguments.fonts.glob("*.[ot]tf")) if arguments.fonts else []
        run_all(arguments.data, fonts, arguments.out)
        for kind in (path for path in arguments.out.iterdir() if (path / "runs").is_dir()):
            keep(kind, HERE / RECORDS / kind.name)
    (HERE / "EXACTNESS.md").write_text(page(HERE / "results"), encoding="utf-8")


if __name__ == "__main__":
    main()
