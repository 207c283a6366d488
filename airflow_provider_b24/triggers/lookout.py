"""Looking at tasks for many triggers at once: one question for up to 200 runs of a DAG in which tasks are watched.

A question costs the triggerer's supervisor 5 ms and more, in which it does nothing else: it could not answer a
thousand triggers that each ask every 2 s.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from airflow_provider_b24.triggers.siblings import Siblings, alook

# What waits for its first look waits this long for company, in seconds.
_GATHER = 0.1
# Runs in one question: their ids go into a URL, whose length is limited.
_MOST_RUNS = 200
# The share of time that looking may take, for it keeps others from being answered; and the longest pause in seconds
# that follows from it: an answer that takes so long has waited for others.
_SHARE = 0.05
_LONGEST_REST = 0.5
# No pause is shorter, in seconds.
_TICK = 0.001


class Watch:
    """One trigger's view of the tasks that it watches.

    :param dag_id: their DAG.
    :param run_id: their run.
    :param task_ids: their ids.
    :param every: seconds between two looks, where there is time for that.
    :param due: when the first look is due, by the event loop's clock.
    :ivar seen: what the last look has shown.
    """

    def __init__(self, dag_id: str, run_id: str, task_ids: Sequence[str], every: float, due: float) -> None:
        self.dag_id = dag_id
        self.run_id = run_id
        self.task_ids = tuple(task_ids)
        self.every = every
        self.due = due
        self.seen: Siblings | Exception | None = None
        self._new = asyncio.Event()

    async def news(self, patience: float) -> Siblings | None:
        """How the tasks stand, once that has changed; None if it has not for so many seconds.

        :raises Exception: where they could not be looked at; once for as long as that lasts.
        """
        try:
            await asyncio.wait_for(self._new.wait(), patience)
        except asyncio.TimeoutError:
            return None
        self._new.clear()
        if isinstance(self.seen, Exception):
            raise self.seen
        return self.seen

    def tell(self, seen: Siblings | Exception) -> None:
        """What a look has shown."""
        still_blind = isinstance(seen, Exception) and isinstance(self.seen, Exception)
        if not still_blind and seen != self.seen:
            self.seen = seen
            self._new.set()


class Lookout:
    """Looks at tasks for everybody in an event loop."""

    def __init__(self) -> None:
        self._watches: dict[Watch, None] = {}
        self._changed = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    def add(self, watch: Watch) -> None:
        """Look for one more."""
        self._watches[watch] = None
        self._changed.set()
        if self._looking is None or self._looking.done():
            # In a context of its own: what it does belongs to no task in particular.
            self._looking = contextvars.Context().run(asyncio.get_running_loop().create_task, self._keep_looking())

    def remove(self, watch: Watch) -> bool:
        """Look for one less; whether that was the last."""
        del self._watches[watch]
        # The one who looks is not cancelled: on Airflow 3.2, a question that is given up leaves its answer to the next
        # who asks, and the triggerer dies of it.
        self._changed.set()
        return not self._watches

    async def _keep_looking(self) -> None:
        loop = asyncio.get_running_loop()
        while self._watches:
            self._changed.clear()
            begun = loop.time()
            watches = self._next(begun)
            if watches:
                await _look(watches)
                for watch in watches:
                    watch.due = begun + watch.every
                await asyncio.sleep(min(_LONGEST_REST, (loop.time() - begun) * (1 / _SHARE - 1)))
            else:
                pause = min(watch.due for watch in self._watches) - begun
                changed = asyncio.ensure_future(self._changed.wait())
                await asyncio.wait({changed}, timeout=max(_TICK, pause))
                changed.cancel()

    def _next(self, now: float) -> list[Watch]:
        """Those who share the next question: of one DAG, and due, or nearly."""
        due = [watch for watch in self._watches if watch.due <= now]
        if not due:
            return []
        # Who has seen nothing yet goes first: where looks are scarce, others have a rough idea.
        first = min(due, key=lambda watch: (watch.seen is not None, watch.due))
        company = [watch for watch in self._watches if watch.dag_id == first.dag_id]
        company = [watch for watch in company if watch.due <= now + watch.every / 2]
        runs: dict[str, list[Watch]] = {first.run_id: []}
        for watch in sorted(company, key=lambda watch: watch.due):
            if watch.run_id in runs or len(runs) < _MOST_RUNS:
                runs.setdefault(watch.run_id, []).append(watch)
        return [watch for watches in runs.values() for watch in watches]


async def _look(watches: Sequence[Watch]) -> None:
    runs = list(dict.fromkeys(watch.run_id for watch in watches))
    task_ids = list(dict.fromkeys(task_id for watch in watches for task_id in watch.task_ids))
    try:
        stands = await alook(watches[0].dag_id, runs, task_ids)
    except Exception as error:
        for watch in watches:
            watch.tell(error)
    else:
        for watch in watches:
            stand = stands[watch.run_id]
            watch.tell(Siblings.together(stand[task_id] for task_id in watch.task_ids))


_lookouts: WeakKeyDictionary[asyncio.AbstractEventLoop, Lookout] = WeakKeyDictionary()


@contextmanager
def watching(dag_id: str, run_id: str, task_ids: Sequence[str], every: float) -> Iterator[Watch]:
    """Watch tasks for as long as the block lasts, together with all who watch tasks in this event loop.

    :param every: seconds between two looks, where there is time for that.
    """
    loop = asyncio.get_running_loop()
    lookout = _lookouts.setdefault(loop, Lookout())
    watch = Watch(dag_id, run_id, task_ids, every, loop.time() + _GATHER)
    lookout.add(watch)
    try:
        yield watch
    finally:
        if lookout.remove(watch):
            del _lookouts[loop]
