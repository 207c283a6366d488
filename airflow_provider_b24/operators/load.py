"""Loading a list of the portal into something else: what is read, how far it has come, and up to when it is whole."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.hooks.failure import no_vain_retries
from airflow_provider_b24.hooks.task_state import life_of, task_state
from airflow_provider_b24.links.portal import CrmListLink, show
from airflow_provider_b24.operators.arguments import (
    check_parallel,
    check_switches,
    check_unless_template,
    is_known,
)
from airflow_provider_b24.operators.deferral import DefersAtLimit
from airflow_provider_b24.operators.rest_params import TakesRestParams
from airflow_provider_b24.rest.errors import Bitrix24Error, ConfigurationError, NotFoundError
from airflow_provider_b24.rest.lists import ListMethod, check_reads, list_method
from airflow_provider_b24.rest.methods import check_method, check_version

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_b24.crm.fields import Field
    from airflow_provider_b24.operators.loading import Load, Target
    from airflow_provider_b24.operators.marks import Mark, Window
    from airflow_provider_b24.rest.reading import Page

_STATE = "bitrix24/load"
_YES, _NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0", "none", "")


class LoadsList(TakesRestParams, DefersAtLimit):
    """What the operators have in common that load a list of the portal.

    By default a load is *incremental*: it reads what was changed since the mark of the load before. The mark is the
    portal's own time, taken before the first row is read, and is moved when the target has all rows, so that a load
    which fails moves nothing. It is in the Airflow Variable ``bitrix24_mark:DAG_ID:TASK_ID``, which people may edit or
    delete; without it, and where method, parameters, portal or target have changed, everything is read. Lists whose
    rows have no time of the last change are always read whole.

    A try that ends early leaves what it has stored: the next one goes on behind the last row (on Airflow 3.2, which has
    no task state store, it begins anew). A task that is cleared begins anew, from the same time as before. Where the
    portal asks to wait for a method's execution time, the worker slot is given back, and the load goes on behind the
    last row as well.

    :param method: the list method. Default ``crm.item.list``. Templated.
    :param params: its parameters: ``entityTypeId``, ``filter``, ``select``; no ``order``, ``start`` or ``pagination``.
        The task keeps them as ``rest_params``. Templated.
    :param version: 3 for a method of REST 3.0. Default 2.
    :param incremental: False to read everything in each run. Default: True where the method can filter by the time of
        the last change.
    :param overlap: how far before the mark an incremental load begins, for rows that were stored late. Default: five
        minutes.
    :param since: read rows that were changed since then, whatever the mark is; anything that pendulum understands, in
        the portal's time zone unless it says otherwise. Marks stay where they are. Templated.
    :param until: the same for rows that were changed before then. Templated.
    :param interval: read what was changed in the run's data interval, and leave the mark; backfills always do.
        Default False.
    :param full_reload: read everything in this run, and move the mark; True, False, or a template such as
        ``{{ dag_run.conf.get('full_reload', False) }}``. Default False. Templated.
    :param parallel: how many requests may be under way at once, up to 40. Default 4.
    :param bitrix24_conn_id: the Airflow connection of the portal. Default ``bitrix24_default``. Templated.
    :return: ``rows``, ``since``, ``until``, ``mark`` (where it is now; None if this load leaves it), ``seconds``, and
        what the target counts; as XCom.
    :raises ConfigurationError: while the DAG is parsed, for an argument that can not be right.
    """

    template_fields: Sequence[str] = ("method", "rest_params", "since", "until", "full_reload", "bitrix24_conn_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {"rest_params": "json"}
    operator_extra_links = (CrmListLink(),)
    ui_color = "#d6f3fb"

    rows_at_once: int = 5000
    """How many rows the target is given at once; the last ones may be fewer."""

    typed: bool | None = True
    """Whether values are read as Python's types; :meth:`open_target` may still say so."""

    _kept_by_deferral: Mapping[str, Any] | None = None

    def __init__(
        self,
        *,
        method: str = "crm.item.list",
        rest_params: Mapping[str, Any] | None = None,
        version: Literal[2, 3] = 2,
        incremental: bool | None = None,
        overlap: dt.timedelta = dt.timedelta(minutes=5),
        since: Any = None,
        until: Any = None,
        interval: bool = False,
        full_reload: bool | str = False,
        parallel: int = 4,
        bitrix24_conn_id: str = Bitrix24Hook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.method = method
        self.rest_params = rest_params
        self.version = version
        self.incremental = incremental
        self.overlap = overlap
        self.since = since
        self.until = until
        self.interval = interval
        self.full_reload = full_reload
        self.parallel = parallel
        self.bitrix24_conn_id = bitrix24_conn_id
        check_switches(incremental=incremental, or_none=True)
        check_switches(interval=interval)
        check_unless_template(check_method, method)
        check_version(version)
        if not isinstance(overlap, dt.timedelta) or overlap < dt.timedelta(0):
            raise ConfigurationError(f"overlap is {overlap!r}", advice="Give a timedelta that is not negative.")
        check_parallel(parallel)
        if rest_params is not None:
            check_unless_template(_check_params, rest_params)
        check_unless_template(_switch, full_reload)
        if is_known(method):
            self._check_reads()
            self._is_incremental()
        _check_moments(since, until)

    def lacks(self, hook: Bitrix24Hook, kept: Mapping[str, Any] | None) -> str:
        """Why the target does not have what it should have by now; empty where it does.

        :param kept: what an earlier try has kept, which this one is to go on from; None for a new load, which is to add
            to what earlier loads have stored. Then everything is read.
        """
        return ""

    def target_name(self) -> str:
        """What earlier loads have stored in and this one adds to; part of what a mark holds for."""
        return ""

    def place(self) -> str:
        """What a load replaces; empty where it adds to what is there."""
        return ""

    def open_target(self, hook: Bitrix24Hook, load: Load) -> AbstractContextManager[Target]:
        """Where the rows go: ready to go on from ``load.kept``, or empty if that is."""
        raise NotImplementedError

    def complete(self, hook: Bitrix24Hook, target: Target) -> dict[str, Any]:
        """All rows are stored: make the load visible.

        :return: counts and paths, for XCom.
        """
        return target.finish()

    def execute(self, context: Context) -> dict[str, Any]:
        """Load."""
        from airflow_provider_b24.chat.addresses import of_list

        progress: dict[str, Any] = dict(self._kept_by_deferral or {})
        with self.slot_given_back(load=progress), no_vain_retries(), Bitrix24Hook(self.bitrix24_conn_id) as hook:
            _check_params(self.rest_params or {})
            self._check_reads()
            incremental = self._is_incremental()
            show(self, of_list(hook.portal, self.method, self.rest_params))
            mark, print_ = self._mark(context, hook)
            kept = progress or _mapping_or_none(_state(context, "get"))
            load = self._gone_on(hook, kept, life_of(context), print_)
            if load is None:
                load = self._begun(context, hook, mark, print_, incremental=incremental)
            progress.clear()
            progress.update(asdict(load))
            with self.open_target(hook, load) as target:
                self._read(context, hook, load, target, progress)
                counts = self.complete(hook, target)
            moved = (
                mark.move(load.began, run_id=_run_id(context), since=load.since, place=self.place())
                if load.moves
                else None
            )
            if _state(context, "get") is not None:
                _state(context, "set", {"life": load.life, "whole": True})
            seconds = round(time.time() - load.started, 1)
            self.log.info("%s rows in %s s%s", f"{load.rows:,}", seconds, f"; the mark is {moved} now" if moved else "")
            return {
                "rows": load.rows,
                "since": load.since,
                "until": load.until,
                "mark": moved,
                "seconds": seconds,
                **counts,
            }

    def resume(self, context: Context, event: Any = None, *, since: float, **progress: Any) -> Any:
        """Go on after a deferral, behind the last row."""
        self._kept_by_deferral = progress.pop("load", None)
        return super().resume(context, event, since=since, **progress)

    def fields(self, hook: Bitrix24Hook) -> Mapping[str, Field]:
        """What the portal says of the fields of the rows; nothing where it says nothing of this list."""
        from airflow_provider_b24.crm.fields import asked_fields, fields_call

        asked: dict[str, Any] = {"params": self.rest_params or {}, "version": self.version, "of_list": True}
        try:
            fields_call(self.method, **asked)
            return hook.get_conn().run(partial(asked_fields, method=self.method, **asked))
        except (ConfigurationError, NotFoundError) as error:
            self.log.info("Nothing is known of the fields of %s: %s", self.method, error)
            return {}

    def keys(self, hook: Bitrix24Hook) -> Iterator[list[Any]]:
        """The keys of all rows that the list has now, page by page, in order, whenever they were changed."""
        known = list_method(self.method, self.version)
        if known is None or known.select is None:
            raise ConfigurationError(
                "the keys of this list can not be read alone", method=self.method, advice="Load it whole instead."
            )
        params = {
            name: value for name, value in (self.rest_params or {}).items() if name.lower() != known.select.lower()
        }
        params[known.select] = [known.filter_key]
        for page in hook.pages(self.method, params, version=self.version, parallel=self.parallel):
            yield [row[known.key] for row in page.rows]

    def _read(self, context: Context, hook: Bitrix24Hook, load: Load, target: Target, progress: dict[str, Any]) -> None:
        """Read what is left, and store it."""
        waiting: list[Any] = []
        rows, after = load.rows, load.after

        def note(safe: bool) -> None:
            # Where a list can not be read from a key on, a later try begins anew.
            if not safe or after is None:
                return
            if after != load.after:
                # An hour in all is for those who come no further.
                self._deferred_since = None
            load.rows, load.after, load.kept = rows, after, target.kept()
            progress.update(asdict(load))
            _state(context, "set", dict(progress))

        pages = self._pages(hook, load)
        with closing(pages):
            while True:
                try:
                    page = next(pages, None)
                except Bitrix24Error:
                    # What was read is not asked for again.
                    if waiting:
                        target.store(waiting)
                    note(target.secure())
                    raise
                if page is None:
                    break
                taken = 0
                while taken < len(page.rows):
                    piece = page.rows[taken : taken + self.rows_at_once - len(waiting)]
                    waiting += piece
                    rows, taken = rows + len(piece), taken + len(piece)
                    after = self._key(page, taken - 1)
                    if len(waiting) >= self.rows_at_once:
                        note(target.store(waiting))
                        waiting = []
        if waiting:
            note(target.store(waiting))
        load.rows = rows

    def _key(self, page: Page, number: int) -> int | str | None:
        """The key to go on behind one of the rows of a page; None where there is none, or it can not be told."""
        known = list_method(self.method, self.version)
        if page.after is None or known is None or number == len(page.rows) - 1:
            return page.after
        kind = type(page.after)
        try:
            last, found = kind(page.rows[-1][known.key]), kind(page.rows[number][known.key])
        except (KeyError, TypeError, ValueError):
            return None
        return found if last == page.after else None

    def _pages(self, hook: Bitrix24Hook, load: Load) -> Generator[Page, None, None]:
        return hook.pages(
            self.method,
            self.rest_params,
            version=self.version,
            after=load.after,
            since=load.since,
            until=load.until,
            typed=bool(self.typed),
            parallel=self.parallel,
        )

    def _gone_on(self, hook: Bitrix24Hook, kept: Mapping[str, Any] | None, life: str, print_: str) -> Load | None:
        """The load of an earlier try, if this one can go on with it."""
        if not kept or kept.get("life") != life or kept.get("fingerprint") != print_:
            return None
        from airflow_provider_b24.operators.loading import Load

        load = Load(**kept)
        lost = self.lacks(hook, load.kept) if load.after is not None else ""
        if lost:
            self.log.info("The load begins anew, and not behind the key %s: %s", load.after, lost)
            return None
        if load.after is not None:
            self.log.info(
                "%s: it goes on behind the key %s, where an earlier try has stopped; %s rows are there",
                _of(self.method, self.rest_params),
                load.after,
                f"{load.rows:,}",
            )
        return load

    def _begun(self, context: Context, hook: Bitrix24Hook, mark: Mark, print_: str, *, incremental: bool) -> Load:
        from airflow_provider_b24.crm.moments import moment_of
        from airflow_provider_b24.operators.loading import Load

        now, started = hook.portal_time(), round(time.time(), 3)
        window = self._window(context, hook, mark, incremental=incremental)
        self.log.info("%s: %s", _of(self.method, self.rest_params), window.why)
        # A later try must not take "a day ago" for a day before itself.
        since, until = (
            None if at is None else moment_of(at, now, name).isoformat()
            for name, at in (("since", window.since), ("until", window.until))
        )
        return Load(life_of(context), print_, since, until, window.moves, now.isoformat(), started)

    def _window(self, context: Context, hook: Bitrix24Hook, mark: Mark, *, incremental: bool) -> Window:
        from airflow_provider_b24.operators.marks import Window, is_backfill, moment, of_interval

        if _switch(self.full_reload):
            return Window(moves=incremental, why="everything, for full_reload is set")
        since, until = moment(self.since), moment(self.until)
        if since is not None or until is not None:
            words = [f"since {since}"] if since is not None else []
            words += [f"until {until}"] if until is not None else []
            return Window(
                since, until, why=f"what was changed {' '.join(words)}, as it is told to; marks are left alone"
            )
        if not incremental:
            return Window(why="everything, for it is not incremental")
        if self.interval or is_backfill(context):
            return of_interval(context)
        lacking = self.lacks(hook, None)
        if lacking:
            return Window(moves=True, why=f"everything, for {lacking}")
        return mark.window(_run_id(context), self.overlap, self.place())

    def _check_reads(self) -> None:
        """Refuse a method that writes, and parameters that leave no room for reading everything."""
        check_reads(self.method, self.version)
        params = {} if self.rest_params is None else self.rest_params
        if isinstance(params, Mapping) and all(map(is_known, params.values())):
            from airflow_provider_b24.rest.listing import reader_for

            reader_for(self.method, params, version=self.version)

    def _is_incremental(self) -> bool:
        known = list_method(self.method, self.version)
        can = known is not None and known.changed is not None
        if (self.incremental or self.interval) and not can:
            raise ConfigurationError(
                f"{'incremental' if self.incremental else 'interval'} is set",
                method=self.method,
                advice="This list can not be filtered by the time of the last change: it is read whole in each run, or "
                "between since and until.",
            )
        incremental = can if self.incremental is None else self.incremental
        if incremental and isinstance(self.rest_params, Mapping):
            _check_filter(self.method, self.rest_params, known)
        return incremental

    def _mark(self, context: Context, hook: Bitrix24Hook) -> tuple[Mark, str]:
        from airflow_provider_b24.hooks.shared_store import shared_store
        from airflow_provider_b24.operators.marks import Mark, fingerprint, mark_key

        of = f"{_of(self.method, self.rest_params)} of {hook.portal}"
        print_ = fingerprint(hook.portal, self.method.lower(), self.version, self.rest_params or {}, self.target_name())
        ti: Any = context.get("ti")
        dag_id, task_id = getattr(ti, "dag_id", ""), getattr(ti, "task_id", self.task_id)
        index = getattr(ti, "map_index", None)
        store = shared_store(
            f"Up to when the task {task_id} of the DAG {dag_id} has loaded Bitrix24. Without it, it loads everything."
        )
        key = mark_key(dag_id, task_id, mapped=index is not None and index >= 0, of=print_)
        return Mark(store, key, of, print_), print_


def _state(context: Context, action: Literal["get", "set"], value: Any = None) -> Any:
    store = task_state(context)
    if store is None:
        return None
    if action == "get":
        return store.get(_STATE)
    store[_STATE] = value
    return None


def _mapping_or_none(value: Any) -> Mapping[str, Any] | None:
    return value if isinstance(value, Mapping) and "began" in value else None


def _of(method: str, params: Mapping[str, Any] | None) -> str:
    """What is read, for people."""
    entity = next((value for name, value in (params or {}).items() if str(name).lower() == "entitytypeid"), None)
    return method if entity is None else f"{method} {entity}"


def _run_id(context: Context) -> str:
    return str(context.get("run_id") or "")


def _check_filter(method: str, params: Mapping[str, Any], known: ListMethod | None) -> None:
    """Refuse a filter by the field that the loads are incremental by: the second run would have two of them."""
    if known is None or known.changed is None:
        return
    given = next((value for name, value in params.items() if str(name).lower() == known.filter.lower()), None)
    for name in given if isinstance(given, Mapping) else ():
        if str(name).lstrip("!<>=@%") == known.changed:
            raise ConfigurationError(
                f"the filter has {name!r}, and the loads are incremental by that field",
                method=method,
                advice="Give since and until instead; or set incremental=False, to read all that the filter finds.",
            )


def _check_moments(since: Any, until: Any) -> None:
    """Refuse what is no moment, as far as it is known, and an end before the beginning."""
    from airflow_provider_b24.operators.marks import moment

    given = {"since": since, "until": until}
    texts = {name: moment(value) for name, value in given.items() if value is not None and is_known(value)}
    if not any(texts.values()):
        return
    import pendulum

    from airflow_provider_b24.crm.moments import moment_of

    # The zone of the portal is not known here: what holds in the first and in the last one of all holds in it.
    read = [
        {name: moment_of(text, pendulum.now(zone), name) for name, text in texts.items() if text is not None}
        for zone in ("Etc/GMT+12", "Etc/GMT-14")
    ]
    if all(len(one) == 2 and one["since"] >= one["until"] for one in read):
        raise ConfigurationError(
            f"since is {since!r} and until is {until!r}: nothing lies between them",
            advice="since is the earlier one.",
        )


def _switch(value: Any) -> bool:
    """What a switch says, also where a template has made a text of it."""
    text = str(value).strip().lower()
    if text not in (*_YES, *_NO):
        raise ConfigurationError(f"full_reload is {value!r}", advice="It is True or False.")
    return text in _YES


def _check_params(params: object) -> None:
    if not isinstance(params, Mapping):
        raise ConfigurationError(f"params is a {type(params).__name__}", advice="Give a mapping of names to values.")
