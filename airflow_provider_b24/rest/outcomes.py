"""What becomes of rows that are written in bulk: a row, those that go together, and the outcome of each. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any, Literal

from airflow_provider_b24.rest.batch import command
from airflow_provider_b24.rest.content import Content
from airflow_provider_b24.rest.errors import Bitrix24Error, ConfigurationError, OutcomeUnknownError
from airflow_provider_b24.rest.protocol import Call, Priority, Reply

# Parameters that say which element a row changes, and those that say among which; by the last word of the methods of
# which it matters in which order they are called.
_CHANGES = frozenset(["update", "set", "delete"])
_ELEMENT = ("id", "ID", "taskId", "ELEMENT_ID", "MESSAGE_ID")
_AMONG = ("entityTypeId", "IBLOCK_ID", "IBLOCK_CODE")


@dataclass(frozen=True, repr=False)
class Outcome:
    """What has become of a row. Its repr shows none of its values.

    :ivar params: the row, as it was given.
    :ivar result: the portal's ``result``; None where it is not known, see ``id``.
    :ivar error: what went wrong; None if nothing did.
    :ivar index: the row's number in the input, from 0.
    :ivar id: the id of the element that was added or updated, where it is known.
    :ivar created: whether an element was added.
    :ivar updated: whether one was updated.
    """

    params: Any
    result: Any = None
    error: Bitrix24Error | None = None
    index: int = 0
    id: int | None = None
    created: bool = False
    updated: bool = False

    def __repr__(self) -> str:
        if self.error is not None:
            said = f"{type(self.error).__name__}{f' {self.error.code}' if self.error.code else ''}"
        else:
            said = "created" if self.created else "updated" if self.updated else "ok"
        return f"<Outcome {self.index}: {said}{f', id {self.id}' if self.id is not None else ''}>"

    @property
    def ok(self) -> bool:
        """Whether the row was carried out."""
        return self.error is None

    @property
    def unknown(self) -> bool:
        """Whether it may or may not have been carried out."""
        return self.error is not None and self.error.effect_unknown

    @property
    def retryable(self) -> bool:
        """Whether it was not carried out for a reason that passes, such as a limit: the row may be sent again."""
        return self.error is not None and not self.error.effect_unknown and not self.error.permanent


@dataclass(frozen=True, eq=False)
class Row:
    """A row on its way.

    :ivar call: what it was made into.
    :ivar text: the call as a command of a batch; empty where it can not go into one.
    :ivar identity: of the element that it is about, if it names one: rows of one identity are sent one after the other,
        for the last one stands.
    """

    index: int
    params: Mapping[str, Any] = field(repr=False)
    call: Call = field(repr=False)
    text: str = field(repr=False)
    identity: Hashable = field(default=None, repr=False)

    def became(self, answer: Reply | Bitrix24Error, done: str = "", known: int | None = None) -> Outcome:
        """The outcome, of the answer to its call.

        :param done: ``created`` or ``updated``, if an element was.
        :param known: the element's id, if it was known before.
        """
        answer = told(answer, done, self.call.method)
        if isinstance(answer, Bitrix24Error):
            return Outcome(self.params, error=answer, index=self.index, id=known)
        found = id_of(answer.result) if done and known is None else known
        return Outcome(
            self.params, answer.result, None, self.index, found, created=done == "created", updated=done == "updated"
        )


def told(answer: Reply | Bitrix24Error, done: str, method: str) -> Reply | Bitrix24Error:
    """The answer to a call that is to add an element; an error where it does not tell that one was added."""
    if done == "created" and isinstance(answer, Reply) and answer.result is None:
        return OutcomeUnknownError("the answer has no result, so that nothing says whether it was added", method=method)
    return answer


@dataclass(eq=False)
class Chunk:
    """The rows of one lane.

    :ivar seconds: how long its longest request took.
    :ivar lost: whether the answer to one was lost.
    :ivar failure: what befell a whole request, if something did that would befall all others as well.
    """

    rows: Sequence[Row] = field(repr=False)
    seconds: float = 0.0
    lost: bool = False
    failure: Bitrix24Error | None = None


def as_row(
    index: int,
    params: Any,
    method: str,
    version: Literal[2, 3] = 2,
    *,
    together: bool = True,
) -> Row | Outcome:
    """What comes from a source, as a row that can be sent; the outcome of one that can not."""
    error: Bitrix24Error
    if not isinstance(params, Mapping):
        error = ConfigurationError(
            f"row {index} is a {type(params).__name__}",
            method=method,
            advice="A row is a mapping: the parameters of one call.",
        )
        return Outcome(params, error=error, index=index)
    call = Call(method, params, version, Priority.BULK, once=token_hex(16) if version == 3 else "")
    try:
        text = command(method, params) if together else ""
    except ConfigurationError as caught:
        error = caught.with_traceback(None)
        if not _holds_file(params):
            return Outcome(params, error=error, index=index)
        text = ""
    return Row(index, params, call, text, _element(method, params))


def _element(method: str, params: Mapping[str, Any]) -> Hashable:
    """The element that a row changes; None if it names none."""
    if last_word(method) not in _CHANGES or not any(name in params for name in _ELEMENT):
        return None
    return tuple((name, str(params[name])) for name in (*_ELEMENT, *_AMONG) if name in params)


def last_word(method: str) -> str:
    """What a method does, by its name."""
    return method.lower().rsplit(".", 1)[-1]


def _holds_file(value: Any) -> bool:
    """Whether there is a file among parameters: it is sent in pieces, and a command of a batch is a text."""
    if isinstance(value, Mapping):
        return any(map(_holds_file, value.values()))
    return any(map(_holds_file, value)) if isinstance(value, (list, tuple)) else isinstance(value, Content)


def id_of(result: Any) -> int | None:
    """The id in the result of a method that adds or updates: the result itself, or in the element it holds."""
    if isinstance(result, Mapping):
        inner = next(iter(result.values()), None)
        element = inner if len(result) == 1 and isinstance(inner, Mapping) else result
        result = next((value for name, value in element.items() if str(name).lower() == "id"), None)
    if isinstance(result, bool) or not isinstance(result, (int, str)):
        return None
    text = str(result)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None
