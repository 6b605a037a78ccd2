"""How a bench says what it is doing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from quadzoo.grid.plan import Plan
from quadzoo.records.record import RunRecord
from quadzoo.training.task import Task


class Observer(Protocol):
    """Whoever wants to know how a bench goes."""

    def note(self, text: str) -> None:
        """Receive one line worth knowing."""

    def counting(self, what: str, total: int) -> Callable[[int], None]:
        """Return a function that is called with the number of further things done, of ``total``."""

    def planned(self, plan: Plan) -> None:
        """Receive what will run."""

    def progressed(self, task: Task, share: float, val_mse: float | None) -> None:
        """Receive the share of a run's training that is done, and its last val MSE."""

    def ended(self, task: Task, record: RunRecord) -> None:
        """Receive the record of a run that ended."""


class Silent:
    """An observer that shows nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""

    def counting(self, what: str, total: int) -> Callable[[int], None]:
        """Return a function that does nothing."""
        return lambda _: None

    def planned(self, plan: Plan) -> None:
        """Show nothing."""

    def progressed(self, task: Task, share: float, val_mse: float | None) -> None:
        """Show nothing."""

    def ended(self, task: Task, record: RunRecord) -> None:
        """Show nothing."""
