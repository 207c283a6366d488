"""A dialog of a portal in simulated time, and tasks that post in it: they may be stopped at any step."""

from __future__ import annotations

import copy
import datetime as dt
import heapq
import itertools
import json
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from airflow_provider_b24.chat.delivery import Memory
from airflow_provider_b24.chat.message import post
from airflow_provider_b24.chat.typing import Bot
from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.content import Body
from airflow_provider_b24.rest.credentials import Webhook
from airflow_provider_b24.rest.errors import Bitrix24Error
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.rest.protocol import Request, Response
from airflow_provider_b24.rest.steps import Ask, Failure, Send, Wait
from tests.unit.rest.clocks import FakeClock
from tests.unit.rest.simulation import error, reply

OWNER, BOT = 1, 101
TEXT = "Revenue of [b]8[/b] weeks: 5 < 6 & more\nby hand"
STORE_SECONDS, PORTAL_SECONDS = 0.005, 0.1
PAGE = b"<html><body>Bad Gateway</body></html>"

# What happens to a request that posts: whether it takes effect, after how many seconds, and what is answered.
FAULTS: dict[str, tuple[float | None, Any]] = {
    "none": (0.0, None),
    "reset before": (None, Failure("the connection broke off", sent=True)),
    "reset after": (0.0, Failure("the connection broke off", sent=True)),
    "late": (0.5, Failure("no answer within 65 s", sent=True)),
    "very late": (59.0, Failure("the connection broke off", sent=True)),
    "500 before": (None, error(500, "INTERNAL_SERVER_ERROR")),
    "500 after": (0.0, error(500, "INTERNAL_SERVER_ERROR")),
    "502 before": (None, Response(502, {"content-type": "text/html"}, PAGE)),
    "502 late": (2.0, Response(502, {"content-type": "text/html"}, PAGE)),
    "truncated before": (None, Response(200, {}, b'{"result":84')),
    "truncated after": (0.0, Response(200, {}, b'{"result":84')),
    "no id": (0.0, reply("accepted")),
    "not reached": (None, Failure("the connection was refused", sent=False)),
    "refused": (None, error(503, "QUERY_LIMIT_EXCEEDED")),
}


@dataclass
class Dialog:
    """One dialog of a portal.

    :ivar troubles: what befalls the requests that post, in order; nothing befalls the rest.
    """

    troubles: list[str] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    posts: int = 0
    alter: Callable[[str], str] = str
    uuid_comes_back: bool = True
    dedupes: bool = False
    unreadable: Any = None
    clock: FakeClock = field(default_factory=lambda: FakeClock(now=0.0))
    _coming: list[tuple[float, int, dict[str, Any]]] = field(default_factory=list)
    _ids: Any = field(default_factory=lambda: itertools.count(84801, 2))
    _order: Any = field(default_factory=itertools.count)

    def peer(self) -> Peer:
        return Peer(Webhook(Address("https", "x.bitrix24.com"), str(OWNER), "c0dec0dec0dec0de"), clock=self.clock)

    def of(self, author: int = OWNER) -> list[dict[str, Any]]:
        """The messages that were posted by those who deliver, at the end of all time."""
        self._arrive(float("inf"))
        return [message for message in self.messages if message["author_id"] == author]

    def write(self, author: int, text: str, uuid: str | None = None, **params: Any) -> int:
        self.messages.append(self._message(author, text, uuid, params))
        return int(self.messages[-1]["id"])

    def answer(self, request: Request) -> Any:
        self._arrive(self.clock.now)
        method = request.url.rsplit("/", 1)[-1]
        assert not isinstance(request.body, Body)
        params = json.loads(request.body or b"{}")
        if method == "im.dialog.messages.get":
            return self.unreadable or reply(self._page(params))
        assert method in ("im.message.add", "imbot.v2.Chat.Message.send"), method
        return self._post(method, params)

    def _post(self, method: str, params: dict[str, Any]) -> Any:
        trouble = self.troubles[self.posts] if self.posts < len(self.troubles) else "none"
        self.posts += 1
        delay, answer = FAULTS[trouble]
        bot = method.startswith("imbot")
        fields = params["fields"] if bot else {name.lower(): value for name, value in params.items()}
        uuid = fields.get("templateId") if bot else None
        author = 0 if fields.get("system") in ("Y", True) else (BOT if bot else OWNER)
        message = self._message(author, fields.get("message", ""), uuid, {"ATTACH": fields.get("attach", [])})
        if delay is not None:
            heapq.heappush(self._coming, (self.clock.now + delay, next(self._order), message))
        self._arrive(self.clock.now)
        if answer is not None:
            return answer
        return reply({"id": message["id"], "uuidMap": {}} if bot else message["id"])

    def _message(self, author: int, text: str, uuid: str | None, params: dict[str, Any]) -> dict[str, Any]:
        written = dt.datetime.fromtimestamp(self.clock.time(), dt.timezone(dt.timedelta(hours=3)))
        return {
            "id": next(self._ids),
            "author_id": author,
            "date": written.isoformat(timespec="seconds"),
            "text": self.alter(text),
            "uuid": uuid if self.uuid_comes_back else "0c42a08f-4235-49fc-994f-c9bccd499ac1",
            "params": params or [],
        }

    def _arrive(self, now: float) -> None:
        while self._coming and self._coming[0][0] <= now:
            message = heapq.heappop(self._coming)[2]
            if not (self.dedupes and any(one["uuid"] == message["uuid"] for one in self.messages)):
                # Whatever was begun first, ids are given in the order in which messages appear.
                message["id"] = next(self._ids) if message["id"] < self._newest() else message["id"]
                self.messages.append(message)

    def _newest(self) -> int:
        return max((message["id"] for message in self.messages), default=0)

    def _page(self, params: dict[str, Any]) -> dict[str, Any]:
        assert 0 < params["LIMIT"] <= 50
        assert "FIRST_ID" not in params
        before = params.get("LAST_ID")
        known = before is None or any(message["id"] == before for message in self.messages)
        older = [message for message in self.messages if before is None or message["id"] < before] if known else []
        return {"chat_id": 2935, "messages": older[-params["LIMIT"] :][::-1], "users": [], "files": []}


class Editable(Dialog):
    """A dialog whose messages may be changed."""

    def answer(self, request: Any) -> Any:
        if not request.url.endswith("im.message.update"):
            return super().answer(request)
        params = json.loads(request.body)
        self._arrive(self.clock.now)
        (message,) = (one for one in self.messages if one["id"] == params["MESSAGE_ID"])
        message["text"] = params["MESSAGE"]
        return reply(True)


class Kept(dict[str, Any]):
    """A store in which nobody changes what another has read."""

    def get(self, key: str, default: Any = None) -> Any:
        return copy.deepcopy(super().get(key, default))

    def forget(self, key: str) -> None:
        self.pop(key, None)


def posting(dialog: Dialog, memory: Memory, *, as_bot: bool = False, **parameters: Any) -> Generator[Any, Any, int]:
    """A task that posts."""
    given = {"dialog_id": "chat2935", "message": TEXT, **parameters}
    return post(dialog.peer(), memory=memory, bot=Bot(BOT, "token") if as_bot else None, **given)


class Killed(Exception):  # noqa: N818 - it is no error
    """The process is gone."""


def run(
    dialog: Dialog,
    task: Generator[Any, Any, Any],
    *,
    outcome: Any = None,
    kill_at: int | None = None,
    carried_out: bool = False,
) -> Any:
    """Let a task work to its end.

    :param outcome: of the step that it has taken last.
    :param kill_at: kill it at this step, counted from 0.
    :param carried_out: whether that step was carried out, with nobody left to see its outcome.
    :return: what it returned, or the error that it ended with.
    :raises Killed: if it was.
    """
    for number in itertools.count():
        try:
            step = task.send(outcome)
        except StopIteration as stop:
            return stop.value
        except Bitrix24Error as failed:
            return failed
        if number == kill_at and not carried_out:
            raise Killed
        outcome = carry_out(dialog, step)
        if number == kill_at:
            raise Killed
    raise AssertionError


def carry_out(dialog: Dialog, step: Any) -> Any:
    """One step, as a driver does."""
    if isinstance(step, Ask):
        dialog.clock.now += STORE_SECONDS
        return step.question()
    if isinstance(step, Wait):
        dialog.clock.now += step.seconds
        return None
    assert isinstance(step, Send)
    dialog.clock.now += PORTAL_SECONDS / 2
    answer = dialog.answer(step.request)
    dialog.clock.now += PORTAL_SECONDS / 2
    return answer


class Side:
    """Several tasks at once, each step taking its time."""

    def __init__(self, dialog: Dialog, seconds: Callable[[str], float]) -> None:
        self.dialog = dialog
        self.outcomes: list[Any] = []
        self._seconds = seconds
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()

    def start(self, task: Generator[Any, Any, Any], at: float = 0.0) -> None:
        self._at(at, partial(self._go_on, task, None))

    def run(self) -> None:
        while self._agenda:
            self.dialog.clock.now, _, step = heapq.heappop(self._agenda)
            step()

    def _at(self, when: float, step: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (when, next(self._number), step))

    def _go_on(self, task: Generator[Any, Any, Any], outcome: Any) -> None:
        try:
            step = task.send(outcome)
        except StopIteration as stop:
            self.outcomes.append(stop.value)
            return
        except Bitrix24Error as failed:
            self.outcomes.append(failed)
            return
        now = self.dialog.clock.now
        if isinstance(step, Wait):
            self._at(now + step.seconds, partial(self._go_on, task, None))
            return
        there = self._seconds("store" if isinstance(step, Ask) else "portal") / 2
        back = self._seconds("store" if isinstance(step, Ask) else "portal") / 2

        def arrive() -> None:
            found = step.question() if isinstance(step, Ask) else self.dialog.answer(step.request)
            self._at(self.dialog.clock.now + back, partial(self._go_on, task, found))

        self._at(now + there, arrive)
