"""Which way of training gives the better val MSE? The first recipe against the tutorial's, and others.

    python benchmarks/recipe.py                  writes the page anew from the runs, trains nothing
    python benchmarks/recipe.py --data FOLDER    first trains, on the published images

Every recipe trains the same backbones with the same head on the same images, split, seeds and epochs.
It adds to benchmarks/results/recipe.json (records of all runs, device and versions) and writes, from that
file, benchmarks/RECIPE.md. A figure is the mean over seeds of the best val MSE. The rows of other heads with
the first recipe come from the records in results/leaderboard.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from quadzoo.executors.local import LocalExecutor
from quadzoo.grid.config import BenchConfig
from quadzoo.grid.runner import bench
from quadzoo.model.recipe import RECIPES as NAMED
from quadzoo.progress import Display
from quadzoo.records.record import RunRecord, read_records

HERE = Path(__file__).parent
FLOAT32 = ", float32"
FIRST = NAMED["first"]
STILL = FIRST.model_copy(update={"augment": "none"})
RECIPES = {
    "first": FIRST,
    "no augmentation": STILL,
    "tutorial (Adam, StepLR)": NAMED["tutorial"].model_copy(update={"epochs": FIRST.epochs}),
    "no augmentation, lr / 2": STILL.model_copy(update={"lr": FIRST.lr / 2}),
    "no augmentation, lr x 2": STILL.model_copy(update={"lr": FIRST.lr * 2}),
    "no augmentation, no clipping": STILL.model_copy(update={"gradient_clip": None}),
    "no augmentation, no weight decay": STILL.model_copy(update={"weight_decay": 0.0}),
    "three times the epochs": FIRST.model_copy(update={"epochs": 3 * FIRST.epochs}),
    "batch 64": FIRST.model_copy(update={"batch_size": 64}),
    "batch 64, lr x 1.4": FIRST.model_copy(update={"batch_size": 64, "lr": FIRST.lr * 2**0.5}),
    "average of weights (0.99)": FIRST.model_copy(update={"average": 0.99}),
    "targets standardised": FIRST.model_copy(update={"unit": "standard"}),
    "no clipping": FIRST.model_copy(update={"gradient_clip": None}),
    "no weight decay": FIRST.model_copy(update={"weight_decay": 0.0}),
    "lr / 2": FIRST.model_copy(update={"lr": FIRST.lr / 2}),
    "lr x 2": FIRST.model_copy(update={"lr": FIRST.lr * 2}),
    "clipping at 0.1": FIRST.model_copy(update={"gradient_clip": 0.1}),
    "StepLR, not one cycle": FIRST.model_copy(update={"schedule": "step"}),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbones", default="tiny_cnn,resnet18")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument(
        "--recipes", default=",".join(map(str, range(len(RECIPES)))), help="which, by position"
    )
    parser.add_argument("--data", help="the published images; without it nothing is trained")
    parser.add_argument("--float32", action="store_true", help="instead of the precision that is chosen")
    parser.add_argument("--epochs", type=int, default=FIRST.epochs)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument(
        "--out", type=Path, default=Path("results-recipe"), help="results folder, may be resumed"
    )
    parser.add_argument("--to", type=Path, default=HERE, help="folder of results/recipe.json and RECIPE.md")
    arguments = parser.parse_args()
    if arguments.data:
        measure(arguments)
        add(arguments.out, arguments.to / "results")
    (arguments.to / "RECIPE.md").write_text(page(arguments.to / "results"))


def measure(arguments: argparse.Namespace) -> None:
    """Train every recipe asked for, each in a results folder of its own."""
    names = [list(RECIPES)[int(position)] for position in arguments.recipes.split(",")]
    executor = LocalExecutor()
    for name in names:
        config = BenchConfig(
            backbones=tuple(arguments.backbones.split(",")),
            seeds=tuple(map(int, arguments.seeds.split(","))),
            data=arguments.data,
            weights="none",
            precision="32" if arguments.float32 else "auto",
            jobs=arguments.jobs,
            recipe=RECIPES[name].model_copy(
                update={"epochs": RECIPES[name].epochs * arguments.epochs // FIRST.epochs}
            ),
            out=arguments.out / slug(name + FLOAT32 * arguments.float32),
        )
        with Display() as display:
            bench(config, executor, display)


def slug(name: str) -> str:
    """Return a recipe's name as the name of a folder."""
    return name.replace(" ", "-").replace(",", "").replace("/", "per")


def add(out: Path, results: Path) -> None:
    """Add the figures of every recipe under ``out`` to the JSON in ``results``.

    A run takes the place of an earlier one with the same recipe, backbone and seed.
    """
    file = results / "recipe.json"
    rows = {which(row): row for row in (json.loads(file.read_text()) if file.exists() else [])}
    order = [name + suffix for name in RECIPES for suffix in ("", FLOAT32)]
    for name in order:
        found = (summary(name, record) for record in read_records(out / slug(name)))
        rows |= {which(row): row for row in found}
    ordered = sorted(rows.values(), key=lambda row: order.index(str(row["name"])))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(ordered, indent=1) + "\n")


def page(results: Path) -> str:
    """Return RECIPE.md as the runs kept in ``results`` give it."""
    rows = json.loads((results / "recipe.json").read_text())
    first, backbones = rows[0], {row["backbone"] for row in rows}
    others = [
        summary(f"first, head {record.head}", record)
        for record in sorted(read_records(results / "leaderboard"), key=lambda record: record.head)
        if record.head != first["head"]
        and record.backbone in backbones
        and (record.weights, record.precision) == (first["weights"], first["precision"])
        and record.split.hash == first["split"]["hash"]
        and record.recipe == FIRST
    ]
    return table(rows + others)


def which(row: dict[str, object]) -> tuple[object, ...]:
    """Return what tells a run from all others: recipe, backbone and seed."""
    return row["name"], row["backbone"], row["seed"]


def summary(name: str, record: RunRecord) -> dict[str, object]:
    """Return what a reader needs to judge or repeat a run."""
    facts = record.model_dump(mode="json", by_alias=True)
    kept = ("key", "status", "backbone", "head", "seed", "weights", "data", "image", "split", "metrics",
            "baselines", "recipe", "precision", "best_epoch", "environment", "started")  # fmt: skip
    return {"name": name, **{field: facts[field] for field in kept}}


def table(rows: list[dict]) -> str:
    """Return one line a recipe and one column a backbone: mean val MSE and its range over seeds."""
    first = rows[0]
    backbones = list(dict.fromkeys(row["backbone"] for row in rows))
    data, split = first["data"], first["split"]
    machines = dict.fromkeys(
        f"{row['environment']['device_name']}, torch {row['environment']['torch']}" for row in rows
    )
    lines = [
        "# Recipes, compared",
        "",
        "`python benchmarks/recipe.py --data FOLDER`: val MSE after "
        f"{first['recipe']['epochs']} epochs from scratch, mean over seeds "
        "(lowest – highest), at the best epoch. `first` is the recipe of quadzoo 0.1; the others differ "
        "from it in one thing. What today's default does, each thing with its reason, is in "
        "[bench.md](../docs/bench.md), its figures over the suite's data sets in "
        "[RECIPE-SUITE.md](RECIPE-SUITE.md). "
        f"{data['name']}, {data['n']:,} images, split {split['name']} "
        f"({split['n_train']:,}/{split['n_val']:,}/{split['n_test']:,}), split hash {split['hash'][:12]}, "
        f"{'; '.join(machines)}; precision {first['precision']} where the row does not say otherwise. "
        f"All runs: results/recipe.json; those of heads other than {first['head']}: results/leaderboard.",
        "",
        "| recipe | " + " | ".join(backbones) + " |",
        "| --- |" + " --- |" * len(backbones),
    ]
    for name in dict.fromkeys(row["name"] for row in rows):
        cells = []
        for backbone in backbones:
            scores = [
                row["metrics"]["val_mse"]
                for row in rows
                if row["name"] == name and row["backbone"] == backbone and row["status"] == "ok"
            ]
            mean = sum(scores) / len(scores) if scores else None
            spread = f" ({min(scores):.2g} – {max(scores):.2g})" if len(scores) > 1 else ""
            cells.append("" if mean is None else f"{mean:.3g}{spread}, n={len(scores)}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
