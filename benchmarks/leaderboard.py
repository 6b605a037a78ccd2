"""The published leaderboard: LEADERBOARD.md and leaderboard.html, from the records in results/equations.

    python benchmarks/leaderboard.py                  writes both anew from the records, trains nothing
    python benchmarks/leaderboard.py --data FOLDER    first trains what has no record, and keeps the records

FOLDER holds the 2,000 published images; hl_gauss and efficientnet_lite0 are the plugins of this repository.
Weights are not kept (`quadzoo verify benchmarks/results/equations --no-weights` checks the rest). On two CPU
cores all runs take about an hour, and the rows of `skip` ten minutes more:
`--backbones resnet18,efficientnet_lite0,tiny_cnn --heads skip`. results/leaderboard has the records of the
recipe `first`, which other benchmarks use.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from quadzoo import api
from quadzoo.records.baseline import baseline_folder, baseline_keys
from quadzoo.records.record import RECORD, WEIGHTS
from quadzoo.report.leaderboard import leaderboards
from quadzoo.report.markdown import to_markdown
from quadzoo.report.page import to_html
from quadzoo.report.results import read_runs

HERE = Path(__file__).parent
RECORDS = HERE / "results" / "equations"
BACKBONES = ("resnet18", "efficientnet_lite0", "tiny_cnn", "resnet50", "efficientnet_b0")
HEADS = ("mlp", "hl_gauss")
SEEDS = (0, 1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="the published images; without it nothing is trained")
    parser.add_argument("--out", type=Path, default=Path("results-leaderboard"), help="may be resumed")
    parser.add_argument("--epochs", type=int, help="fewer, to try this script")
    parser.add_argument("--backbones", default=",".join(BACKBONES))
    parser.add_argument("--heads", default=",".join(HEADS))
    parser.add_argument("--to", type=Path, default=HERE, help="where the files and records are written")
    arguments = parser.parse_args()
    records = arguments.to / RECORDS.relative_to(HERE)
    if arguments.data:
        api.bench(
            arguments.backbones.split(","),
            arguments.heads.split(","),
            SEEDS,
            data=arguments.data,
            epochs=arguments.epochs,
            out=arguments.out,
            progress=True,
        )
        keep(arguments.out, records)
    for name, text in pages(records).items():
        (arguments.to / name).write_text(text, encoding="utf-8")


def keep(out: Path, records: Path) -> None:
    """Copy all but the weights of every finished run, and what baselines answered."""
    for run in read_runs([out]).runs:
        if run.record.status != "ok":
            continue
        folder = records / "runs" / run.record.key
        folder.mkdir(parents=True, exist_ok=True)
        for name in {RECORD, *run.record.files} - {WEIGHTS}:
            shutil.copyfile(run.folder / name, folder / name)
    for key in baseline_keys(out):
        shutil.copytree(baseline_folder(out, key), baseline_folder(records, key), dirs_exist_ok=True)


def pages(records: Path) -> dict[str, str]:
    """Return what the records give, by the name of the file."""
    results = read_runs([records])
    boards = leaderboards(results.runs, results.unreadable, results.answers)
    return {"LEADERBOARD.md": to_markdown(boards), "leaderboard.html": to_html(boards, results.runs)}


if __name__ == "__main__":
    main()
