"""A message that several keep up to date: posted once, edited seldom, and what is newest is shown in the end."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from airflow_provider_b24.chat.living_message import Living, Record, show
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.rest.errors import Bitrix24Error
from airflow_provider_b24.rest.peer import Peer as RestPeer
from airflow_provider_b24.rest.steps import Send
from airflow_provider_b24.testing import Fault
from tests.unit.rest.clocks import FakeClock

CHAT = "chat2935"
UPDATE = "im.message.update"


class Shared:
    """A store as several processes see it: texts, and nobody has the other's objects."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def get(self, key: str) -> Any:
        return json.loads(self.texts.get(key, "null"))

    def __setitem__(self, key: str, value: Any) -> None:
        self.texts[key] = json.dumps(value)

    def forget(self, key: str) -> None:
        self.texts.pop(key, None)


@dataclass(frozen=True)
class Step:
    """A number that only grows, and shows as it is."""

    number: int
    final: bool = False

    def add(self, known: Mapping[str, Any], /) -> dict[str, Any] | None:
        if known.get("over"):
            return dict(known) if self.final else None
        if known.get("number", 0) > self.number:
            return None
        return {"number": self.number, "over": self.final}

    def render(self, known: Mapping[str, Any], /, *, anew: bool) -> str:
        return f"{'new ' if anew else ''}step {known['number']}{', over' if known['over'] else ''}"


class Peer:
    """One of the processes."""

    def __init__(self, store: Shared, who: str, clock: FakeClock | None = None, *, asynchronous: bool = False) -> None:
        self.hook = Bitrix24Hook(clock=clock)
        self.who = who
        self.living = Living(store, "run", "runs", CHAT, interval=3.0)
        self.asynchronous = asynchronous

    def show(self, number: int, *, final: bool = False, wait: bool = False, insist: float = 0.0) -> float | None:
        told = partial(show, living=self.living, change=Step(number, final), who=self.who, wait=wait, insist=insist)
        if not self.asynchronous:
            with self.hook:
                return self.hook.get_conn().run(told)

        async def ashow() -> float | None:
            async with self.hook:
                return await (await self.hook.aget_conn()).run(told)

        return asyncio.run(ashow())


@pytest.fixture
def store() -> Shared:
    return Shared()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def peer(request, portal, store, clock) -> Peer:
    return Peer(store, "one", clock, asynchronous=request.param)


def texts(portal) -> list[str]:
    return [message.text for message in portal.messages(CHAT) if not message.deleted]


def calls(portal, method: str) -> int:
    return [call.method for call in portal.calls].count(method)


def test_posted_once_and_edited_to_the_end(peer, portal, store, clock):
    for number in range(1, 5):
        peer.show(number)
        clock.sleep(3)
        assert texts(portal) == [f"{'new ' if number == 1 else ''}step {number}"]
    peer.show(5, final=True)
    assert texts(portal) == ["step 5, over"]
    assert (calls(portal, "im.message.add"), calls(portal, UPDATE)) == (1, 4)


def test_nothing_is_left_but_the_record_and_a_late_or_second_call_does_nothing(peer, portal, store, clock):
    peer.show(1)
    clock.sleep(601)
    peer.show(2, final=True)
    assert sorted(store.texts) == ["run", "runs"]
    sent = len(portal.calls)
    clock.sleep(60)
    peer.show(2, final=True)
    peer.show(1)
    assert len(portal.calls) == sent
    assert texts(portal) == ["step 2, over"]


def test_the_end_alone_is_a_message(peer, portal, store):
    peer.show(7, final=True)
    assert texts(portal) == ["new step 7, over"]


def test_who_still_waits_to_post_finds_that_it_was_posted(peer, portal, store, clock):
    """The run is over before one of those that began it has seen that another was faster."""
    other = Peer(store, "two", clock)

    def begins_late(rest: RestPeer) -> Generator[Any, Any, float | None]:
        told = show(rest, living=peer.living, change=Step(2), who="one")
        outcome, first = None, True
        while True:
            try:
                step = told.send(outcome)
            except StopIteration as stop:
                return stop.value
            outcome = yield step
            if first:
                # He has just read that there is no record.
                first = False
                other.show(9, final=True)

    with peer.hook:
        peer.hook.get_conn().run(begins_late)
    assert texts(portal) == ["new step 9, over"]


def test_what_comes_too_early_is_promised(peer, portal, store, clock):
    peer.show(1)
    posted = clock.time()
    clock.sleep(1)
    assert peer.show(2) == posted + 3
    assert Peer(store, "two", clock).show(3) is None, "the first one will show it"
    assert texts(portal) == ["new step 1"]
    clock.sleep(2)
    # It is shown with what the second one has said.
    peer.show(2)
    assert texts(portal) == ["new step 1"], "step 2 is outdated"
    assert peer.show(3) is None
    assert texts(portal) == ["step 3"]


def test_a_promise_that_is_not_kept_is_not_relied_on_for_long(peer, portal, store, clock):
    peer.show(1)
    peer.show(2)
    clock.sleep(3)
    assert Peer(store, "two", clock).show(3) is None
    assert texts(portal) == ["step 3"]


def test_a_promise_by_a_clock_that_goes_wrong_is_none(peer, portal, store, clock):
    peer.show(1)
    store["run"] = {
        **store.get("run"),
        "promised": clock.time() + 3600,
        "promiser": "two",
        "edited": clock.time() + 3600,
    }
    assert peer.show(2) == clock.time() + 3
    clock.sleep(3)
    store["run"] = {**store.get("run"), "edited": clock.time() - 3}
    peer.show(2)
    assert texts(portal) == ["step 2"]


def test_who_waits_shows_it_before_it_ends(peer, portal, clock):
    peer.show(1)
    clock.sleep(1)
    assert peer.show(2, wait=True) is None
    assert texts(portal) == ["step 2"]
    assert clock.waits[-1] == pytest.approx(2)


def test_the_end_does_not_wait(peer, portal, clock):
    peer.show(1)
    before = len(clock.waits)
    peer.show(2, final=True)
    assert texts(portal) == ["step 2, over"]
    assert len(clock.waits) == before


def test_an_edit_that_another_overtook_is_put_right(peer, portal, store, clock):
    """While the first one's edit is on its way, the second shows the end; then the edit arrives."""
    peer.show(1)
    clock.sleep(3)
    other = Peer(store, "two", clock)

    def overtaken(rest: RestPeer) -> Generator[Any, Any, float | None]:
        told = show(rest, living=peer.living, change=Step(2), who="one")
        outcome, late = None, False
        while True:
            try:
                step = told.send(outcome)
            except StopIteration as stop:
                return stop.value
            if isinstance(step, Send) and UPDATE in step.request.url and not late:
                late = True
                other.show(9, final=True)
                assert texts(portal) == ["step 9, over"]
            outcome = yield step

    with peer.hook:
        peer.hook.get_conn().run(overtaken)
    assert [call.params["MESSAGE"] for call in portal.calls if call.method == UPDATE][:2] == ["step 9, over", "step 2"]
    assert texts(portal) == ["step 9, over"]


def test_several_that_start_at_once_post_one(portal, store):
    barrier = threading.Barrier(4)

    def begin(number: int) -> None:
        one = Peer(store, f"process {number}")
        barrier.wait()
        one.show(number, wait=False)

    workers = [threading.Thread(target=begin, args=(number,)) for number in range(1, 5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert len(texts(portal)) == 1
    Peer(store, "last").show(9, final=True)
    assert texts(portal) == ["step 9, over"]


@pytest.mark.parametrize("kind", ["reset_after", "html_502", "truncated_json"])
def test_a_lost_answer_costs_nothing(peer, portal, clock, kind):
    portal.faults.add(Fault(kind, "im.message.add", after_effect=True))
    peer.show(1)
    clock.sleep(3)
    portal.faults.add(Fault(kind, UPDATE, after_effect=True))
    peer.show(2)
    assert texts(portal) == ["step 2"]


def test_an_edit_that_failed_is_made_up_for(peer, portal, clock):
    peer.show(1)
    clock.sleep(3)
    fault = portal.faults.add(Fault("html_502", UPDATE, times=None))
    with pytest.raises(Bitrix24Error):
        peer.show(2)
    portal.faults.remove(fault)
    clock.sleep(3)
    peer.show(2)
    assert texts(portal) == ["step 2"]


def test_an_end_that_could_not_be_shown_is_shown_by_the_second_call(peer, portal, store, clock):
    peer.show(1)
    fault = portal.faults.add(Fault("html_502", UPDATE, times=None))
    with pytest.raises(Bitrix24Error):
        peer.show(2, final=True)
    portal.faults.remove(fault)
    peer.show(2, final=True)
    assert texts(portal) == ["step 2, over"]


@pytest.mark.parametrize("begun", [True, False], ids=["edited", "posted"])
def test_the_end_is_tried_until_the_portal_is_back(peer, portal, clock, begun):
    if begun:
        peer.show(1)
    portal.faults.add(Fault("html_502", times=None))
    down = clock.now

    def back() -> None:
        if clock.now > down + 20:
            portal.faults.clear()

    clock.on_sleep = back
    peer.show(2, final=True, insist=30)
    assert texts(portal) == ["step 2, over" if begun else "new step 2, over"]


def test_and_given_up_after_a_time(peer, portal, clock):
    peer.show(1)
    portal.faults.add(Fault("html_502", times=None))
    begun = clock.now
    with pytest.raises(Bitrix24Error):
        peer.show(2, final=True, insist=30)
    assert 20 < clock.now - begun < 40


def test_what_is_refused_is_not_insisted_on(peer, portal, clock):
    peer.show(1)
    portal.faults.add(Fault("error", UPDATE, times=None, code="ACCESS_ERROR", status=400))
    sent = len(portal.calls)
    with pytest.raises(Bitrix24Error):
        peer.show(2, final=True, insist=30)
    assert len(portal.calls) == sent + 1


def fail_to_end(peer, portal) -> None:
    peer.show(1)
    fault = portal.faults.add(Fault("html_502", UPDATE, times=None))
    with pytest.raises(Bitrix24Error):
        peer.show(2, final=True)
    portal.faults.remove(fault)


def test_an_end_that_could_not_be_shown_is_shown_by_whoever_comes_late(peer, portal, store, clock):
    fail_to_end(peer, portal)
    assert Peer(store, "two", clock).show(1) is None
    assert texts(portal) == ["step 2, over"]
    sent = len(portal.calls)
    peer.show(1)
    assert len(portal.calls) == sent, "it is shown"


def test_and_by_the_next_of_its_kind(peer, portal, store):
    fail_to_end(peer, portal)
    peer.living = Living(store, "next", "runs", CHAT)
    peer.show(1)
    assert texts(portal) == ["step 2, over", "new step 1"]
    peer.living = Living(store, "another", "runs", CHAT)
    edits = calls(portal, UPDATE)
    peer.show(1)
    assert calls(portal, UPDATE) == edits, "what goes on is left alone, and what is over too"


def test_and_where_who_tried_was_killed(peer, portal, store, clock):
    peer.show(1)

    def killed(rest: RestPeer) -> Generator[Any, Any, None]:
        told = show(rest, living=peer.living, change=Step(2, final=True), who="one")
        outcome = None
        while True:
            step = told.send(outcome)
            if isinstance(step, Send) and UPDATE in step.request.url:
                return
            outcome = yield step

    with peer.hook:
        peer.hook.get_conn().run(killed)
    late = Peer(store, "two", clock)
    late.show(1)
    assert texts(portal) == ["new step 1"], "he may be about to"
    clock.sleep(121)
    late.show(1)
    assert texts(portal) == ["step 2, over"]


def refuse_edits(portal) -> None:
    portal.faults.add(Fault("error", UPDATE, times=1, code="CANT_EDIT_MESSAGE", status=403))


def test_a_message_whose_time_is_over_is_followed_by_a_new_one(peer, portal, store, clock):
    peer.show(1)
    clock.sleep(3600)
    refuse_edits(portal)
    peer.show(2)
    assert texts(portal) == ["new step 1", "new step 2"]
    first = portal.messages(CHAT)[0]
    assert portal.calls[-1].params["REPLY_ID"] == first.id
    clock.sleep(3)
    peer.show(3, final=True)
    assert texts(portal) == ["new step 1", "step 3, over"]
    record = Record.of_json(store.get("run"))
    assert record is not None
    assert record.former == (first.id,)


def test_but_not_for_every_edit(peer, portal, clock):
    peer.show(1)
    clock.sleep(3)
    refuse_edits(portal)
    peer.show(2)
    assert texts(portal) == ["new step 1"]
    clock.sleep(3)
    refuse_edits(portal)
    peer.show(3, final=True)
    assert texts(portal) == ["new step 1", "new step 3, over"]


def test_a_message_that_was_deleted_comes_again(peer, portal, clock):
    peer.show(1)
    portal.messages(CHAT)[0].deleted = True
    peer.show(2, final=True)
    assert texts(portal) == ["new step 2, over"]


def test_records_do_not_pile_up(peer, portal, store, clock):
    for number in range(3):
        peer.living = Living(store, f"run{number}", "runs", CHAT)
        peer.show(1, final=True)
        clock.sleep(50_000)
    left = [key for key in sorted(store.texts) if not key.endswith("/claim")]
    assert left == ["run1", "run1_0", "run2", "run2_0", "runs"]


def test_of_many_the_newest_are_kept(peer, portal, store, clock):
    for number in range(53):
        store[f"old{number}"] = {"former": []}
        store["runs"] = {**(store.get("runs") or {}), f"old{number}": [clock.time() - 53 + number, True]}
    peer.show(1, final=True)
    left = [key for key in store.texts if key.startswith("old")]
    assert left == [f"old{number}" for number in range(4, 53)]


def test_a_run_whose_end_nobody_saw_is_forgotten_too(peer, portal, store, clock):
    peer.show(1)
    assert sorted(store.texts) == ["run", "run_0", "run_0/claim", "runs"]
    clock.sleep(31 * 86_400)
    peer.living = Living(store, "next", "runs", CHAT)
    peer.show(1, final=True)
    assert not [key for key in store.texts if key.startswith("run_") or key == "run"]
