"""Does a 95 % interval cover the true error in 95 % of cases? Ours against the plain bootstraps.

    python benchmarks/coverage.py

Simulated errors of S seeds × N images are products of log-normal parts: how hard the image is, how good
the seed, and noise. Compared are the interval of `quadzoo/report/statistics.py`, the crossed percentile
bootstrap that draws seeds and images (Owen 2007, The pigeonhole bootstrap), and one that draws images
alone. Also: of six equal rows, how often does any differ significantly from the one that is best on other
images, by Holm's correction for all 15 pairs (ours) and for the 5 that are tested. It writes
results/coverage.json and COVERAGE.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from quadzoo.report.statistics import compare, holm, interval

HERE = Path(__file__).parent
CASES = [
    (seeds, images, spread, hardness)
    for images, hardness in ((100, 1.0), (400, 1.0), (400, 1.5))
    for seeds, spread in ((1, 0.0), (3, 0.05), (3, 0.3), (6, 0.05), (6, 0.3))
]
METHODS = ("ours", "crossed bootstrap", "images alone")
_ROWS = 6


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=600)
    parser.add_argument("--to", type=Path, default=HERE, help="folder of results/ and COVERAGE.md")
    arguments = parser.parse_args()
    rows = [measure(*case, arguments.repeats) for case in CASES]
    (arguments.to / "results").mkdir(parents=True, exist_ok=True)
    (arguments.to / "results" / "coverage.json").write_text(json.dumps(rows, indent=1) + "\n")
    (arguments.to / "COVERAGE.md").write_text(table(rows))


def measure(seeds: int, images: int, spread: float, hardness: float, repeats: int) -> dict[str, float]:
    """Return the share of intervals that cover, and of false differences."""
    rng = np.random.default_rng(seeds * 1000 + images)
    covered = dict.fromkeys(METHODS, 0)
    wrong = {"15 pairs": 0, "5 pairs": 0}
    for _ in range(repeats):
        six = errors(rng, seeds, images, spread, hardness)
        ours = interval(six[0], np.arange(images))
        ends = {
            "ours": ours or (np.nan, np.nan),
            "crossed bootstrap": percentile(rng, six[0], seeds),
            "images alone": percentile(rng, six[0], 1),
        }
        for method, (low, high) in ends.items():
            covered[method] += low <= 1 <= high
        half = images // 2
        best, *others = sorted(six, key=lambda one: float(one[:, half:].mean()))
        p_values = [compare(one[:, :half], best[:, :half], np.arange(half)) or 0.0 for one in others]
        wrong["15 pairs"] += min(holm(p_values, 15)) < 0.05
        wrong["5 pairs"] += min(holm(p_values, 5)) < 0.05
    return {
        "seeds": seeds, "images": images, "spread": spread, "hardness": hardness, "repeats": repeats,
        **{f"covered by {method}": count / repeats for method, count in covered.items()},
        **{f"false differences of {pairs}": count / repeats for pairs, count in wrong.items()},
    }  # fmt: skip


def errors(
    rng: np.random.Generator, seeds: int, images: int, spread: float, hardness: float
) -> list[np.ndarray]:
    """Draw six rows (S, N) with mean 1 that share their images."""
    hard = rng.normal(0, hardness, images)
    shift = (hardness**2 + spread**2 + 0.3**2 + 0.5**2) / 2
    return [
        np.exp(
            hard + rng.normal(0, spread, (seeds, 1)) + rng.normal(0, 0.3, images)
            + rng.normal(0, 0.5, (seeds, images)) - shift
        )
        for _ in range(_ROWS)
    ]  # fmt: skip


def percentile(rng: np.random.Generator, one: np.ndarray, seeds: int) -> tuple[float, float]:
    """Return the percentile interval of resampled means; of one seed, the mean of all is taken for it."""
    table = one if seeds > 1 else one.mean(axis=0, keepdims=True)
    n_seeds, n = table.shape
    of_images = rng.multinomial(n, np.full(n, 1 / n), size=500)
    of_seeds = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=500)
    means = ((of_seeds @ table) * of_images).sum(axis=1) / table.size
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def table(rows: list[dict[str, float]]) -> str:
    """Return one line a case."""
    names = list(rows[0])
    shares = [name for name in names if "covered" in name or "false" in name]
    heads = ["seeds", "images", "spread of seeds", "of images", *shares]
    lines = [
        "# Intervals and ties, simulated",
        "",
        f"`python benchmarks/coverage.py`: shares of {rows[0]['repeats']:,} simulated leaderboards of six "
        "equal rows. A 95 % interval should cover in 95 %; false differences should be at most 5 %. Spreads "
        "are standard deviations of logarithms. All cases: results/coverage.json.",
        "",
        "| " + " | ".join(heads) + " |",
        "| --- |" + " ---: |" * (len(heads) - 1),
    ]
    for row in rows:
        cells = [f"{row[name]:g}" for name in ("seeds", "images", "spread", "hardness")]
        lines.append("| " + " | ".join([*cells, *(f"{row[name]:.1%}" for name in shares)]) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
