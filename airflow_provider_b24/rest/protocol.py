"""A call becomes an HTTP request; an HTTP response becomes a reply or an error. Pure: no socket, no clock."""

from __future__ import annotations

import datetime as dt
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Any, Literal
from urllib.parse import urlencode

from airflow_provider_b24 import __version__
from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.content import Body, Content
from airflow_provider_b24.rest.credentials import AuthorizationCode, OAuthApp, Tokens, Webhook
from airflow_provider_b24.rest.errors import (
    Bitrix24Error,
    ConfigurationError,
    OutcomeUnknownError,
    QueryLimitError,
    UnexpectedReplyError,
    error_for,
)
from airflow_provider_b24.rest.methods import Params, check_method, is_repeatable

USER_AGENT = f"airflow-provider-b24/{__version__}"

_ASKING = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": USER_AGENT}
_HEADERS = {"Content-Type": "application/json", **_ASKING}


class Priority(Enum):
    """Who goes first when requests are short: work, then bulk; a typing signal is skipped instead of queued."""

    WORK = "work"
    BULK = "bulk"
    TYPING = "typing"


@dataclass(frozen=True)
class Call:
    """One REST method with its parameters.

    :ivar method: the name as the documentation spells it, without ``.json``.
    :ivar params: a mapping, or a sequence for the methods that take their parameters by position. A
        :class:`~.content.Content` in it is a file, which is sent as base64 in pieces.
    :ivar version: 2 for the classic REST (``/rest/``), 3 for REST 3.0 (``/rest/api/``).
    :ivar priority: who goes first when requests are short.
    :ivar once: a name for this very call, of up to 255 printable ASCII characters. REST 3.0 carries a call that changes
        something out once for each name within 24 hours, and answers a second one as the first. REST 2 ignores it.
    :raises ConfigurationError: for a name that is none, or a version there is not.
    """

    method: str
    params: Params = field(default_factory=dict, repr=False)
    version: Literal[2, 3] = 2
    priority: Priority = Priority.WORK
    once: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        check_method(self.method)
        if self.version not in (2, 3):
            raise ConfigurationError(f"version is {self.version!r}", advice="It is 2 (classic REST) or 3 (REST 3.0).")
        if isinstance(self.params, (str, bytes)) or not isinstance(self.params, (Mapping, Sequence)):
            raise ConfigurationError(
                f"params of {self.method} is a {type(self.params).__name__}",
                advice="Give a mapping of names to values (or a list, for methods with positional parameters).",
            )

    @property
    def repeatable(self) -> bool:
        """Whether the call may be sent again although it may have been carried out already."""
        return is_repeatable(self.method, self.params)


@dataclass(frozen=True)
class Request:
    """What goes on the wire. Its repr shows nothing, for the URL or the body carries the secret."""

    verb: Literal["GET", "POST"] = field(repr=False)
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | Body | None = field(repr=False)

    @property
    def sending(self) -> float:
        """Seconds that its body may take to be sent, where it holds files; otherwise 0."""
        return self.body.seconds if isinstance(self.body, Body) else 0.0

    @property
    def cut_short(self) -> bool:
        """Whether it holds files, and its end was not sent: then nothing was done."""
        return isinstance(self.body, Body) and not self.body.complete


@dataclass(frozen=True)
class Response:
    """What came back, read to its end. ``headers`` has lower-case names."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Reply:
    """The decoded answer of a call.

    :ivar result: the ``result`` of the answer, as it is.
    :ivar total: the number of rows in all, where a list method counted them.
    :ivar next: the ``start`` of the next page, or None on the last one.
    :ivar operating: seconds of execution time this method has used up in the last ten minutes (cloud only).
    :ivar operating_reset_at: when the oldest part of that figure falls away (seconds since the epoch).
    :ivar finished_at: the portal's own time when it was done (seconds since the epoch).
    """

    result: Any
    total: int | None = None
    next: int | None = None
    operating: float | None = None
    operating_reset_at: float | None = None
    finished_at: float | None = None

    @classmethod
    def of(cls, result: Any, total: Any, following: Any, spent: Any) -> Reply:
        """A reply of the parts that an answer has, of whatever types they are.

        :param following: its ``next``.
        :param spent: its ``time``.
        """
        spent = spent if isinstance(spent, Mapping) else {}
        return cls(
            result,
            _integer(total),
            _integer(following),
            as_number(spent.get("operating")),
            as_number(spent.get("operating_reset_at")),
            _finished_at(spent),
        )


def encode(call: Call, address: Address, proof: Webhook | Tokens) -> Request:
    """The HTTP request of a call: a POST with a JSON body, the form the vendor recommends.

    :raises ConfigurationError: for a value that JSON does not know, and for a positional REST 3.0 call with
        an access token, for which the protocol has no place.
    """
    if call.version == 3 and isinstance(proof, Tokens) and not isinstance(call.params, Mapping):
        raise ConfigurationError(
            f"{call.method} takes a list, and REST 3.0 has no place for an access token beside one",
            advice="Use a webhook for this call.",
        )
    # No secret is in a local variable here, for this frame is in the traceback of the error.
    body, problem = _body(_with_token(call.params, proof))
    if body is None:
        raise _not_json(problem, call.method)
    headers = {**_HEADERS, "Idempotency-Key": call.once} if call.once else _HEADERS
    return Request("POST", _url(call, address, proof), headers, body)


def as_json(params: Params) -> str:
    """Parameters as the text that would go to the portal.

    :raises ConfigurationError: for a value that JSON does not know.
    """
    body, problem = _body(params)
    if not isinstance(body, bytes):
        raise _not_json(problem or "a file", None)
    return body.decode()


def _not_json(problem: str, method: str | None) -> ConfigurationError:
    return ConfigurationError(
        f"params can not be written as JSON: {problem}",
        method=method,
        advice="Use strings, numbers, booleans, None, dates, Decimals, lists and mappings.",
    )


def _url(call: Call, address: Address, proof: Webhook | Tokens) -> str:
    root = "/rest/api/" if call.version == 3 else "/rest/"
    if isinstance(proof, Webhook):
        return f"{address}{root}{proof.user_id}/{proof.code}/{call.method}"
    return f"{address}{root}{call.method}"


def _with_token(params: Params, proof: Webhook | Tokens) -> Params:
    if isinstance(proof, Webhook):
        return params
    if not isinstance(params, Mapping):
        params = {str(index): value for index, value in enumerate(params)}
    return {**params, "auth": proof.access_token}


def encode_renewal(app: OAuthApp, tokens: Tokens) -> Request:
    """The request for new tokens; the vendor documents it as a GET with everything in the query."""
    return _token_request(app, grant_type="refresh_token", refresh_token=tokens.refresh_token)


def encode_exchange(app: OAuthApp, code: AuthorizationCode) -> Request:
    """The request for the first tokens."""
    return _token_request(app, grant_type="authorization_code", code=code.code)


def _token_request(app: OAuthApp, *, grant_type: str, **grant: str) -> Request:
    query = urlencode(
        {"grant_type": grant_type, "client_id": app.client_id, "client_secret": app.client_secret, **grant},
        errors="replace",
    )
    return Request("GET", f"{app.oauth_url}?{query}", _ASKING, None)


def _body(params: Params) -> tuple[bytes | Body | None, str]:
    """Parameters as JSON; with files among them, as one that is read in pieces."""
    try:
        return _to_json(params, _JSON)
    except _FileInsideError:
        pass
    files: list[Content] = []

    def plain(value: Any) -> Any:
        if isinstance(value, Content):
            files.append(value)
            return _GAP
        return plain_value(value)

    text, problem = _to_json(params, _encoder(plain))
    if text is None:
        return None, problem
    first, *others = text.split(_GAP.encode())
    parts: list[bytes | Content] = [first]
    for file, part in zip(files, others, strict=True):
        parts += [file, part]
    return Body(parts), ""


def _to_json(params: Params, encoder: json.JSONEncoder) -> tuple[bytes | None, str]:
    try:
        return encoder.encode(params).encode(), ""
    except _FileInsideError:
        raise
    except UnicodeEncodeError:
        return None, "a text holds half of a surrogate pair, which is no character"
    except (TypeError, ValueError, RecursionError) as error:
        return None, str(error)


class _FileInsideError(TypeError):
    """There is a file among the parameters."""


# Stands for a file in a text; nobody can know it and write it into another parameter.
_GAP = secrets.token_hex(16)


def plain_value(value: Any) -> Any:
    """What JSON or a query can hold, for a value that it can not: dates as ISO 8601, Decimals as text.

    :raises TypeError: for a type that has no such form.
    :raises ValueError: for a Decimal that is no finite number.
    """
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"{value} is not a number JSON knows")
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return list(value)
    if isinstance(value, Content):
        raise _FileInsideError("a file, which can not stand here")
    raise TypeError(f"a value of type {type(value).__name__}")


def _encoder(plain: Callable[[Any], Any]) -> json.JSONEncoder:
    return json.JSONEncoder(default=plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


_JSON = _encoder(plain_value)


def decode(method: str, response: Response) -> Reply:
    """The reply that an HTTP response carries.

    :raises Bitrix24Error: the class that the portal's error code, or failing one the status, stands for;
        :class:`OutcomeUnknownError` where a 2xx or 5xx answer can not be read, since the call may have been
        carried out.
    """
    payload = read_json(method, response)
    error = payload.get("error")
    # An empty or zero code is an error too, unless there is a result: PHP leaves empty things lying about.
    if error or ("result" not in payload and error is not None and error is not False):
        raise _portal_error(method, response, payload)
    if "result" not in payload or response.status >= 400:
        raise _unreadable(method, response, "the answer has no result")
    return Reply.of(payload["result"], payload.get("total"), payload.get("next"), payload.get("time"))


def decode_tokens(response: Response, before: Tokens) -> Tokens:
    """The renewed tokens that the authorisation server answered with.

    :raises Bitrix24Error: as :func:`decode`; the server's errors may come with HTTP 200.
    """
    payload = read_json("oauth/token", response)
    access, refresh = payload.get("access_token"), payload.get("refresh_token")
    if payload.get("error"):
        raise _portal_error("oauth/token", response, payload)
    if response.status >= 400 or not (isinstance(access, str) and isinstance(refresh, str)):
        raise _unreadable("oauth/token", response, "the answer has no tokens")
    if not (access and access.isprintable() and refresh and refresh.isprintable()):
        raise _unreadable("oauth/token", response, "the answer has no usable tokens")
    endpoint = payload.get("client_endpoint")
    return Tokens(access, refresh, endpoint if isinstance(endpoint, str) and endpoint else before.endpoint)


def _no_json(constant: str) -> Any:
    raise ValueError(f"JSON has no {constant}")


# Python's own takes NaN and Infinity for numbers. Integers of more digits than sys.get_int_max_str_digits allows, 4300
# by default, are refused: they take very long to read.
_DECODER = json.JSONDecoder(parse_constant=_no_json)


def read_json(method: str, response: Response) -> dict[str, Any]:
    """The JSON object of a response.

    :raises OutcomeUnknownError: if there is none in a 2xx or 5xx answer.
    :raises QueryLimitError: if there is none in a 429 answer.
    :raises UnexpectedReplyError: if there is none in any other.
    """
    try:
        payload = _DECODER.decode(response.body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        payload = None
    if isinstance(payload, dict):
        return payload
    raise _unreadable(method, response, "the answer is not the JSON object that a portal sends")


def _portal_error(method: str, response: Response, payload: Mapping[str, Any]) -> Bitrix24Error:
    code, description = error_text(payload)
    return error_for(code, description, method=method, status=response.status, retry_after=_retry_after(response))


def error_text(payload: Mapping[str, Any]) -> tuple[str, str]:
    """Code and description of an error, which is flat in REST 2 and an object in REST 3.0."""
    error = payload.get("error")
    if isinstance(error, Mapping):
        code, description = _text(error.get("code")), _text(error.get("message"))
        fields = error.get("validation")
        if isinstance(fields, list):
            details = [
                f"{_text(item.get('field'))}: {_text(item.get('message'))}".rstrip()
                for item in fields
                if isinstance(item, Mapping)
            ]
            description = "; ".join([description, *details]) if description else "; ".join(details)
    else:
        code, description = _text(error), _text(payload.get("error_description"))
    return code, description


def _text(value: Any) -> str:
    """A word of the portal's, in one line. Nothing else has a text: that of a deep list would overflow the stack."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    return " ".join(_UNPRINTABLE.sub(" ", str(value)).split())


# What would begin a line of its own in a log, colour a terminal, turn the direction of writing, or can not be written
# at all (half of a surrogate pair).
_UNPRINTABLE = re.compile("[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")


def _unreadable(method: str, response: Response, what: str) -> Bitrix24Error:
    kind = _text(response.headers.get("content-type", "").split(";")[0])[:100] or "no content type"
    text = f"{what} ({kind}, {len(response.body)} bytes)"
    status = response.status
    if status == 429:
        return QueryLimitError(text, method=method, status=status, retry_after=_retry_after(response))
    if status == 413:
        return UnexpectedReplyError(
            text,
            method=method,
            status=status,
            advice="The portal's web server, or a proxy before it, takes no request so large: send less, or have its "
            "limit raised.",
        )
    if status < 300 or status >= 500 or status == 408:
        return OutcomeUnknownError(text, method=method, status=status, retry_after=_retry_after(response))
    return UnexpectedReplyError(text, method=method, status=status)


def _retry_after(response: Response) -> float | None:
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdecimal() and len(value) < 7 else None


def _finished_at(spent: Mapping[str, Any]) -> float | None:
    finished = as_number(spent.get("finish"))
    if finished is not None:
        return finished
    try:
        moment = dt.datetime.fromisoformat(str(spent.get("date_finish")))
        return moment.timestamp() if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _integer(value: Any) -> int | None:
    number = as_number(value)
    return None if number is None else int(number)


def as_number(value: Any) -> float | None:
    """A number that the portal may send as a number or as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < 1e15 else None
