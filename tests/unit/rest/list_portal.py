"""A portal with one list, and a work that is carried out with it: its lanes end in any order, and the list changes."""

from __future__ import annotations

import bisect
import json
import random
import re
from collections.abc import Callable, Generator, Mapping
from typing import Any

from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.credentials import Webhook
from airflow_provider_b24.rest.errors import Bitrix24Error
from airflow_provider_b24.rest.lanes import Lane, Work
from airflow_provider_b24.rest.pacing import Plan
from airflow_provider_b24.rest.peer import Patience, Peer
from airflow_provider_b24.rest.protocol import Request, Response
from airflow_provider_b24.rest.steps import Ask, Failure, Send, Wait
from tests.unit.rest.clocks import FakeClock
from tests.unit.rest.php_query import parse

PAGE = 50
_REFERENCE = re.compile(r"\$result\[(\w+)\](?:\[items\])?\[(\d+)\]\[(?:id|ID)\]\Z")


class ListPortal:
    """Answers ``crm.item.list`` and ``crm.deal.list`` as documented, alone and in batches.

    :param ids: of the rows there are.
    :ivar rows: a group for each id, which a filter can ask for.
    :ivar churn: called before each page.
    :ivar trouble: called before a command with its method and its number in the request; what it returns instead of
        None is the command's error.
    :ivar spoil: called with the rows of each page; what it returns is sent instead.
    :ivar without: methods it has not.
    :ivar resolves: whether references are filled in.
    :ivar unresolved: what ``crm.deal.list`` takes one for that leads nowhere.
    """

    def __init__(self, ids: Any) -> None:
        self.rows: dict[int, str] = dict.fromkeys(sorted(ids), "a")
        self._sorted = sorted(self.rows)
        self.churn: Callable[[], None] = lambda: None
        self.trouble: Callable[[str, int], dict[str, Any] | None] = lambda method, number: None
        self.spoil: Callable[[list[Any]], Any] = lambda rows: rows
        self.without: set[str] = set()
        self.resolves = True
        self.unresolved = 0
        self.requests = self.commands = self.pages = 0

    def insert(self, number: int, group: str = "a") -> None:
        self.rows[number] = group
        self._sorted = sorted(self.rows)

    def delete(self, number: int) -> None:
        del self.rows[number]
        self._sorted = sorted(self.rows)

    def answer(self, request: Request) -> Response:
        """What the portal answers."""
        self.requests += 1
        method = request.url.rsplit("/", 1)[1]
        assert isinstance(request.body, bytes)
        params = json.loads(request.body)
        if method in self.without:
            return _response(404, {"error": "ERROR_METHOD_NOT_FOUND", "error_description": "Method not found!"})
        if method != "batch":
            found = self._command(method, params, 0)
            return _response(400, found) if "error" in found else _response(200, {**found, "time": {}})
        sections: dict[str, dict[str, Any]] = {"result": {}, "result_error": {}, "result_time": {}}
        assert len(params["cmd"]) <= 50
        for number, (key, text) in enumerate(params["cmd"].items()):
            name, _, query = text.partition("?")
            found = self._command(name, self._resolved(parse(query), sections["result"]), number)
            if "error" in found:
                sections["result_error"][key] = found
                if params["halt"]:
                    break
                continue
            sections["result"][key] = found["result"]
            sections["result_time"][key] = {"operating": 1.0, "operating_reset_at": 1}
        return _response(200, {"result": {name: part or [] for name, part in sections.items()}, "time": {}})

    def _resolved(self, value: Any, results: Mapping[str, Any]) -> Any:
        if isinstance(value, dict):
            return {key: self._resolved(item, results) for key, item in value.items()}
        match = _REFERENCE.match(value) if isinstance(value, str) and self.resolves else None
        if match is None or match[1] not in results:
            return value
        rows = results[match[1]]
        rows = rows.get("items") if isinstance(rows, dict) else rows
        row = rows[int(match[2])] if isinstance(rows, list) and int(match[2]) < len(rows) else None
        return value if row is None else str(next(iter(row.values())))

    def _command(self, method: str, params: dict[str, Any], number: int) -> dict[str, Any]:
        self.commands += 1
        error = self.trouble(method, number)
        if error is not None:
            return error
        self.churn()
        strict = method == "crm.item.list"
        key = "id" if strict else "ID"
        (direction,) = params["order"].values()
        assert list(params["order"]) == [key]
        assert int(params["start"]) == -1
        bounds, group = [], None
        for name, value in (params.get("filter") or {}).items():
            if name == "group":
                group = value
                continue
            sign, text = name[: -len(key)], str(value)
            assert name.endswith(key)
            assert sign in (">", "<", ">=", "<=")
            if strict and not text.isdigit():
                return {"error": "INVALID_ARG_VALUE", "error_description": f"Invalid filter: {text}"}
            bounds.append((sign, int(text) if text.isdigit() else self.unresolved))
        rows = self.find(bounds, group, direction == "DESC")
        shown = [{key: number if strict else str(number)} for number in rows]
        self.pages += 1
        found = self.spoil(shown)
        return {"result": {"items": found} if strict else found}

    def find(self, bounds: list[tuple[str, int]], group: str | None, descending: bool) -> list[int]:
        """The ids of a page."""
        low, high = 0, len(self._sorted)
        for sign, value in bounds:
            if sign in (">", ">="):
                find = bisect.bisect_right if sign == ">" else bisect.bisect_left
                low = max(low, find(self._sorted, value))
            else:
                find = bisect.bisect_left if sign == "<" else bisect.bisect_right
                high = min(high, find(self._sorted, value))
        order = range(high - 1, low - 1, -1) if descending else range(low, high)
        if group is None:
            return [self._sorted[at] for at in order[:PAGE]]
        found: list[int] = []
        for at in order:
            if self.rows[self._sorted[at]] == group:
                found.append(self._sorted[at])
                if len(found) == PAGE:
                    break
        return found


class Reader:
    """Carries a work out with a portal.

    :param order: which of the lanes under way ends next.
    :param limited: whether there is a request limit, which is never reached.
    :ivar most: the most rows that were held at once: asked for, or ready and not given out.
    """

    def __init__(
        self, portal: ListPortal, order: random.Random | None = None, *, tries: int = 4, limited: bool = True
    ) -> None:
        self.portal = portal
        self.order = order or random.Random(0)
        self.clock = FakeClock()
        credential = Webhook(Address("https", "portal.example"), "1", "secret0123456789")
        self.peer = Peer(
            credential,
            plan=Plan(1e6, 1e6) if limited else None,
            clock=self.clock,
            jitter=lambda: 0.5,
            patience=Patience(tries=tries),
        )
        # What becomes of a request on its way, instead of the portal's answer.
        self.misfortune: Callable[[], Any] = lambda: None
        self.lanes: dict[Lane, Any] = {}
        self.most_lanes = 0

    def pages(self, work: Work[Any]) -> Generator[Any, None, None]:
        """As a client's ``stream``."""
        ended = False
        while True:
            begun = False
            while len(self.lanes) < work.width and (lane := work.begin()) is not None:
                # What a lane asks is answered when it is asked or when it ends.
                self.lanes[lane] = self._outcome(lane) if self.order.random() < 0.5 else None
                begun = True
            self.most_lanes = max(self.most_lanes, len(self.lanes))
            found = work.ready()
            yield from found
            if work.over:
                return
            if begun or found:
                continue
            assert self.lanes or ended, "nothing to do"
            ended = bool(self.lanes)
            if self.lanes:
                lane = self.order.choice(list(self.lanes))
                outcome = self.lanes.pop(lane) or self._outcome(lane)
                work.end(lane, outcome)

    def _outcome(self, lane: Lane) -> Any:
        conversation = lane.conversation(self.peer)
        outcome: Any = None
        while True:
            try:
                step = conversation.send(outcome)
            except StopIteration as stop:
                return stop.value
            except Bitrix24Error as error:
                return error
            if isinstance(step, Ask):
                outcome = step.question()
            elif isinstance(step, Wait):
                self.clock.sleep(step.seconds)
                outcome = None
            else:
                assert isinstance(step, Send)
                outcome = self.misfortune()
                self.clock.now += 0.05
                if outcome is None or isinstance(outcome, Callable):  # type: ignore[arg-type]
                    answered = self.portal.answer(step.request)
                    outcome = answered if outcome is None else outcome(answered)


LOST = Failure("no answer", sent=True)
NOT_SENT = Failure("not reached", sent=False)


def truncated(response: Response) -> Response:
    """Half of an answer."""
    return Response(200, {}, response.body[: len(response.body) // 2])


def refused(response: Response) -> Response:
    """A server in trouble."""
    return _response(500, {"error": "INTERNAL_SERVER_ERROR", "error_description": "?"})


def _response(status: int, payload: Any) -> Response:
    return Response(status, {}, json.dumps(payload).encode())
