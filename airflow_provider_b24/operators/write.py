"""Writing many records into the portal: what the operators share that do it."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.hooks.failure import no_vain_retries
from airflow_provider_b24.hooks.task_state import life_of, task_state, tried_before
from airflow_provider_b24.links.portal import CrmListLink, show
from airflow_provider_b24.operators.arguments import check_parallel, check_unless_template, is_known, same_file
from airflow_provider_b24.operators.deferral import DefersAtLimit
from airflow_provider_b24.operators.rest_params import TakesRestParams
from airflow_provider_b24.operators.written import InputChangedError, Written, spelled
from airflow_provider_b24.rest.errors import Bitrix24Error, ConfigurationError, OutcomeUnknownError
from airflow_provider_b24.rest.methods import check_method

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_b24.operators.rejects import Rejects
    from airflow_provider_b24.rest.outcomes import Outcome

_STATE = "bitrix24/written"
# So many rows have to be settled before a share of them says anything.
_ENOUGH = 1000
# So many rejected rows are told in the log one by one.
_TOLD = 5
_STOPPED = "an earlier try was stopped while it was under way"

Record = Mapping[str, Any]


class WritesRecords(TakesRestParams, DefersAtLimit):
    """What the operators have in common that call a method once for each record of their input, 50 to a request.

    A record becomes the parameters of a call plainly: its columns are the element's fields, a column ``id`` is the
    element's id, and ``params`` are the same for all. Anything else is made by ``row``.

    *Nothing is sent twice.* Where a row may be sent again, with ``key`` or a method that updates, a try goes on where
    the one before has stopped. With ``key`` it waits until the portal can not carry out any more what was under way
    then (90 s). An update without ``key`` that adds phones, addresses or links is not sent again. Where it may not (an
    ``add`` without ``key``), Airflow's task state store keeps which rows may be under way before they are sent. After a
    crash those are not sent again: they count as unknown, the rest is written, and the task fails, naming them.
    Clearing it then goes on behind them; look for them in the portal first, and add what is missing. Airflow 3.2 has no
    such store: there a retry of such an ``add`` fails at once.

    That works by the places of the rows: the input has to have the same rows in the same order in every try. An input
    that has changed is noticed: what may be sent again is then written from the beginning, and otherwise the task
    fails.

    :param method: adds or updates: ``crm.item.update`` (default), ``crm.item.add`` … Templated.
    :param params: what is the same for all rows, such as ``{"entityTypeId": 2}``. The task keeps them as
        ``rest_params``. Templated.
    :param key: a field, or several, that an element is known by elsewhere, such as ``("originatorId", "originId")``:
        what is there already is updated, and the rest is added (with ``….add``). See :meth:`Bitrix24Hook.call_many`.
    :param columns: which columns are sent, and to which fields: ``{"score": "ufCrmScore"}``; the field ``id`` is the
        element's id. Default: all columns, each to the field of its name.
    :param row: instead of that, a function that makes the parameters of a call out of a record; ``params`` are added.
    :param rejects_path: a file for the rows that were rejected, and for those that are unknown: JSON lines with
        ``number``, ``row``, ``code`` and ``description``. It is there if there are any. A path or the URL of an
        ``ObjectStoragePath``. Templated.
    :param max_rejected: how many rows may be rejected: a number, or a share of all such as ``0.01``. Where there are
        more, nothing further is sent, and the task fails. A share counts from 1,000 rows on, and in the end. Default 0.
    :param parallel: how many requests are under way at once, from 1 to 40. Default 4.
    :param bitrix24_conn_id: the Airflow connection of the portal. Default ``bitrix24_default``. Templated.
    :return: ``rows``, ``created``, ``updated``, ``rejected``, ``unknown`` and ``seconds``, as XCom.
    :raises ConfigurationError: while the DAG is parsed, for an argument that can not be right.
    """

    template_fields: Sequence[str] = ("method", "rest_params", "rejects_path", "bitrix24_conn_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {"rest_params": "json"}
    operator_extra_links = (CrmListLink(),)
    ui_color = "#d6f3fb"

    _kept_by_deferral: Mapping[str, Any] | None = None

    def __init__(
        self,
        *,
        method: str = "crm.item.update",
        rest_params: Mapping[str, Any] | None = None,
        key: str | Sequence[str] | None = None,
        columns: Mapping[str, str] | None = None,
        row: Callable[[dict[str, Any]], Mapping[str, Any]] | None = None,
        rejects_path: Any = None,
        max_rejected: float = 0,
        parallel: int = 4,
        bitrix24_conn_id: str = Bitrix24Hook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.method = method
        self.rest_params = rest_params
        self.key = key
        self.columns = columns
        self.row = row
        self.rejects_path = rejects_path
        self.max_rejected = max_rejected
        self.parallel = parallel
        self.bitrix24_conn_id = bitrix24_conn_id
        if row is not None and (columns is not None or not callable(row)):
            raise ConfigurationError(
                "row and columns are given" if callable(row) else f"row is a {type(row).__name__}",
                advice="row is a function from a record to the parameters of a call, instead of columns.",
            )
        if key is not None and not (
            isinstance(key, (str, Sequence))
            and key
            and all(isinstance(one, str) and one.strip() for one in ([key] if isinstance(key, str) else key))
            and (isinstance(key, str) or len({*key}) == len(key))
        ):
            raise ConfigurationError(
                f"key is {key!r}", advice="It is a field, or several: ('originatorId', 'originId')."
            )
        check_unless_template(self._check_method, method)
        if rest_params is not None and is_known(rest_params) and not isinstance(rest_params, Mapping):
            raise ConfigurationError(f"params is a {type(rest_params).__name__}", advice="Give names and values.")
        if columns is not None and not (isinstance(columns, Mapping) and columns):
            raise ConfigurationError(
                f"columns is {columns!r}", advice="It names columns and fields: {'score': 'UF_…'}."
            )
        if (
            isinstance(max_rejected, bool)
            or not isinstance(max_rejected, (int, float))
            or not math.isfinite(max_rejected)
            or max_rejected < 0
        ):
            raise ConfigurationError(f"max_rejected is {max_rejected!r}", advice="It is a number of rows, or a share.")
        if isinstance(max_rejected, float) and max_rejected > 1:
            raise ConfigurationError(f"max_rejected is {max_rejected!r}", advice="A share is at most 1.0.")
        if columns is not None:
            _check_columns(columns, key, rest_params)
        if rejects_path is not None and is_known(rejects_path):
            _check_rejects_path(rejects_path)
        check_parallel(parallel)

    def sources(self) -> Sequence[Any]:
        """The files that the records are read from."""
        return ()

    def records(self) -> Generator[Record, None, None]:
        """The input, in the same order in every try."""
        raise NotImplementedError

    def execute(self, context: Context) -> dict[str, Any]:
        """Write."""
        from airflow_provider_b24.chat.addresses import of_list

        carried: dict[str, Any] = {}
        with self.slot_given_back(written=carried), no_vain_retries(), Bitrix24Hook(self.bitrix24_conn_id) as hook:
            self._check_method(self.method)
            if self.rejects_path:
                _check_rejects_path(self.rejects_path, self.sources())
            hook.get_conn()
            show(self, of_list(hook.portal, self.method, self.rest_params))
            task = _Task(self, context, hook, carried)
            kept = task.kept()
            if kept.get("whole"):
                # Killed before Airflow knew of it.
                return dict(kept["counts"])
            try:
                return task.write(kept)
            except InputChangedError as changed:
                if not task.repeatable or kept.get("extra", {}).get("adds"):
                    raise
                self.log.warning("%s; everything is written from the beginning, which changes nothing", changed)
            return task.write({})

    def resume(self, context: Context, event: Any = None, *, since: float, **progress: Any) -> Any:
        """Go on after a deferral, behind the last row."""
        self._kept_by_deferral = progress.pop("written", None)
        return super().resume(context, event, since=since, **progress)

    def _check_method(self, method: str) -> None:
        from airflow_provider_b24.crm.entities import entity_of
        from airflow_provider_b24.crm.rows import check_shape

        check_method(method)
        if self.row is None:
            check_shape(method)
        if self.key is not None:
            entity_of(method)


def _check_columns(columns: Mapping[Any, Any], key: str | Sequence[str] | None, params: Any) -> None:
    """Refuse two columns that go to one field, and a key that no column goes to."""
    sources: dict[str, str] = {}
    for column, field in columns.items():
        if not (isinstance(column, str) and isinstance(field, str) and column and field):
            raise ConfigurationError(
                f"columns has {column!r}: {field!r}", advice="It names columns and fields: {'score': 'UF_…'}."
            )
        other = sources.setdefault(field.lower(), column)
        if other != column:
            raise ConfigurationError(
                f"columns sends {other!r} and {column!r} to the field {field!r}", advice="Leave one of them out."
            )
    if params is not None and not isinstance(params, Mapping):
        return
    constants = [str(name).lower() for value in (params or {}).values() if isinstance(value, Mapping) for name in value]
    for name in () if key is None else (key,) if isinstance(key, str) else key:
        if name.lower() not in {*sources, *constants}:
            raise ConfigurationError(
                f"key has {name!r}, and columns sends nothing there", advice="Name the column that holds it in columns."
            )


def _check_rejects_path(path: Any, sources: Sequence[Any] = ()) -> None:
    """Refuse what is no path, and the file that the records come from: it would be replaced."""
    if not (isinstance(path, str) and path.strip() and not path.endswith("/")) and not hasattr(path, "protocol"):
        raise ConfigurationError(
            f"rejects_path is {path!r}", advice="Name a file, such as s3://bucket/rejects/{{ run_id }}.jsonl."
        )
    if any(same_file(path, source) for source in sources):
        raise ConfigurationError(
            f"rejects_path is {str(path)!r}, which is read from", advice="Give rejected rows a file of their own."
        )


class _Task:
    """One try of a task that writes."""

    def __init__(self, operator: WritesRecords, context: Context, hook: Bitrix24Hook, carried: dict[str, Any]) -> None:
        self._operator = operator
        self._context = context
        self._hook = hook
        # What goes with a deferral; filled in place.
        self._carried = carried
        self._store = task_state(context)
        self._life = life_of(context)
        self.repeatable = operator.key is not None or operator.method.lower().endswith(".update")
        # Whether any row may have been sent before, and it is not kept which.
        self._all_doubtful = False
        # Whether the portal may still carry out what an earlier try has sent.
        self._late = False
        self._written: Written
        self._rejects: Rejects | None = None
        # Rows that are under way: their numbers, and what they were in the input.
        self._pending: deque[tuple[int, Record]] = deque()
        self._enough = False
        self._failure: Bitrix24Error | None = None
        self._told = 0

    def kept(self) -> dict[str, Any]:
        """What earlier tries have left."""
        kept = self._operator._kept_by_deferral
        before = kept or (None if self._store is None else self._store.get(_STATE))
        if before is not None:
            self._late = bool(before.get("sent") or before.get("extra", {}).get("late"))
        elif self._store is None:
            # A cleared task counts on.
            self._late = getattr(self._context.get("ti"), "try_number", 1) > 1
            self._all_doubtful = tried_before(self._context)
        if kept:
            return dict(kept)
        if self._store is None:
            if not self.repeatable and tried_before(self._context):
                raise ConfigurationError(
                    "an earlier try may have added rows, and this Airflow does not keep which",
                    method=self._operator.method,
                    advice="Give key=…, so that rows which are there are found; or look which rows have arrived. A "
                    "cleared task writes all rows again. From Airflow 3.3 on a retry goes on behind them.",
                )
            return {}
        kept = dict(self._store.get(_STATE) or {})
        if kept.get("life") == self._life:
            return kept
        if self.repeatable or kept.get("whole"):
            return {}
        # What was rejected or is unknown stands in the file; whoever has cleared the task has seen to it.
        counts = {what: count for what, count in kept.get("counts", {}).items() if what in ("created", "updated", "ok")}
        return {**kept, "counts": counts, "unknown": []}

    def write(self, kept: Mapping[str, Any]) -> dict[str, Any]:
        """Write what is left; the counts of all tries."""
        operator = self._operator
        self._written = written = Written(kept, repeatable=self.repeatable, save=self._save)
        self._wait()
        began = time.time() - written.extra.get("seconds", 0.0)
        if operator.rejects_path:
            from airflow_provider_b24.operators.rejects import Rejects

            self._rejects = Rejects(operator.rejects_path, written.extra.get("lines", 0))
        if written.next:
            operator.log.info("Up to row %s an earlier try has come: it goes on from there", f"{written.next:,}")
        self._enough, self._failure = False, None
        self._pending.clear()
        try:
            for outcome in self._outcomes():
                self._take(*self._pending.popleft(), outcome)
            if not self._enough:
                written.whole()
        except Bitrix24Error as error:
            if error.done is not None:
                # Nothing was sent of the rows behind the outcomes that were given out.
                self._pending.clear()
            if not (self.repeatable and error.effect_unknown):
                raise
            from airflow.sdk.exceptions import AirflowException

            # What may be repeated a retry repeats.
            raise AirflowException(str(error)) from None
        finally:
            self._secure()
            written.extra["seconds"] = round(time.time() - began, 1)
            written.stop({number for number, _ in self._pending})
        counts = {
            "rows": written.rows,
            **{what: written.counts[what] for what in ("created", "updated", "rejected", "unknown")},
            "seconds": written.extra["seconds"],
        }
        self._judge(counts)
        self._save({"counts": counts, "whole": True})
        operator.log.info(
            "%s rows: %s created, %s updated, %s rejected in %s s",
            *(f"{counts[what]:,}" for what in ("rows", "created", "updated", "rejected")),
            counts["seconds"],
        )
        return counts

    def _outcomes(self) -> Iterator[Outcome]:
        operator = self._operator
        with closing(operator.records()) as records:
            yield from self._hook.call_many(
                operator.method, self._rows(records), key=operator.key, parallel=operator.parallel
            )

    def _rows(self, records: Iterable[Record]) -> Iterator[Mapping[str, Any]]:
        """The parameters of each call that is to be made."""
        written = self._written
        for record in records:
            number, turn = written.turn(record)
            if turn == "lost":
                self._reject(number, record, OutcomeUnknownError(_STOPPED), "unknown")
            elif turn == "send":
                try:
                    params = self._params(record)
                except ConfigurationError as error:
                    self._reject(number, record, error, "rejected")
                else:
                    adds = self._adds_each_time(params)
                    if adds and (self._all_doubtful or number in written.doubtful):
                        self._reject(number, record, OutcomeUnknownError(_STOPPED), "unknown")
                    else:
                        if adds and "adds" not in written.extra:
                            written.extra["adds"] = True
                            written.save()
                        self._pending.append((number, record))
                        yield params
            if self._enough:
                return

    def _wait(self) -> None:
        """Let the time pass in which the portal may still carry out what an earlier try has sent.

        A row that is looked for by its key before that is not there yet, and would be added twice.
        """
        if self._operator.key is None or not self._late:
            return
        peer = self._hook.get_conn().peer
        self._operator.log.info(
            "An earlier try was stopped while rows were under way: for %.0f s the portal may carry them out",
            peer.patience.late,
        )
        peer.clock.sleep(peer.patience.late)
        self._late = False
        self._written.extra.pop("late", None)

    def _adds_each_time(self, params: Mapping[str, Any]) -> bool:
        """Whether an update adds something each time that it is sent: phones, addresses …"""
        from airflow_provider_b24.crm.entities import ENTITIES

        if self._operator.key is not None or not self.repeatable:
            return False
        entity = ENTITIES.get(self._operator.method.lower().rpartition(".")[0])
        return entity is not None and entity.adds_values(params)

    def _params(self, record: Record) -> Mapping[str, Any]:
        from airflow_provider_b24.crm.rows import shaped

        operator = self._operator
        if operator.row is None:
            return shaped(record, operator.method, operator.rest_params, operator.columns)
        return {**(operator.rest_params or {}), **operator.row(dict(record))}

    def _take(self, number: int, record: Record, outcome: Outcome) -> None:
        """Note what has become of a row."""
        from airflow_provider_b24.rest.writing import befalls_all

        written, error = self._written, outcome.error
        if error is None:
            what = "created" if outcome.created else "updated" if outcome.updated else "ok"
            written.became(number, what)
            # An hour in all is for those who come no further.
            self._operator._deferred_since = None
        elif outcome.unknown and self.repeatable and self._adds_each_time(outcome.params):
            self._reject(number, record, error, "unknown")
        elif outcome.retryable or befalls_all(error) or (outcome.unknown and self.repeatable):
            if outcome.unknown:
                written.extra["late"] = True
            self._failure = self._failure or error
            written.became(number, "again")
        else:
            self._reject(number, record, error, "unknown" if outcome.unknown else "rejected")

    def _reject(self, number: int, record: Record, error: Bitrix24Error, what: str) -> None:
        if self._told < _TOLD:
            self._operator.log.warning("Row %s is %s: %s", f"{number + 1:,}", what, error)
            self._told += 1
        self._written.became(number, what, safe=self._rejects is None)
        if self._rejects is not None and self._rejects.add(number, record, error):
            self._secure()
        rejected, most = self._written.count("rejected"), self._operator.max_rejected
        if isinstance(most, int):
            self._enough = self._enough or rejected > most
        elif self._written.rows >= _ENOUGH:
            self._enough = self._enough or rejected > most * self._written.rows

    def _secure(self) -> None:
        """Put into the file what has to stand there."""
        if self._rejects is not None:
            self._rejects.write()
            self._written.extra["lines"] = self._rejects.lines
        self._written.secured()

    def _judge(self, counts: Mapping[str, Any]) -> None:
        """Whether the task has succeeded."""
        from airflow.sdk.exceptions import AirflowException, AirflowFailException

        operator, written = self._operator, self._written
        most = operator.max_rejected
        allowed = most if isinstance(most, int) else most * written.rows
        where = f" They are in {operator.rejects_path}." if operator.rejects_path else ""
        problems = []
        if counts["rejected"] > allowed:
            so_far = f"; nothing behind row {written.rows:,} was sent" if self._enough else ""
            cleared = "writes all rows again" if self.repeatable else "goes on behind them"
            problems.append(
                f"{counts['rejected']:,} of {written.rows:,} rows were rejected, and max_rejected is {most}{so_far}. A "
                f"cleared task {cleared}."
            )
        if counts["unknown"]:
            then = "mark the task as success: a cleared one writes all rows again, and adds their phones anew"
            if not self.repeatable:
                then = "clear the task, which goes on behind them, or mark it as success"
            problems.append(
                f"{counts['unknown']:,} rows may or may not have been carried out: {spelled(written.unknown)}. They "
                f"are not sent again. Look for them in the portal and add what is missing; then {then}."
            )
        if problems:
            raise AirflowFailException(" ".join(problems) + where)
        if self._failure is not None:
            # Whatever it is: they were not carried out, or may be again.
            raise AirflowException(
                f"{written.left:,} rows are not written yet, and a retry writes them: {self._failure}"
            )

    def _save(self, state: dict[str, Any]) -> None:
        kept = {**state, "life": self._life}
        if self._store is not None:
            self._store[_STATE] = kept
        self._carried.clear()
        self._carried.update(kept)
