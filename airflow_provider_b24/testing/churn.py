"""Deals that are created, changed and deleted while others read."""

from __future__ import annotations

import random
import threading
from types import TracebackType

from airflow_provider_b24.testing.company import Company

_DEAL = 2
_STAGES = ("NEW", "EXECUTING", "WON", "LOSE")


class Churn:
    """Changes deals of a portal, for a ``with`` block in a thread of its own; or one at each :meth:`step`.

    :param company: whose deals they are.
    :param rate: changes per second: a third each are creations, changes and deletions.
    :param seed: of the choice of deals.
    :ivar before: the ids there were at first.
    :ivar created: the ids that came.
    :ivar deleted: the ids that went.
    """

    def __init__(self, company: Company, rate: float = 100.0, seed: int = 0) -> None:
        self._company = company
        self._rate = rate
        self._random = random.Random(seed)  # noqa: S311 - not a secret
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fake-bitrix24-churn", daemon=True)
        self._steps = 0
        self.created: set[int] = set()
        self.deleted: set[int] = set()
        with company.lock:
            self.before = set(company.crm.tables[_DEAL].ids)

    def __enter__(self) -> Churn:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def stayed(self) -> set[int]:
        """The ids that were there all the time: whoever has read meanwhile must have these, each once."""
        return self.before - self.deleted

    def step(self) -> None:
        """One change."""
        with self._company.lock:
            crm, rows = self._company.crm, self._company.crm.tables[_DEAL].rows
            kind = self._steps % 3
            self._steps += 1
            if kind == 0 or not rows.ids:
                fields = {"title": f"Walk-in customer {self._steps}", "opportunity": 10.0 * self._steps}
                self.created.add(crm.add(_DEAL, fields, author=2)["id"])
                return
            row_id = rows.ids[self._random.randrange(len(rows.ids))]
            if kind == 1:
                crm.update(_DEAL, rows[row_id], {"stageId": self._random.choice(_STAGES)}, author=2)
            else:
                rows.remove(row_id)
                self.deleted.add(row_id)

    def _run(self) -> None:
        while not self._ended.wait(1 / self._rate):
            self.step()
