"""Rows with a key of their own: what is in the portal already is updated instead of added twice. Pure.

Each batch of rows is looked up by the key first. So a repeat, after a crash for instance, finds what has arrived. What
may have arrived, because no answer came, is looked up again once the portal can not carry it out any more.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from airflow_provider_b24.crm.entities import Entity, entity_of
from airflow_provider_b24.crm.finding import Found, Identity, element_id, find, key_value
from airflow_provider_b24.crm.multifields import without_known
from airflow_provider_b24.rest.batch import for_one
from airflow_provider_b24.rest.errors import (
    Bitrix24Error,
    ConfigurationError,
    IncompleteReplyError,
    NotFoundError,
    RequestRefusedError,
)
from airflow_provider_b24.rest.lists import list_method
from airflow_provider_b24.rest.outcomes import Chunk, Outcome, Row, as_row, told
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.rest.protocol import Call, Priority, Reply
from airflow_provider_b24.rest.steps import Step, Wait
from airflow_provider_b24.rest.writing import Writing, befalls_all, carry_out

CREATED, UPDATED = "created", "updated"
# How many ids an error names.
_MOST_SHOWN = 5


def upserting(method: str, key: str | Sequence[str], *, parallel: int = 4, version: int = 2) -> Writing:
    """Add rows, or update those that are there already; for a method that updates, only that.

    :param key: the field, or the fields, that an element is known by.
    :raises ConfigurationError: for arguments that can not be right, and for a method whose elements can not be found.
    """
    names = (key,) if isinstance(key, str) else tuple(key)
    if not names or not all(isinstance(name, str) and name.strip() for name in names) or len(set(names)) < len(names):
        raise ConfigurationError(
            f"key is {key!r}", method=method, advice="It is a field, or several: ('originatorId', 'originId')."
        )
    if version != 2:
        raise ConfigurationError(
            f"key is {key!r} and version is {version!r}", method=method, advice="Rows are found by a key in version 2."
        )
    entity = entity_of(method)
    prepare = partial(_prepare, method=method, entity=entity, key=names)
    write = partial(_upsert, entity=entity, key=names, adds=method.lower() == entity.add)
    return Writing(prepare, write, parallel=parallel, several=True)


def _prepare(index: int, params: Any, *, method: str, entity: Entity, key: Sequence[str]) -> Row | Outcome:
    row = as_row(index, params, method)
    if isinstance(row, Outcome):
        return row
    problem = _problem(params, entity, key)
    if problem:
        error = ConfigurationError(
            problem,
            method=method,
            advice="Every row has a key of its own: a text of up to 255 characters, or a number.",
        )
        return Outcome(params, error=error, index=index)
    fields = params[entity.fields]
    values = {name: key_value(fields[name]) for name in key}
    identity = Identity(
        tuple((name, _as_text(params[name])) for name in entity.within if name in params),
        tuple((name, _as_text(fields[name])) for name in entity.narrowed),
        tuple(str(value) for value in values.values()),
    )
    call = Call(method, {**params, entity.fields: {**fields, **values}}, priority=Priority.BULK)
    return Row(index, params, call, row.text, identity)


def _as_text(value: str | int) -> str:
    return str(int(value) if isinstance(value, bool) else value)


def _problem(params: Mapping[str, Any], entity: Entity, key: Sequence[str]) -> str:
    """What speaks against a row; empty if nothing does."""
    fields = params.get(entity.fields)
    if not isinstance(fields, Mapping):
        return f"{entity.fields} is missing"
    if entity.id in params:
        return f"{entity.id} is given, and the element is found by its key"
    listed = list_method(entity.list)
    for names in listed.required if listed is not None else ():
        # Conditions and fields that are selected are put there by who looks.
        if set(names.split("|")) <= set(entity.within) and not any(name in params for name in names.split("|")):
            return f"{names.replace('|', ' or ')} is missing"
    for name in (*entity.within, *entity.narrowed):
        holder = fields if name in entity.narrowed else params
        if name in entity.narrowed and name not in holder:
            return f"{name} is missing"
        if not isinstance(holder.get(name, ""), (str, int)):
            return f"{name} is a {type(holder[name]).__name__}"
    for name in key:
        if fields.get(name) is None:
            return f"the key {name!r} is missing"
        if key_value(fields[name]) is None:
            return f"the key {name!r} is empty, too long, or no text and no number"
    return ""


@dataclass
class _Lane:
    """What is known of the rows of a lane by now.

    :ivar ids: of the elements that were found or added, by the identity of their rows.
    :ivar tried: what was tried with rows of which no answer says whether it was done, and the error.
    :ivar last: whether nothing is tried once more.
    """

    entity: Entity
    adds: bool
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    ids: dict[Hashable, int] = field(default_factory=dict)
    tried: dict[int, tuple[str, Bitrix24Error]] = field(default_factory=dict)
    last: bool = False

    def next_step(self, row: Row, found: Found) -> Outcome | tuple[str, Call]:
        """What has become of a row, or what is to be done with it."""
        tried, error = self.tried.get(row.index, ("", None))
        if row.index in found.errors:
            return Outcome(row.params, error=error or found.errors[row.index], index=row.index)
        elements = found.elements.get(row.identity, [])
        if len(elements) > 1:
            return Outcome(row.params, error=_several(elements, row), index=row.index)
        number = element_id(elements[0]) if elements else self.ids.get(row.identity)
        if number is None:
            return self._absent(row, tried)
        self.ids[row.identity] = number
        if tried == CREATED:
            # No answer came, but here it is.
            return Outcome(row.params, index=row.index, id=number, created=True)
        if tried == UPDATED and self.last:
            return Outcome(row.params, error=error, index=row.index, id=number)
        params: dict[str, Any] = {**row.call.params, self.entity.id: number}  # type: ignore[dict-item]
        if elements:
            params[self.entity.fields] = without_known(params[self.entity.fields], elements[0], self.entity.multifields)
        return UPDATED, Call(self.entity.update, params, priority=Priority.BULK)

    def unseen(self, row: Row) -> bool:
        """Whether a row's element has to be looked for."""
        return row.identity not in self.ids or bool(self.entity.multifields_of(row.call.params))

    def _absent(self, row: Row, tried: str) -> Outcome | tuple[str, Call]:
        error: Bitrix24Error
        if not self.adds:
            error = NotFoundError(
                "no element has this key",
                method=row.call.method,
                advice=f"May the account behind the connection see it? To add what is missing, use {self.entity.add}.",
            )
        elif tried and self.last:
            error = IncompleteReplyError(
                "no answer came, several times, and the element is not there",
                method=row.call.method,
                advice="The portal or a proxy before it is in trouble; try again later.",
            )
        else:
            return CREATED, replace(row.call, method=self.entity.add)
        return Outcome(row.params, error=error, index=row.index)


def _several(elements: Sequence[Mapping[str, Any]], row: Row) -> Bitrix24Error:
    ids = sorted(map(element_id, elements))
    shown = ", ".join(map(str, ids[:_MOST_SHOWN])) + (", …" if len(ids) > _MOST_SHOWN else "")
    return RequestRefusedError(
        f"{len(ids)} elements have this key: {shown}",
        method=row.call.method,
        advice="Delete all but one of them, or merge them; nothing says which one is meant.",
    )


def _upsert(
    chunk: Chunk, peer: Peer, *, entity: Entity, key: Sequence[str], adds: bool
) -> Generator[Step, Any, dict[int, Outcome]]:
    lane = _Lane(entity, adds)
    todo = list(chunk.rows)
    lost = 0
    while todo:
        # Never two of one key at once: the second one updates what the first one adds.
        now = list({row.identity: row for row in reversed(todo)}.values())[::-1]
        found = yield from find(peer, chunk, [row for row in now if lane.unseen(row)], entity, key)
        steps = {row.index: lane.next_step(row, found) for row in now} if chunk.failure is None else {}
        calls = {index: step[1] for index, step in steps.items() if isinstance(step, tuple)}
        answers = (yield from carry_out(peer, calls, chunk)) if calls else {}
        for row in now:
            step = steps.get(row.index)
            if isinstance(step, Outcome):
                lane.outcomes[row.index] = step
            elif step is not None:
                _note(lane, row, step[0], answers[row.index])
        stopped = chunk.failure or next(filter(befalls_all, _errors(answers.values())), None)
        todo = [row for row in todo if row.index not in lane.outcomes]
        if stopped is not None:
            for row in todo:
                _, error = lane.tried.get(row.index, ("", for_one(stopped, row.call)))
                lane.outcomes[row.index] = Outcome(row.params, error=error, index=row.index)
            return lane.outcomes
        if any(row.index in lane.tried for row in todo):
            lost += 1
            lane.last = lost >= peer.patience.tries
            # Until then the portal may still carry out what no answer came to.
            yield Wait(peer.patience.late)
            # What was there may have gone.
            lane.ids = {}
    return lane.outcomes


def _note(lane: _Lane, row: Row, done: str, answer: Reply | Bitrix24Error) -> None:
    answer = told(answer, done, row.call.method)
    if isinstance(answer, Bitrix24Error) and answer.effect_unknown:
        lane.tried[row.index] = done, answer
        return
    lane.outcomes[row.index] = outcome = row.became(answer, done, lane.ids.get(row.identity))
    if outcome.ok and outcome.id is not None:
        lane.ids[row.identity] = outcome.id


def _errors(answers: Iterable[Reply | Bitrix24Error]) -> Iterator[Bitrix24Error]:
    return (answer for answer in answers if isinstance(answer, Bitrix24Error))
