"""Looking for secrets wherever an error may carry them."""

from __future__ import annotations

import base64
import html
import json
import pickle
import re
import traceback
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from urllib.parse import quote, quote_plus

_TESTS = str(Path(__file__).resolve().parents[2])


@lru_cache(maxsize=256)
def forms(secret: str) -> set[str]:
    """The secret as it is, and as URLs, bodies and headers may hold it, by itself or inside of something longer."""
    raw = secret.encode()
    quoted = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    quoted |= {re.sub("%..", lambda found: found[0].lower(), text) for text in quoted}
    quoted |= {quote(text, safe="") for text in quoted}
    in_json = json.dumps(secret)[1:-1]
    return {secret, *quoted, in_json, in_json.replace("/", "\\/"), html.escape(secret), *_in_base64(raw)}


def _in_base64(raw: bytes) -> set[str]:
    """The letters that stay the same whatever stands before and after the secret; and the secret by itself."""
    coded = {base64.b64encode(raw).decode(), base64.b64encode(raw).decode().rstrip("=")}
    for before in range(3):
        clear, full = (base64.b64encode(bit * before + raw + bit * 3).decode() for bit in (b"\0", b"\xff"))
        coded.add("".join(one for one, other in zip(clear, full, strict=True) if one == other != "="))
    return coded | {text.replace("+", "-").replace("/", "_") for text in coded}


def found(text: str, secrets: Iterable[str]) -> list[str]:
    return [form for secret in secrets for form in forms(secret) if form in text]


def leaks(error: BaseException, secrets: Iterable[str]) -> list[str]:
    """The forms of secrets in the message, the repr, the pickle, and the traceback with the locals of every frame
    but the test's own; of the error and of all that stands in its chain, shown or not."""
    secrets = list(secrets)
    places = []
    for item in _chain(error):
        shown = traceback.TracebackException(type(item), item, _below_tests(item.__traceback__), capture_locals=True)
        places += [str(item), repr(item), repr(item.args), repr(vars(item)), "".join(shown.format())]
        places += [repr(getattr(item, "__notes__", None))]
    places.append(pickle.dumps(error).decode("latin-1"))
    return found("\n".join(places), secrets)


def leaks_of_ours(error: BaseException, secrets: Iterable[str]) -> list[str]:
    """The forms of secrets in the locals of this package's frames, for what is raised in the midst of a library, whose
    own frames are not in our hands."""
    frames = []
    trace = error.__traceback__
    while trace is not None:
        if "airflow_provider_b24" in trace.tb_frame.f_code.co_filename:
            frames.append({name: repr(value) for name, value in trace.tb_frame.f_locals.items()})
        trace = trace.tb_next
    assert frames
    return found(repr(frames), secrets)


def _chain(error: BaseException) -> Iterator[BaseException]:
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        item = waiting.pop()
        if item is not None and id(item) not in seen:
            seen.add(id(item))
            yield item
            waiting += [item.__cause__, item.__context__]


def _below_tests(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the first frame that is not of a test (or of an event loop that a test runs)."""
    while trace is not None and not _is_ours(trace):
        trace = trace.tb_next
    return trace


def _is_ours(trace: TracebackType) -> bool:
    name = trace.tb_frame.f_code.co_filename
    return not name.startswith(_TESTS) and "asyncio" not in name
