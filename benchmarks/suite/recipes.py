"""Which recipe is right on anybody's images? Recipes compared over the sets of the suite, by val.

    python benchmarks/suite/recipes.py                  writes the page anew from the runs, trains nothing
    python benchmarks/suite/recipes.py --data FOLDER    first trains, on the sets that make.py built in FOLDER

Every recipe trains the same backbones on the same sets, splits and seeds. It adds to
benchmarks/results/recipe-suite.json (scores, epochs, device and versions of every run) and writes, from that
file, benchmarks/RECIPE-SUITE.md. A figure is the val MSE divided by that of the best row without a network.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

import quadzoo
from quadzoo.model.recipe import RECIPES as NAMED
from quadzoo.model.recipe import Recipe
from quadzoo.records.baseline import MEAN
from quadzoo.records.record import RunRecord, read_records

HERE = Path(__file__).parents[1]
RESULTS = HERE / "results" / "recipe-suite.json"
PAGE = HERE / "RECIPE-SUITE.md"

# Name → recipe and head.
RECIPES: dict[str, tuple[Recipe, str]] = {
    "default": (Recipe(), "mlp"),
    "head skip": (Recipe(), "skip"),
    "head skip, lr / 2": (Recipe(lr=1e-3), "skip"),
    "head skip, begins at ridge": (Recipe(ridge="start"), "skip"),
    "lr / 2": (Recipe(lr=1e-3), "mlp"),
    "targets in 0 to 1": (Recipe(unit="range"), "mlp"),
    "running batch-norm statistics": (Recipe(batch_norm="running"), "mlp"),
    "20 epochs": (Recipe(epochs=20), "mlp"),
    "batch 16": (Recipe(batch_size=16), "mlp"),
    "no augmentation": (Recipe(augment="none"), "mlp"),
    "first": (NAMED["first"], "mlp"),
    "head gaussian in 0 to 1": (Recipe(unit="range"), "gaussian"),
    "head gaussian in standard units": (Recipe(unit="standard"), "gaussian"),
    "head spatial in 0 to 1": (Recipe(unit="range"), "spatial"),
    "head spatial in standard units": (Recipe(unit="standard"), "spatial"),
    "frozen ridge": (Recipe(freeze=True), "ridge"),
    "frozen linear": (Recipe(freeze=True), "linear"),
    "frozen mlp": (Recipe(freeze=True), "mlp"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, help="the folder that make.py built; without it nothing is trained"
    )
    parser.add_argument("--sets", help="of its suite.toml; all by default")
    parser.add_argument("--recipes", default=",".join(RECIPES))
    parser.add_argument("--backbones", default="efficientnet_lite0,resnet18,tiny_cnn")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, on one thread each")
    parser.add_argument("--out", type=Path, default=Path("results-recipe-suite"), help="may be resumed")
    arguments = parser.parse_args()
    rows = {which(row): row for row in (json.loads(RESULTS.read_text()) if RESULTS.exists() else [])}
    if arguments.data:
        rows |= {which(row): row for row in measured(arguments)}
        RESULTS.write_text(json.dumps(list(rows.values()), indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(list(rows.values())), encoding="utf-8")


def measured(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Train what has no record yet; return a row for every run."""
    suite = tomllib.loads((arguments.data / "suite.toml").read_text(encoding="utf-8"))["sets"]
    rows = []
    for name in arguments.sets.split(",") if arguments.sets else suite:
        own = {
            key: str(arguments.data / value) if key in ("data", "images") and value != "quadratic" else value
            for key, value in suite[name].items()
        }
        for recipe in arguments.recipes.split(","):
            out, (chosen, head) = arguments.out / name / slug(recipe), RECIPES[recipe]
            quadzoo.bench(
                arguments.backbones.split(","), [head], list(map(int, arguments.seeds.split(","))),
                recipe=chosen, jobs=arguments.jobs, threads=1, precision="32", out=out, progress=True, **own,
            )  # fmt: skip
            rows += [row_of(recipe, name, record) for record in read_records(out)]
    return rows


def slug(name: str) -> str:
    """Return a recipe's name as the name of a folder."""
    return name.replace(" ", "-").replace(",", "").replace("/", "per")


def row_of(recipe: str, name: str, record: RunRecord) -> dict[str, Any]:
    """Return what the page needs of a run, and what a reader needs to repeat it."""
    best = min(
        (metrics.val_mse, kind) for kind, metrics in record.baselines.items() if metrics.val_mse is not None
    )
    mean = record.baselines[MEAN]
    return {
        "recipe": recipe,
        "set": name,
        "backbone": record.backbone,
        "head": record.head,
        "weights": record.weights,
        "seed": record.seed,
        "status": record.status,
        "val_mse": record.metrics.val_mse,
        "baseline": best[1],
        "baseline_val_mse": best[0],
        "test_mse": record.metrics.test_mse,
        "mean_val_mse": mean.val_mse,
        "mean_test_mse": mean.test_mse,
        "epochs": record.epochs,
        "fit_seconds": record.cost.fit_seconds,
        "key": record.key,
        "settings": record.recipe.model_dump(mode="json"),
        "device": record.environment.device_name,
        "torch": record.environment.torch,
        "quadzoo": record.environment.quadzoo,
    }


def which(row: dict[str, Any]) -> tuple[object, ...]:
    """Return what tells a run from all others."""
    return row["recipe"], row["set"], row["backbone"], row["seed"]


def page(rows: list[dict[str, Any]]) -> str:
    """Return RECIPE-SUITE.md: a table a backbone, a line a recipe, a column a set."""
    sets = list(dict.fromkeys(row["set"] for row in rows))
    machines = dict.fromkeys(f"{row['device']}, torch {row['torch']}" for row in rows)
    # One a set: a run knows the baselines of its own bench alone.
    baselines: dict[str, float] = {}
    for row in rows:
        baselines[row["set"]] = min(row["baseline_val_mse"], baselines.get(row["set"], math.inf))
    lines = [
        "# Recipes over the suite",
        "",
        "`python benchmarks/suite/recipes.py --data FOLDER`: val MSE divided by that of the set's best row "
        "without a network, mean over seeds (how many where they are not 3). Below 1 the network is worth "
        "something. "
        "`to the default` is the geometric mean of the ratios to the default's over the sets that both were "
        "tried on. "
        f"{'; '.join(machines)}; float32. All runs: results/recipe-suite.json.",
    ]
    for backbone in dict.fromkeys(row["backbone"] for row in rows):
        of_it = [row for row in rows if row["backbone"] == backbone and row["status"] == "ok"]
        found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for row in of_it:
            found[row["recipe"]][row["set"]].append(row["val_mse"] / baselines[row["set"]])
        lines += [
            "",
            f"## {backbone} ({', '.join(dict.fromkeys(row['weights'] for row in of_it))})",
            "",
            f"| recipe | to the default | {' | '.join(sets)} |",
            "| --- | --- |" + " --- |" * len(sets),
        ]
        for recipe in sorted(found, key=list(RECIPES).index):
            cells = found[recipe]
            ratios = [
                statistics.fmean(cells[name]) / statistics.fmean(found["default"][name])
                for name in sets
                if name in cells and name in found["default"]
            ]
            mean = (
                f"{statistics.geometric_mean(ratios):.3f} ({len(ratios)} set{'s' * (len(ratios) > 1)})"
                if ratios
                else ""
            )
            columns = " | ".join(cell(cells.get(name, [])) for name in sets)
            lines.append(f"| {recipe} | {mean} | {columns} |")
    lines += against_the_mean(rows)
    return "\n".join(lines) + "\n"


def against_the_mean(rows: list[dict[str, Any]]) -> list[str]:
    """Return how often a head on frozen features loses to the mean of train, which it never should."""
    frozen = [row for row in rows if row["status"] == "ok" and row["settings"]["freeze"]]
    if not frozen:
        return []
    lines = [
        "",
        "## Heads on frozen features against the mean of train",
        "",
        "Their predictions are drawn to the mean by a weight that val chooses: by val none can lose to "
        "it. On test:",
        "",
        "| head | set | test MSE, mean over seeds | of the mean of train |",
        "| --- | --- | --- | --- |",
    ]
    lost = 0
    of_row: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in frozen:
        of_row[row["backbone"], row["head"], row["set"]].append(row)
    for (_, head, name), runs in of_row.items():
        test, mean = statistics.fmean(row["test_mse"] for row in runs), runs[0]["mean_test_mse"]
        if test > mean:
            lost += 1
            lines.append(f"| {head} | {name} | {test:.4g} | {mean:.4g} |")
    by_val = sum(row["val_mse"] > row["mean_val_mse"] * (1 + 1e-6) for row in frozen)
    told = f"By val {by_val} of {len(frozen)} runs lose to the mean, on test {lost} of {len(of_row)} rows"
    return [*(lines if lost else lines[:3]), "", f"{told}{', those of the table' if lost else ''}."]


def cell(values: list[float]) -> str:
    """Return the mean of some seeds, and how many they are where it is not three."""
    if not values:
        return ""
    return f"{statistics.fmean(values):.3f}" + f" (n={len(values)})" * (len(values) != 3)


if __name__ == "__main__":
    main()
