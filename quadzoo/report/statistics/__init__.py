"""What the errors of a leaderboard's rows tell, and what they do not; docs/metrics.md, "How sure"."""

from quadzoo.report.statistics.compared import Comparison, Folds, Versus
from quadzoo.report.statistics.images import Interval
from quadzoo.report.statistics.multiple import critical_difference, holm
from quadzoo.report.statistics.ranks import Place, places
from quadzoo.report.statistics.seeds import FEWEST_SEEDS

__all__ = [
    "FEWEST_SEEDS", "Comparison", "Folds", "Interval", "Place", "Versus", "critical_difference", "holm",
    "places",
]  # fmt: skip
