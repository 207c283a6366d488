"""HTTP in, HTTP out: reads a request as the portal does, lets the ordered faults happen, writes the answer."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from airflow_provider_b24.testing.access import Access
from airflow_provider_b24.testing.dispatch import Dispatcher
from airflow_provider_b24.testing.errors import PortalError
from airflow_provider_b24.testing.faults import TOKEN_METHOD, Fault, Faults
from airflow_provider_b24.testing.limits import LeakyBucket
from airflow_provider_b24.testing.records import RecordedCall
from airflow_provider_b24.testing.registry import Caller
from airflow_provider_b24.testing.wire import decode_json, encode_json, nest, pairs_of

_INVALID_JSON = "BITRIX_REST_V3_EXCEPTION_INVALIDJSONEXCEPTION"
# Errors of version 3; those of call.followup.* have codes of their own.
_CODES_V3 = ("BITRIX_REST_V3_", "invalid_date_range", "invalid_order", "invalid_pagination")
_PAGES = {
    "html_500": (500, "Internal Server Error"),
    "html_502": (502, "Bad Gateway"),
    "html_503": (503, "Service Temporarily Unavailable"),
    "html_504": (504, "Gateway Time-out"),
    "html_200": (200, "Authorization"),
}
_REFUSALS = {
    "json_500": ("INTERNAL_SERVER_ERROR", "Internal server error", 500),
    "query_limit": ("QUERY_LIMIT_EXCEEDED", "Too many requests", 503),
    "operation_time_limit": ("OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit", 429),
    "overload_limit": ("OVERLOAD_LIMIT", "REST API is blocked due to overload", 503),
    "expired_token": ("expired_token", "The access token provided has expired", 401),
}


class ConnectionDropped(Response):
    """No answer: the connection is reset."""

    def __init__(self, drop: Callable[[Any], None]) -> None:
        super().__init__()
        self._drop = drop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reset the connection, and give the server time to notice."""
        self._drop(scope["client"])
        for _ in range(5):
            await asyncio.sleep(0)


class _Struck(Exception):  # noqa: N818 - carries an answer
    """A fault answers in place of the portal."""

    def __init__(self, response: Response, status: int | None, error: str | None) -> None:
        super().__init__()
        self.response = response
        self.status = status
        self.error = error


class Gateway:
    """The REST interface of the portal.

    :param base_url: the portal's address now.
    :param drop: resets the connection of a client address.
    :param stopping: set when the portal stops; nothing waits any longer then.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        access: Access,
        bucket: LeakyBucket | None,
        faults: Faults,
        *,
        base_url: Callable[[], str],
        drop: Callable[[Any], None],
        stopping: threading.Event,
        latency: float,
        command_latency: float,
    ) -> None:
        self.dispatcher = dispatcher
        self.access = access
        self.bucket = bucket
        self.faults = faults
        self.latency = latency
        self.command_latency = command_latency
        self.most_at_once = 0
        self._under_way = 0
        self.retired: set[str] = set()
        self.calls = dispatcher.calls
        self.on_call: Callable[[RecordedCall], None] | None = None
        self._base_url = base_url
        self._drop = drop
        self._stopping = stopping

    async def rest(self, request: Request) -> Response:
        """Answer a request below ``/rest/``."""
        self._under_way += 1
        self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            return await self._answer(request)
        except ClientDisconnect:
            # Whoever called was gone before the request was whole.
            return Response(status_code=400)
        finally:
            self._under_way -= 1

    async def _answer(self, request: Request) -> Response:
        version, credentials, name = _address(request.url.path)
        record = await self._record(request, name, version)
        if request.headers.get("host", "") in self.retired:
            record.status = 302
            return self._sent(record, self._moved(request))

        async def work() -> Any:
            record.params = await _read(request, record.body, version)
            caller = self._authorize(request, credentials, record)
            if request.url.path.endswith(".xml"):
                raise PortalError("ERROR_UNSUPPORTED_FORMAT", "This portal answers in JSON only")
            return await self._run(caller, record, record.params)

        return self._sent(record, await self._respond(request, record, work, self.bucket))

    async def token(self, request: Request) -> Response:
        """Answer a request for tokens; in the records, and for faults, it is the method ``oauth.token``."""
        record = await self._record(request, TOKEN_METHOD, 2)
        record.params = dict(request.query_params)

        async def work() -> Any:
            return self.access.token(request.query_params, self._base_url())

        return self._sent(record, await self._respond(request, record, work, None))

    async def _record(self, request: Request, name: str, version: int) -> RecordedCall:
        started = self.dispatcher.company.clock()
        record = RecordedCall(
            time=started,
            method=name,
            params={},
            version=version,
            http_method=request.method,
            path=request.url.path,
            headers={key.lower(): value for key, value in request.headers.items()},
            content_type=request.headers.get("content-type", ""),
            body=await request.body(),
            source_port=request.client.port if request.client else 0,
        )
        self.calls.append(record)
        return record

    def _sent(self, record: RecordedCall, response: Response) -> Response:
        if self.on_call is not None:
            self.on_call(record)
        return response

    def _moved(self, request: Request) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"{self._base_url()}{request.url.path}{query}", status_code=302)

    async def _respond(
        self, request: Request, record: RecordedCall, work: Callable[[], Awaitable[Any]], bucket: LeakyBucket | None
    ) -> Response:
        if self.latency:
            await self._pause(self.latency)
        fault: Fault | None = None
        try:
            try:
                if bucket is not None and not bucket.admit(request.client.host if request.client else ""):
                    raise PortalError("QUERY_LIMIT_EXCEEDED", "Too many requests", status=503)
                fault = self.faults.take(record.method, in_batch=False, body=record.body)
                if fault is not None and not fault.after_effect:
                    await self._strike(fault, record)
                record.status, answer = 200, await work()
            except PortalError as error:
                answer = _refuse(record, error)
            if fault is not None and fault.after_effect:
                try:
                    await self._strike(fault, record, encode_json(answer))
                except PortalError as error:
                    answer = _refuse(record, error)
        except _Struck as struck:
            record.status, record.error = struck.status, struck.error
            return struck.response
        return Response(encode_json(answer), record.status or 200, media_type="application/json")

    def _authorize(self, request: Request, credentials: tuple[str, str] | None, record: RecordedCall) -> Caller:
        if credentials is not None:
            return self.access.by_webhook(*credentials)
        token = record.params.pop("auth", None) if isinstance(record.params, dict) else None
        if token is None and record.version == 2:
            token = request.query_params.get("auth")
        return self.access.by_token(token)

    async def _run(self, caller: Caller, record: RecordedCall, params: Any) -> dict[str, Any]:
        started = record.time
        if record.version == 2 and record.method == "batch":
            result = await self.dispatcher.batch(caller, params, record, self._befall, self._take_time)
            return {"result": result, "time": self.dispatcher.stamp(started)}
        busy = await self._take_time()
        page = self.dispatcher.execute(caller, record.method, params, record.version, busy=busy)
        answer: dict[str, Any] = {"result": page.result}
        if page.next is not None:
            answer["next"] = page.next
        if page.total is not None:
            answer["total"] = page.total
        answer["time"] = self.dispatcher.stamp(started, caller, record.method)
        return answer

    async def _take_time(self) -> float:
        """Be busy with a method; the seconds that this takes."""
        if self.command_latency:
            await self._pause(self.command_latency)
        return self.command_latency

    async def _befall(self, fault: Fault | None, name: str) -> Fault | None:
        """Before a sub-command (no fault yet) and after it: lets its fault happen, or keeps it for later."""
        after = fault is not None
        fault = fault or self.faults.take(name, in_batch=True)
        if fault is None or fault.after_effect is not after:
            return fault
        await self._strike(fault, None)
        return None

    async def _strike(self, fault: Fault, record: RecordedCall | None, answer: bytes | None = None) -> None:
        """Let a fault happen; it may only delay.

        :raises _Struck: it answers in place of the portal.
        :raises PortalError: it makes the portal refuse.
        """
        if fault.kind == "slow":
            await self._pause(1.0 if fault.seconds is None else fault.seconds)
            return
        if fault.kind in _REFUSALS:
            code, description, status = _REFUSALS[fault.kind]
            raise PortalError(code, fault.description or description, fault.status or status)
        if fault.kind == "error":
            raise PortalError(fault.code, fault.description, fault.status or 400)
        if fault.kind == "timeout":
            await self._pause(fault.seconds)
        if fault.kind in {"timeout", "reset"}:
            raise _Struck(ConnectionDropped(self._drop), None, None)
        response = self._replacement(fault, record, answer)
        raise _Struck(response, response.status_code, record.error if record else None)

    def _replacement(self, fault: Fault, record: RecordedCall | None, answer: bytes | None) -> Response:
        if fault.kind in _PAGES:
            status, title = _PAGES[fault.kind]
            page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
            return HTMLResponse(page, fault.status or status)
        if fault.kind == "redirect":
            path = record.path if record else "/"
            return RedirectResponse(fault.location or f"{self._base_url()}{path}", fault.status or 302)
        if fault.kind == "truncated_json":
            whole = answer or b'{"result":{"items":[{"id":1,"title":"cut short"}]},"time":{}}'
            return Response(whole[: len(whole) // 2], fault.status or 200, media_type="application/json")
        if fault.kind == "drip":
            seconds = 1.0 if fault.seconds is None else fault.seconds
            return StreamingResponse(
                self._drops(answer or b"", seconds), fault.status or 200, media_type="application/json"
            )
        shell = json.dumps({"result": "", "time": {}})
        filler = "x" * max(0, fault.size - len(shell))
        return Response(json.dumps({"result": filler, "time": {}}), 200, media_type="application/json")

    async def _drops(self, answer: bytes, seconds: float) -> Any:
        for index in range(len(answer)):
            yield answer[index : index + 1]
            await self._pause(seconds)
            if self._stopping.is_set():
                return

    async def _pause(self, seconds: float | None) -> None:
        """Wait, but not beyond the portal's end; ``None`` for as long as it lives."""
        loop = asyncio.get_running_loop()
        end = None if seconds is None else loop.time() + seconds
        while not self._stopping.is_set():
            left = 0.05 if end is None else min(0.05, end - loop.time())
            if left <= 0:
                return
            await asyncio.sleep(left)


def _refuse(record: RecordedCall, error: PortalError) -> dict[str, Any]:
    """Note a refusal, and put it into the form of the version."""
    record.status, record.error = error.status, str(error.code)
    if record.version == 3 and str(error.code).startswith(_CODES_V3):
        detail: dict[str, Any] = {"code": error.code, "message": error.description}
        if error.field is not None:
            detail["message"] = "The request is not valid"
            detail["validation"] = [{"message": error.description, "field": error.field}]
        return {"error": detail}
    return {"error": error.code, "error_description": error.description}


def _address(path: str) -> tuple[int, tuple[str, str] | None, str]:
    """Version, webhook credentials and method in a path."""
    parts = [part for part in path.split("/") if part][1:]
    version = 2
    if parts and parts[0] == "api":
        version, parts = 3, parts[1:]
    name = (parts[-1] if parts else "").removesuffix(".json").removesuffix(".xml")
    return version, (parts[0], parts[1]) if len(parts) == 3 else None, name


async def _read(request: Request, body: bytes, version: int) -> Any:
    """The parameters of a request.

    :raises PortalError: the body of a version 3 call is not JSON.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if version == 3:
        if request.method == "GET" or not body:
            return {}
        given = decode_json(body) if kind == "application/json" else None
        if not isinstance(given, dict):
            raise PortalError(_INVALID_JSON, "The body of the request is not valid JSON")
        return given
    pairs = pairs_of(request.url.query)
    if request.method == "GET":
        return nest(pairs)
    if kind == "application/json":
        given = decode_json(body)
        if isinstance(given, list):
            return given
        return nest(pairs) | (given if isinstance(given, dict) else {})
    if kind == "application/x-www-form-urlencoded":
        return nest(pairs + pairs_of(body.decode("utf-8", "replace")))
    if kind == "multipart/form-data":
        form = await request.form()
        fields = [
            (key, value if isinstance(value, str) else (await value.read()).decode("utf-8", "replace"))
            for key, value in form.multi_items()
        ]
        return nest(pairs + fields)
    return nest(pairs)
