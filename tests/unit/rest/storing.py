"""A portal that keeps elements, and may lose an answer at any step; and lanes that end in any order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.credentials import Webhook
from airflow_provider_b24.rest.errors import Bitrix24Error
from airflow_provider_b24.rest.lanes import Lane
from airflow_provider_b24.rest.outcomes import Outcome
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.rest.protocol import Request, Response
from airflow_provider_b24.rest.steps import Ask, Failure, Send, Wait
from airflow_provider_b24.rest.writing import Writing
from tests.unit.rest.clocks import FakeClock
from tests.unit.rest.php_query import parse

HOOK = Webhook(Address("https", "acme.bitrix24.com"), "7", "s3cr3tc0de")
# A request that no answer came to may still be carried out within this time.
GIVEN_UP = 60.0


def peer(**options: Any) -> Peer:
    return Peer(HOOK, **{"clock": FakeClock(), "jitter": lambda: 0.5, **options})


class Stopped(Exception):  # noqa: N818 - it is the end of a process, and no error
    """The process was killed."""


class StoringPortal:
    """Deals with a title and an external id.

    :ivar faults: what goes wrong with the requests to come, by their number.
    :ivar kill_at: the number of the request with which the process ends: before it, or after it took effect.
    """

    def __init__(self, clock: FakeClock, faults: dict[int, str] | None = None) -> None:
        self.clock = clock
        self.faults = faults or {}
        self.kill_at: tuple[int, bool] | None = None
        self.elements: dict[int, dict[str, Any]] = {}
        self.requests = 0
        self.resolved: list[str] = []
        self.largest = 0
        self._once: dict[str | None, Any] = {}
        self._late: list[tuple[float, Callable[[], Any]]] = []

    def titles(self) -> list[str]:
        return [element["title"] for element in self.elements.values()]

    def answer(self, request: Request) -> Response | Failure:
        number, self.requests = self.requests, self.requests + 1
        self._catch_up()
        fault = self.faults.get(number, "")
        if self.kill_at is not None and self.kill_at[0] == number:
            if self.kill_at[1]:
                self._carry_out(request, fault)
            raise Stopped
        if fault == "not sent":
            return Failure("no way there", sent=False)
        if fault == "lost before":
            return Failure("the connection was lost", sent=True)
        if fault == "late":
            # It is carried out in a while, whoever waits for it or not.
            self._late.append((self.clock.now + GIVEN_UP - 1, lambda: self._carry_out(request, "")))
            return Failure("no answer came", sent=True)
        if fault == "query limit":
            return Response(503, {}, b'{"error":"QUERY_LIMIT_EXCEEDED"}')
        answer = json.dumps(self._carry_out(request, fault)).encode()
        if fault == "lost after":
            return Failure("the connection was lost", sent=True)
        if fault == "cut":
            answer = answer[: len(answer) // 2]
        return Response(500, {}, b"<html>") if fault == "500" else Response(200, {}, answer)

    def later(self) -> None:
        """Time passes until nothing is under way any more."""
        self.clock.now += GIVEN_UP
        self._catch_up()

    def _catch_up(self) -> None:
        due = [act for at, act in self._late if at <= self.clock.now]
        self._late = [(at, act) for at, act in self._late if at > self.clock.now]
        for act in due:
            act()

    def _carry_out(self, request: Request, fault: str) -> Any:
        assert isinstance(request.body, bytes)
        params = json.loads(request.body)
        method = request.url.rsplit("/", 1)[1]
        if method != "batch":
            # REST 3.0 knows a call that it has carried out by its name.
            once = request.headers.get("Idempotency-Key") if "/rest/api/" in request.url else None
            if once in self._once:
                return self._once[once]
            try:
                answer = {"result": self._execute(method, params)}
            except Refused as refused:
                return {"error": refused.args[0], "error_description": ""}
            if once is not None:
                self._once[once] = answer
            return answer
        self.largest = max(self.largest, len(params["cmd"]))
        body: dict[str, dict[str, Any]] = {"result": {}, "result_error": {}}
        for place, (key, command) in enumerate(params["cmd"].items()):
            name, _, query = command.partition("?")
            if "%24result" in query.lower():
                self.resolved.append(query)
            if fault == "half" and place >= len(params["cmd"]) / 2:
                continue
            if fault in ("refused inside", "blocked inside") and place % 3 == 1:
                code = "QUERY_LIMIT_EXCEEDED" if fault == "refused inside" else "OPERATION_TIME_LIMIT"
                body["result_error"][key] = {"error": code, "error_description": ""}
                continue
            try:
                result = self._execute(name, parse(query))
            except Refused as refused:
                body["result_error"][key] = {"error": refused.args[0], "error_description": ""}
                continue
            if not (fault == "silent" and place % 3 == 1):
                body["result"][key] = result
        return {"result": {name: section or [] for name, section in body.items()}}

    def _execute(self, method: str, params: dict[str, Any]) -> Any:
        if method == "crm.item.list":
            return {"items": self._found(params)}
        if method not in ("crm.item.add", "crm.item.update"):
            raise Refused("ERROR_METHOD_NOT_FOUND")
        fields = params.get("fields") or {}
        if fields.get("title") == "refuse":
            raise Refused("CRM_FIELD_ERROR_VALUE_NOT_VALID")
        number = int(params["id"]) if method == "crm.item.update" else len(self.elements) + 1
        if number not in self.elements and method == "crm.item.update":
            raise Refused("NOT_FOUND")
        before = self.elements.get(number, {})
        self.elements[number] = {**before, **fields, "id": number}
        if "fm" in fields:
            self.elements[number]["fm"] = _merged(before.get("fm") or [], fields["fm"])
        return {"item": dict(self.elements[number])}

    def _found(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        rows = [self.elements[number] for number in sorted(self.elements)]
        for name, wanted in (params.get("filter") or {}).items():
            if name == ">id":
                rows = [row for row in rows if row["id"] > int(wanted)]
                continue
            values = wanted.values() if isinstance(wanted, dict) else wanted if isinstance(wanted, list) else [wanted]
            plain = {str(value).lower() for value in values}
            field = name.lstrip("@=")
            rows = [row for row in rows if str(row.get(field, "")).lower() in plain]
        return [dict(row) for row in rows[:50]]


def _merged(there: list[dict[str, Any]], given: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """What stands under the id of a value changes it; whatever else is added."""
    values = {entry["id"]: entry for entry in there}
    for key, entry in given.items():
        number = int(key) if key.isdecimal() and int(key) in values else 100 + len(values)
        values[number] = {**entry, "id": number}
    return list(values.values())


class Refused(Exception):  # noqa: N818 - the portal's word
    """The portal refuses a command."""


def carried_out(
    work: Writing, rows: Iterable[Any], portal: StoringPortal, by: Peer, which: Callable[[int], int] = lambda count: 0
) -> tuple[list[Outcome], Exception | None]:
    """What a client does, request by request.

    :param which: of so many lanes that are under way, the one that goes on next.
    :return: the outcomes, and what was raised after them.
    """
    source = work.source(rows)
    lanes: list[tuple[Lane, Any, Any]] = []
    given: list[Outcome] = []
    while True:
        while (wanted := work.wants()) > 0:
            work.offer(list(islice(source, wanted)))
        while len(lanes) < work.width and (lane := work.begin()) is not None:
            lanes.append((lane, lane.conversation(by), None))
        try:
            found = work.ready()
        except Exception as error:
            return given, error
        given += found
        if found or not lanes:
            if work.over:
                return given, None
            continue
        lane, conversation, outcome = lanes.pop(which(len(lanes)))
        ended, outcome = _to_the_next_request(conversation, outcome, portal)
        if ended:
            work.end(lane, outcome)
        else:
            lanes.append((lane, conversation, outcome))


def _to_the_next_request(conversation: Any, outcome: Any, portal: StoringPortal) -> tuple[bool, Any]:
    try:
        while True:
            step = conversation.send(outcome)
            if isinstance(step, Send):
                return False, portal.answer(step.request)
            if isinstance(step, Wait):
                portal.clock.sleep(step.seconds)
            outcome = step.question() if isinstance(step, Ask) else None
    except StopIteration as stop:
        return True, stop.value
    except Bitrix24Error as error:
        return True, error
