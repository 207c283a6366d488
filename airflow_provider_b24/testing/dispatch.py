"""The way of a call through the portal, once it has been read: scope, budget, method, answer, batch."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from airflow_provider_b24.testing.company import Company
from airflow_provider_b24.testing.errors import PortalError
from airflow_provider_b24.testing.faults import Fault
from airflow_provider_b24.testing.limits import OperatingBudget
from airflow_provider_b24.testing.records import RecordedCall
from airflow_provider_b24.testing.registry import FILE_METHODS, V2, V3, Call, Caller, Method, Page
from airflow_provider_b24.testing.wire import as_json_array, is_truthy, items_of, nest, pairs_of

BATCH_LIMIT = 50
_REFERENCE = re.compile(r"\$result((?:\[[^\[\]]*\])+)")
_STEP = re.compile(r"\[([^\[\]]*)\]")

_NOTHING = object()

Befall = Callable[[Fault | None, str], Awaitable[Fault | None]]
"""Lets happen what was ordered for a sub-command: called before it, and after it with what was kept for then."""


class Dispatcher:
    """Executes calls.

    :param company: what the methods work on.
    :param operating: the budget they draw on.
    :param base_url: the portal's address, for links in answers.
    """

    def __init__(self, company: Company, operating: OperatingBudget, base_url: Callable[[], str]) -> None:
        self.company = company
        self.operating = operating
        self.costs: dict[str, float] = {}
        """Seconds that a call of a method costs, in place of the time it takes."""
        self.calls: list[RecordedCall] = []
        self._base_url = base_url

    def execute(self, caller: Caller, name: str, params: Any, version: int = 2, *, busy: float = 0.0) -> Page:
        """Run a method.

        :param busy: seconds that it has taken already.
        :raises PortalError: the portal refuses.
        """
        method = self._method(name, caller, version)
        if self.operating.exceeded(caller.app, name):
            raise PortalError("OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit", status=429)
        started = time.perf_counter()
        try:
            with self.company.lock:
                answer = method.handler(Call(self.company, caller, params, self._base_url()))
        finally:
            spent = self.costs.get(name, busy + time.perf_counter() - started)
            self.operating.spend(caller.app, name, spent)
        return answer if isinstance(answer, Page) else Page(answer)

    def _method(self, name: str, caller: Caller, version: int) -> Method:
        method = None if name in self.company.without else (V2 if version == 2 else V3).get(name)
        if method is None:
            # The code of version 3 is not documented, only the form of its errors is.
            code = "ERROR_METHOD_NOT_FOUND" if version == 2 else "BITRIX_REST_V3_EXCEPTION_METHODNOTFOUNDEXCEPTION"
            raise PortalError(code, "Method not found!", status=404)
        if method.scopes and not caller.scopes & set(method.scopes):
            if version == 3:
                raise PortalError(
                    "BITRIX_REST_V3_EXCEPTION_INSUFFICIENTSCOPEEXCEPTION", "Insufficient scope", status=403
                )
            raise PortalError(
                "insufficient_scope",
                "The request requires higher privileges than provided by the webhook token",
                status=403,
            )
        return method

    def stamp(self, started: float, caller: Caller | None = None, method: str | None = None) -> dict[str, Any]:
        """The ``time`` of an answer; ``operating`` only where a method is named."""
        finished = self.company.clock()
        stamp: dict[str, Any] = {
            "start": started,
            "finish": finished,
            "duration": finished - started,
            "processing": finished - started,
            "date_start": datetime.fromtimestamp(started, self.company.zone).isoformat(timespec="seconds"),
            "date_finish": datetime.fromtimestamp(finished, self.company.zone).isoformat(timespec="seconds"),
        }
        if caller is not None and method is not None:
            stamp["operating_reset_at"] = self.operating.reset_at(caller.app, method)
            stamp["operating"] = self.operating.operating(caller.app, method)
        return stamp

    async def batch(
        self,
        caller: Caller,
        params: Any,
        outer: RecordedCall,
        befall: Befall,
        take_time: Callable[[], Awaitable[float]],
    ) -> dict[str, Any]:
        """Run the commands of a batch, one after the other.

        :param outer: the batch; its commands are recorded beside it.
        :param take_time: lets the time pass that each command takes, and tells it.

        :raises PortalError: there are no commands.
        """
        commands = params.get("cmd") if isinstance(params, dict) else None
        if not isinstance(commands, (dict, list)):
            raise PortalError("ERROR_ARGUMENT", "Argument 'cmd' is null or empty")
        halt = is_truthy(params.get("halt"))
        sections: dict[str, dict[str, Any]] = {
            "result": {}, "result_error": {}, "result_total": {}, "result_next": {}, "result_time": {}
        }  # fmt: skip
        for number, (key, command) in enumerate(items_of(commands)):
            started = self.company.clock()
            name, query = _split(command)
            arguments = _resolve(nest(pairs_of(query)), sections["result"])
            call = replace(outer, time=started, method=name, params=arguments, in_batch=True, status=None, error=None)
            self.calls.append(call)
            try:
                if number >= BATCH_LIMIT:
                    raise PortalError("ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded")
                if name == "batch" or name in FILE_METHODS or (name in V2 and not V2[name].in_batch):
                    raise PortalError(
                        "ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage", status=405
                    )
                fault = await befall(None, name)
                page = self.execute(caller, name, arguments, busy=await take_time())
                if fault is not None:
                    await befall(fault, name)
            except PortalError as error:
                call.status, call.error = error.status, str(error.code)
                sections["result_error"][key] = {"error": error.code, "error_description": error.description}
                if halt:
                    break
                continue
            call.status = 200
            sections["result"][key] = page.result
            if page.total is not None:
                sections["result_total"][key] = page.total
            if page.next is not None:
                sections["result_next"][key] = page.next
            told = (caller, name) if self.operating.told_in_batches else ()
            sections["result_time"][key] = self.stamp(started, *told)
        return {name: as_json_array(section) for name, section in sections.items()}


def _split(command: Any) -> tuple[str, str]:
    text = command if isinstance(command, str) else ""
    name, _, query = text.partition("?")
    return name.strip().removesuffix(".json"), query


def _resolve(value: Any, results: dict[str, Any]) -> Any:
    """Put results of earlier commands in place of ``$result[…]``; what leads nowhere stays as it is."""
    if isinstance(value, dict):
        return {key: _resolve(item, results) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolve(item, results) for item in value]
    if "$result[" not in value:
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole:
        result = _follow(whole.group(1), results)
        return value if result is _NOTHING else result

    def put(match: re.Match[str]) -> str:
        result = _follow(match.group(1), results)
        return match.group(0) if result is _NOTHING or _is_array(result) else str(result)

    return _REFERENCE.sub(put, value)


def _follow(path: str, results: Any) -> Any:
    """What a path leads to, step by step; nothing of what lies beside it is looked at."""
    node = results
    for step in _STEP.findall(path):
        if isinstance(node, dict):
            node = node[step] if step in node else node.get(int(step) if step.isdecimal() else step, _NOTHING)
        elif _is_array(node) and step.isdecimal() and step == str(int(step)) and int(step) < len(node):
            node = node[int(step)]
        else:
            return _NOTHING
    return node


def _is_array(value: Any) -> bool:
    return isinstance(value, (dict, Sequence)) and not isinstance(value, str)
