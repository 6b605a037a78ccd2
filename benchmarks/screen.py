"""Does the order of frozen features foretell that of full training? Kendall's tau, over the suite, by val.

    python benchmarks/screen.py --full RESULTS                       reads what is known, and writes the page
    python benchmarks/screen.py --full RESULTS --suite SUITE.toml    also screens random backbones
    python benchmarks/screen.py --timed                              10 backbones on 2,000 images, in seconds

`quadzoo bench --freeze --heads ridge` computes the features of each backbone once and fits ridge regression
to them. RESULTS is the folder of `quadzoo bench --suite`, which trained backbones in full on the same split;
of pretrained ones it has that fit already, among the baselines (`ridge-features:<backbone>`). Of those that
are randomly initialised nobody needs it; with SUITE.toml, which benchmarks/suite/make.py made, they are
screened, too, to show what that is worth. It adds to benchmarks/results/screen.json the val MSE of both for
each set and backbone, and writes benchmarks/SCREEN.md:
Kendall's tau (tau-b) between the two orders on each set, and the mean over sets with a 95 % interval, a
bootstrap over sets (Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau
from turns import where

import quadzoo
from quadzoo.data.equations import write_folder
from quadzoo.records.baseline import RIDGE_FEATURES
from quadzoo.records.record import read_records

HERE = Path(__file__).parent
RESULTS, PAGE = HERE / "results" / "screen.json", HERE / "SCREEN.md"
DRAWS = 10_000
TIMED = (
    "resnet18,resnet34,resnet50,efficientnet_b0,mobilenetv3_large_100,regnety_004,convnext_atto,"
    "efficientnet_lite0,efficientnet_lite1,efficientnet_lite2"
)
Scores = Mapping[str, Mapping[str, float]]
"""The val MSE of each backbone on each set."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suite", type=Path)
    parser.add_argument("--full", type=Path, help="results of full training, a folder for each set")
    parser.add_argument("--sets", help="of the suite; all by default")
    parser.add_argument("--out", type=Path, default=Path("results-screen"), help="may be resumed")
    parser.add_argument("--timed", nargs="?", const=TIMED, metavar="BACKBONES")
    arguments = parser.parse_args()
    known: dict[str, Any] = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {"rows": []}
    if arguments.full:
        rows = {(row["set"], row["backbone"]): row for row in known["rows"]}
        rows |= {(row["set"], row["backbone"]): row for row in screened(arguments)}
        known |= {**where(), "rows": list(rows.values())}
    if arguments.timed:
        known["timed"] = {**where(), **timed(arguments.timed.split(","))}
        print(json.dumps(known["timed"]))
    RESULTS.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(known), encoding="utf-8")


def screened(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for each set and backbone whose screening is known, or asked for."""
    sets = tomllib.loads(arguments.suite.read_text(encoding="utf-8"))["sets"] if arguments.suite else {}
    names = arguments.sets.split(",") if arguments.sets else sets or _folders(arguments.full)
    rows = []
    for name in names:
        known, full, n_train = {}, defaultdict(list), 0
        for record in read_records(arguments.full / name):
            if record.status != "ok" or record.recipe.freeze:
                continue
            full[record.backbone, record.weights].append(record.metrics.val_mse)
            n_train = record.split.n_train
            if fit := record.baselines.get(f"{RIDGE_FEATURES}{record.backbone}"):
                known[record.backbone, record.weights] = fit.val_mse
        if arguments.suite:
            others = [backbone for backbone, weights in full if (backbone, weights) not in known]
            known |= run(others, name, sets[name], arguments)
        rows += [
            {"set": name, "backbone": backbone, "weights": weights, "screened": known[backbone, weights],
             "full": statistics.fmean(scores), "seeds": len(scores), "n_train": n_train}
            for (backbone, weights), scores in full.items()
            if (backbone, weights) in known
        ]  # fmt: skip
    return rows


def run(
    backbones: Sequence[str], name: str, described: Mapping[str, Any], arguments: argparse.Namespace
) -> dict[tuple[str, str], float | None]:
    """Screen backbones on a set; return their val MSE by backbone and weights."""
    folder = arguments.suite.parent
    given = {
        key: str(folder / value) if key in ("data", "images") and value != "quadratic" else value
        for key, value in described.items()
    }
    out = arguments.out / name
    quadzoo.bench(backbones, ["ridge"], [0], freeze=True, precision="32", out=out, **given)
    return {(one.backbone, one.weights): one.metrics.val_mse for one in read_records(out)}


def _folders(full: Path) -> list[str]:
    return sorted(path.name for path in full.iterdir() if (path / "runs").is_dir())


def timed(backbones: Sequence[str]) -> dict[str, Any]:
    """Return how long a screening of 2,000 drawn images takes, decoding included."""
    with tempfile.TemporaryDirectory() as scratch:
        write_folder(Path(scratch) / "data", 2000, seed=0)
        clock = time.perf_counter()
        quadzoo.bench(
            backbones, ["ridge"], [0], freeze=True, data=f"{scratch}/data", out=f"{scratch}/out",
            weights="auto", progress=True,
        )  # fmt: skip
        return {"backbones": list(backbones), "images": 2000, "seconds": time.perf_counter() - clock}


def taus(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return Kendall's tau of each set that has two backbones or more."""
    by_set = defaultdict(list)
    for row in rows:
        by_set[row["set"]].append((row["screened"], row["full"]))
    return {name: float(kendalltau(*zip(*some, strict=True))[0]) for name, some in by_set.items() if some[1:]}


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the mean by a bootstrap over the values."""
    draws = np.random.default_rng(0).choice(values, (DRAWS, len(values))).mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def page(known: Mapping[str, Any]) -> str:
    """Return the figures as Markdown."""
    lines = ["# Screening", ""]
    rows = known["rows"]
    if rows:
        backbones = list(dict.fromkeys(row["backbone"] for row in rows))
        pretrained = [row for row in rows if row["weights"] == "pretrained"]
        lines += [
            f"`{' '.join(known['command'])}`: val MSE of ridge regression on frozen features, and of full "
            f"training, mean over seeds. {known['device']}, torch {known['versions']['torch']}.",
            "",
            *(
                f"- {sentence(some, who)}"
                for who, some in (("all", rows), ("pretrained", pretrained))
                if some
            ),
            "",
            f"| set | tau | {' | '.join(backbones)} |",
            "| --- | --- |" + " --- |" * len(backbones),
        ]
        for name, tau in taus(rows).items():
            own = {row["backbone"]: row for row in rows if row["set"] == name}
            cells = [
                f"{own[b]['screened']:.3g} → {own[b]['full']:.3g}" if b in own else "" for b in backbones
            ]
            lines.append(f"| {name} | {tau:.2f} | {' | '.join(cells)} |")
    if "timed" in known:
        one = known["timed"]
        lines += [
            "",
            f"`{' '.join(one['command'])}`: {len(one['backbones'])} backbones on {one['images']:,} images, "
            f"decoding included: {one['seconds']:.0f} s (load {one['load']:.1f} at the end).",
        ]
    return "\n".join(lines) + "\n"


def sentence(rows: Sequence[Mapping[str, Any]], who: str) -> str:
    """Say how well some rows' order foretells that of full training, and how often the best is found."""
    found = list(taus(rows).values())
    if not found:
        return f"{who}: no set has two"
    low, high = interval(found)
    names = {row["set"] for row in rows}
    hits = sum(_best(rows, name, "screened") == _best(rows, name, "full") for name in names)
    backbones = len({row["backbone"] for row in rows})
    return (
        f"{who} ({backbones}): mean tau {statistics.fmean(found):.2f} ({low:.2f} to {high:.2f}) over "
        f"{len(found)} sets; the best is the same on {hits} of {len(names)}"
    )


def _best(rows: Sequence[Mapping[str, Any]], name: str, score: str) -> str:
    return str(
        min((row for row in rows if row["set"] == name), key=lambda row: float(row[score]))["backbone"]
    )


if __name__ == "__main__":
    main()
