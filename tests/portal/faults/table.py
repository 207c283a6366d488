"""The tables of docs/faults.md, from what the clients do.

``python -m tests.portal.faults.table --write`` writes them anew; the words around them are written by hand.
"""

from __future__ import annotations

import dataclasses
import logging
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from airflow_provider_b24.chat.typing import SIGNAL_PATIENCE, Light
from airflow_provider_b24.hooks.failure import no_vain_retries
from airflow_provider_b24.operators.deferral import DefersAtLimit
from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.credentials import MemoryTokenStore, OAuthApp, Tokens, Webhook
from airflow_provider_b24.rest.errors import Bitrix24Error
from airflow_provider_b24.rest.pacing import PLANS
from airflow_provider_b24.rest.peer import Patience, Peer
from airflow_provider_b24.rest.protocol import Call, Priority
from tests.portal.faults.cases import CASES, DIALOG, READ, SIGNAL, WRITE, Case, Ground, World
from tests.portal.rest.drivers import QUICK, MakeDriver, SyncDriver
from tests.unit.rest.clocks import FakeClock

DOCUMENT = Path(__file__).parents[3] / "docs" / "faults.md"

KINDS = ("read", "write", "typing")
CALLS = {
    "read": (Call(READ, {"DIALOG_ID": DIALOG}), Patience()),
    "write": (Call(WRITE, {"DIALOG_ID": DIALOG, "MESSAGE": "Stock: 12"}), Patience()),
    "typing": (Call(SIGNAL, {"DIALOG_ID": DIALOG}, priority=Priority.TYPING), SIGNAL_PATIENCE),
    "first signal": (Call(SIGNAL, {"DIALOG_ID": DIALOG}), Patience()),
}


@dataclass(frozen=True)
class Outcome:
    """What came of a call.

    :ivar requests: how often it, or what it needed, was sent or at least tried to.
    :ivar waits: the seconds that were waited.
    :ivar carried_out: how often it took effect in the portal.
    """

    requests: int
    waits: tuple[float, ...]
    error: Bitrix24Error | None
    carried_out: int


@dataclass(frozen=True)
class Met:
    """A fault that stays, and the same that passes after the first time."""

    stays: Outcome
    passes: Outcome


def meet(world: World, case: Case, kind: str, driver: MakeDriver) -> Met:
    """Let a call meet a fault, twice."""
    return Met(*(_outcome(world, case, kind, driver, times) for times in (None, 1)))


def _outcome(world: World, case: Case, kind: str, driver: MakeDriver, times: int | None) -> Outcome:
    call, patience = CALLS[kind]
    world.clock = clock = FakeClock()
    world.portal.clear()
    tokens = Tokens(*world.portal.access.issue())
    with case.meets(world, times) as ground:
        peer = _peer(world, case, ground, tokens)
        with driver(peer, ground.settings) as made:
            if ground.before is not None:
                made.call(call)
                clock.now += ground.before
            before = ground.carried_out()
            sent = _requests(made.client)

            def relieve() -> None:
                # Whoever is late from now on is not to be cut off.
                made.client.settings = dataclasses.replace(ground.settings, read_timeout=QUICK.read_timeout)
                if ground.relief is not None:
                    ground.relief()

            clock.waits.clear()
            clock.on_sleep = relieve if times else None
            error: Bitrix24Error | None = None
            try:
                # A signal's own time-out is not awaited here in earnest.
                made.call(call, patience=dataclasses.replace(patience, answer=None))
            except Bitrix24Error as caught:
                error = caught
        return Outcome(len(sent), tuple(clock.waits), error, ground.carried_out() - before)


def _requests(client: Any) -> list[object]:
    """What the client sends from now on, or tries to."""
    sent: list[object] = []

    def noted(exchange: Callable[..., object], request: object, *rest: object) -> object:
        sent.append(request)
        return exchange(request, *rest)

    # The asynchronous one has another renew its tokens.
    for one in filter(None, (client, getattr(client, "_renewer", None))):
        one._exchange = partial(noted, one._exchange)
    return sent


def _peer(world: World, case: Case, ground: Ground, tokens: Tokens) -> Peer:
    """Whom the case befalls: in the cloud, with the standard plan."""
    access, address = world.portal.access, Address.of_url(ground.url)
    plan = PLANS["standard"]
    assert plan is not None
    options: dict[str, Any] = {"clock": world.clock, "jitter": lambda: 0.5, "plan": plan}
    if not case.application:
        return Peer(Webhook(address, str(access.user_id), access.webhook_code), **options)
    app = OAuthApp(address, access.client_id, access.client_secret, world.portal.oauth_url)
    return Peer(app, tokens=MemoryTokenStore(tokens), authorise="airflow bitrix24 authorize CONN_ID", **options)


# in words

Row = tuple[str, ...]
Rows = dict[tuple[str, str], Row]
"""What the document says, by the name of the case and the kind of the call."""

_TABLES = (
    ("Requests", "Waits (s)", "Ends with", "Carried out?", "The task", "If it happens once"),
    ("What the error says to do",),
)
_CELLS = sum(len(columns) for columns in _TABLES)


def row(kind: str, met: Met) -> Row:
    """What became of a call, in the words of the document."""
    stays, passes = met.stays, met.passes
    error = stays.error
    late = f"answer, after {_number(sum(passes.waits))} s" if sum(passes.waits) else "answer"
    return (
        str(stays.requests),
        _waits(stays.waits),
        f"`{type(error).__name__}`" if error else "answer",
        "perhaps" if error and error.effect_unknown else "no" if error else "yes",
        _task(kind, error),
        late if passes.error is None else "the same",
        error.advice if error else "",
    )


def _waits(seconds: tuple[float, ...]) -> str:
    shown = [_number(one) for one in seconds]
    if len(shown) < 5:
        return ", ".join(shown) or "–"
    if len(set(shown)) == 1:
        return f"{len(shown)} × {shown[0]}"
    return f"{', '.join(shown[:3])} … {shown[-1]}, {_number(sum(seconds))} in all"


def _number(seconds: float) -> str:
    return f"{round(seconds, 1):g}"


def _task(kind: str, error: Bitrix24Error | None) -> str:
    """What Airflow, or who keeps the indicator lit, makes of it."""
    if kind == "typing":
        light = Light(DIALOG)
        if error is None:
            light.sent(0.0)
        else:
            light.failed(0.0, error)
        pause = light.wait(0.0)
        return "goes on, no more signals" if pause is None else f"goes on, next signal in {_number(pause)} s"
    try:
        with DefersAtLimit(task_id="task").slot_given_back(), no_vain_retries():
            if error is not None:
                raise error
    except TaskDeferred:
        return "is deferred"
    except AirflowFailException:
        return "fails at once"
    except Bitrix24Error:
        return "is retried"
    return "goes on"


# the document


def written(text: str) -> Rows:
    """What the tables of a document say."""
    rows: Rows = {}
    names: list[str] = []
    for line in text.splitlines():
        first, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        kinds = KINDS if cells[:1] == ["any"] else cells[0].split(", ") if cells else ()
        if line.startswith("|") and set(kinds) <= set(KINDS):
            names = first.split("<br>") if first else names
            for key in product(names, kinds):
                rows[key] = rows.get(key, ()) + tuple(cells[1:])
    return {key: cells + ("",) * (_CELLS - len(cells)) for key, cells in rows.items()}


def document(text: str, rows: Rows) -> str:
    """The document with its tables written anew; what fares alike shares a line."""

    def tables(place: re.Match[str]) -> str:
        names = [case.name for case in CASES if case.group == place[2]]
        parts, first = [], 0
        for columns in _TABLES:
            head = f"| Fault | Call | {' | '.join(columns)} |"
            lines = _lines(names, {key: cells[first : first + len(columns)] for key, cells in rows.items()})
            parts.append("\n".join([head, "|---" * (len(columns) + 2) + "|", *lines]))
            first += len(columns)
        return "\n\n".join([place[1], *parts, place[4]])

    return _PLACE.sub(tables, text)


def _lines(names: list[str], rows: Rows) -> Iterator[str]:
    alike: dict[tuple[Row, ...], list[str]] = {}
    for name in names:
        alike.setdefault(tuple(rows[name, kind] for kind in KINDS), []).append(name)
    for contents, group in alike.items():
        first = "<br>".join(group)
        for content in filter(any, dict.fromkeys(contents)):
            kinds = [kind for kind, own in zip(KINDS, contents, strict=True) if own == content]
            shown = "any" if len(kinds) == len(KINDS) else ", ".join(kinds)
            yield f"| {first} | {shown} | {' | '.join(content)} |"
            # The lines below it are about the same faults.
            first = ""


_PLACE = re.compile(r"(<!-- faults: ([a-z-]+) -->)\n(.*?)(<!-- end -->)", re.DOTALL)


def main() -> None:
    logging.disable()
    with World() as world:
        rows = {(case.name, kind): row(kind, meet(world, case, kind, SyncDriver)) for case in CASES for kind in KINDS}
    text = document(DOCUMENT.read_text(encoding="utf-8"), rows)
    if sys.argv[1:] == ["--write"]:
        DOCUMENT.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
