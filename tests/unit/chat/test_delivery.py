"""Exactly once: a task that posts is stopped at every step, with every fault, and tried again."""

from __future__ import annotations

import itertools
import json
import random
from contextlib import suppress
from typing import Any

import pytest

from airflow_provider_b24.chat.delivery import Memory, recall
from airflow_provider_b24.rest.errors import (
    AccessDeniedError,
    DeliveryUnknownError,
    NotSentError,
    OperatingLimitError,
    RequestRefusedError,
)
from tests.unit.chat.dialog import (
    BOT,
    FAULTS,
    OWNER,
    PORTAL_SECONDS,
    STORE_SECONDS,
    TEXT,
    Dialog,
    Killed,
    Side,
    carry_out,
    posting,
    run,
)
from tests.unit.rest.simulation import error, reply

MODES = {"user": {}, "bot": {"as_bot": True}}
AUTHOR = {"user": OWNER, "bot": BOT}
# The step of a first delivery that sends the message.
AT_THE_SEND = 9


def new_store() -> dict[str, str]:
    return {}


def lasting(store: dict[str, str], **more: Any) -> Memory:
    # What a store keeps has been JSON in between.
    return Memory(JsonStore(store), "bitrix24/message/report", lasting=True, **more)


class JsonStore:
    def __init__(self, kept: dict[str, str]) -> None:
        self.kept = kept

    def get(self, key: str) -> Any:
        return json.loads(self.kept[key]) if key in self.kept else None

    def __setitem__(self, key: str, value: Any) -> None:
        assert value is not None
        self.kept[key] = json.dumps(value)


def killed_at_every_step(mode: str, fault: str):
    """How it goes when the first try is killed at each of its steps: the dialog, the store, and where it was."""
    for carried_out in (False, True):
        for step in itertools.count():
            dialog, store = Dialog([fault]), new_store()
            dialog.write(OWNER, TEXT)
            try:
                run(dialog, posting(dialog, lasting(store), **MODES[mode]), kill_at=step, carried_out=carried_out)
            except Killed:
                yield dialog, store, f"killed {'after' if carried_out else 'before'} step {step}"
            else:
                assert step > 5
                break


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("later", [0.0, 30.0, 300.0])
def test_killed_at_any_step_and_tried_again(mode, fault, later):
    for dialog, store, where in killed_at_every_step(mode, fault):
        dialog.clock.now += later
        message_id = run(dialog, posting(dialog, lasting(store), **MODES[mode]))
        mine = [message["id"] for message in dialog.of(AUTHOR[mode])[mode == "user" :]]
        assert mine == [message_id], where


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("faults", [("late", "reset before"), ("502 before", "502 late"), ("very late", "none")])
def test_killed_twice_at_any_two_steps(mode, faults):
    for first in range(0, 30, 2):
        for second, carried_out in itertools.product(range(0, 30, 3), (False, True)):
            dialog, store = Dialog(list(faults)), new_store()
            outcome = None
            for step in (first, second, None):
                try:
                    outcome = run(
                        dialog,
                        posting(dialog, lasting(store), **MODES[mode]),
                        kill_at=step,
                        carried_out=carried_out,
                    )
                except Killed:
                    continue
            assert [message["id"] for message in dialog.of(AUTHOR[mode])] == [outcome], (first, second, carried_out)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_lost_answer_is_settled_at_once(mode, fault):
    dialog = Dialog([fault])
    message_id = run(dialog, posting(dialog, Memory(), **MODES[mode]))
    assert [message["id"] for message in dialog.of(AUTHOR[mode])] == [message_id]
    waited = dialog.clock.now
    if FAULTS[fault][0] is None and fault not in ("not reached", "refused"):
        assert 90 < waited < 100, "sent again, but only when the first can not come any more"
    else:
        assert waited < (75 if fault == "very late" else 5)


@pytest.mark.parametrize("mode", MODES)
def test_nothing_but_lost_answers(mode):
    dialog = Dialog(["502 before"] * 3)
    failed = run(dialog, posting(dialog, Memory(), **MODES[mode]))
    assert isinstance(failed, NotSentError)
    assert "sent 3 times without a usable answer; the dialog shows that nothing was posted" in str(failed)
    assert not failed.permanent
    assert dialog.of(AUTHOR[mode]) == []
    assert run(dialog, posting(dialog, Memory(), **MODES[mode]))


def test_a_second_delivery_sends_nothing():
    dialog, store = Dialog(), new_store()
    message_id = run(dialog, posting(dialog, lasting(store)))
    assert run(dialog, posting(dialog, lasting(store))) == message_id
    assert run(dialog, posting(dialog, lasting(store), dialog_id="deal:1663")) == message_id
    assert run(dialog, recall(dialog.peer(), lasting(store))) == message_id
    assert dialog.posts == 1


def test_a_cleared_task_posts_anew_unless_told_otherwise():
    dialog, store = Dialog(), new_store()
    first = run(dialog, posting(dialog, lasting(store, life="2")))
    assert run(dialog, posting(dialog, lasting(store, life="3", any_life=True))) == first
    begun = dialog.clock.now
    second = run(dialog, posting(dialog, lasting(store, life="4")))
    assert second != first
    # The claim of its former life is a moment old, and holds nobody up.
    assert dialog.clock.now - begun < 5
    assert [message["id"] for message in dialog.of()] == [first, second]


def test_two_messages_of_one_task():
    dialog, kept = Dialog(), new_store()
    memories = [Memory(JsonStore(kept), key, lasting=True) for key in ("summary", "details")]
    ids = [run(dialog, posting(dialog, memory)) for memory in memories]
    assert [run(dialog, posting(dialog, memory)) for memory in memories] == ids
    assert len(dialog.of()) == 2


def test_what_is_kept_is_neither_the_text_nor_a_secret():
    dialog, store = Dialog(), new_store()
    for as_bot in (False, True):
        for step in range(20):
            with suppress(Killed):
                run(dialog, posting(dialog, lasting(store), as_bot=as_bot), kill_at=step)
            for text in ("Revenue", "by hand", "c0dec0de", "token"):
                assert text not in json.dumps(store)
            assert len(json.dumps(store)) < 2500
            store.clear()


@pytest.mark.parametrize(
    ("parameters", "alter"),
    [
        ({"message": "  a & b <c> \"d\" 'e'  "}, lambda text: "a &amp; b &lt;c&gt; &quot;d&quot; &#039;e&#039;"),
        ({"message": "one\r\ntwo \n three[BR]four"}, lambda text: "one<br />two[br]three\nfour"),
        ({"message": "one\n\ntwo"}, lambda text: text),
        ({"message": "Отчёт 📊 готов"}, str.strip),
    ],
)
def test_changes_that_portals_make(parameters, alter):
    dialog = Dialog(["reset after"], alter=alter)
    message_id = run(dialog, posting(dialog, Memory(), **parameters))
    assert [message["id"] for message in dialog.of()] == [message_id]


@pytest.mark.parametrize(
    ("text", "alter"),
    [
        ("[USER=5][/USER], look", lambda text: "[USER=5]Anna[/USER], look"),
        ("done :)", lambda text: "done"),
        ("a", lambda text: "[b]A[/b]"),
    ],
)
def test_a_change_that_nobody_knows_is_not_guessed_at(text, alter):
    dialog, store = Dialog(["reset after"], alter=alter), new_store()
    failed = run(dialog, posting(dialog, lasting(store), message=text))
    assert isinstance(failed, DeliveryUnknownError)
    assert failed.permanent
    assert failed.effect_unknown
    assert "a message was sent to chat2935 at 2026-" in str(failed)
    assert "may be it, but is not quite the same" in str(failed)
    assert "mark the task as success; if not, clear the task" in str(failed)
    assert len(dialog.of()) == 1
    assert isinstance(run(dialog, posting(dialog, lasting(store), message=text)), DeliveryUnknownError)
    assert dialog.posts == 1
    assert run(dialog, posting(dialog, lasting(store, life="next"), message="another"))


def test_the_same_text_from_before_is_not_taken_for_it():
    dialog = Dialog(["reset before"])
    for _ in range(3):
        dialog.write(OWNER, TEXT)
    message_id = run(dialog, posting(dialog, Memory()))
    assert len(dialog.of()) == 4
    assert message_id == dialog.of()[-1]["id"]


def test_the_same_text_of_another_author_is_not_taken_for_it():
    dialog = Dialog(["502 late"])
    dialog.clock.on_sleep = None
    task = posting(dialog, Memory())
    dialog.write(3, TEXT)
    message_id = run(dialog, task)
    assert [message["id"] for message in dialog.of()] == [message_id]


@pytest.mark.parametrize("others", [49, 50, 51, 120, 500])
@pytest.mark.parametrize("effect", [False, True])
def test_a_busy_dialog_is_read_to_its_end(others, effect):
    dialog, store = Dialog(["reset after" if effect else "reset before"]), new_store()
    dialog.write(3, "first")
    with pytest.raises(Killed):
        run(dialog, posting(dialog, lasting(store)), kill_at=AT_THE_SEND, carried_out=True)
    assert dialog.posts == 1
    for number in range(others):
        dialog.write(3, f"text {number}")
    dialog.clock.now += 300
    message_id = run(dialog, posting(dialog, lasting(store)))
    assert [message["id"] for message in dialog.of()] == [message_id]
    assert dialog.posts == 2 - effect


def test_too_many_messages_since():
    dialog, store = Dialog(["reset before"]), new_store()
    with pytest.raises(Killed):
        run(dialog, posting(dialog, lasting(store)), kill_at=AT_THE_SEND, carried_out=True)
    for number in range(3000):
        dialog.write(3, f"text {number}")
    dialog.clock.now += 300
    failed = run(dialog, posting(dialog, lasting(store)))
    assert isinstance(failed, DeliveryUnknownError)
    assert "more than 1960 messages" in str(failed)


def test_the_message_before_it_was_deleted_meanwhile():
    dialog, store = Dialog(["reset after"]), new_store()
    dialog.write(3, "first")
    with pytest.raises(Killed):
        run(dialog, posting(dialog, lasting(store)), kill_at=AT_THE_SEND, carried_out=True)
    del dialog.messages[0]
    message_id = run(dialog, posting(dialog, lasting(store)))
    assert [message["id"] for message in dialog.of()] == [message_id]


ATTACH = [{"MESSAGE": "[b]12[/b] won"}, {"GRID": [{"NAME": "Deals", "VALUE": 40}]}]


def test_an_attachment_without_a_text():
    dialog = Dialog(["reset after"])
    message_id = run(dialog, posting(dialog, Memory(), message=None, attach=ATTACH))
    assert [message["id"] for message in dialog.of()] == [message_id]
    assert dialog.posts == 1


def test_an_attachment_that_does_not_come_back():
    dialog = Dialog(["reset after"])
    task = posting(dialog, Memory(), message=None, attach=ATTACH)
    original = dialog._message
    dialog._message = lambda author, text, uuid, params: original(author, text, uuid, {})  # type: ignore[method-assign]
    assert isinstance(run(dialog, task), DeliveryUnknownError)
    assert dialog.posts == 1


def test_one_text_with_another_attachment_is_another_message():
    dialog, store = Dialog(["reset before"]), new_store()
    with pytest.raises(Killed):
        run(dialog, posting(dialog, lasting(store), attach=ATTACH), kill_at=AT_THE_SEND, carried_out=True)
    dialog.write(OWNER, TEXT, ATTACH=[{"MESSAGE": "Something else"}])
    assert isinstance(run(dialog, posting(dialog, lasting(store), attach=ATTACH)), DeliveryUnknownError)


def test_a_system_message_has_no_author_and_the_name_of_the_application():
    for as_bot in (False, True):
        dialog = Dialog(["reset after"], alter=lambda text: f"[b]Reports[/b]\n{text}")
        message_id = run(dialog, posting(dialog, Memory(), as_bot=as_bot, system=True))
        assert [message["id"] for message in dialog.of(0)] == [message_id]


def test_of_two_bots_messages_with_one_text_it_finds_its_own():
    dialog = Dialog(["none", "reset before"])
    run(dialog, posting(dialog, Memory(seed="another task"), as_bot=True))
    second = run(dialog, posting(dialog, Memory(seed="this task"), as_bot=True))
    assert [message["id"] for message in dialog.of(BOT)][1:] == [second]
    assert dialog.posts == 3


def test_a_portal_that_does_not_give_the_uuid_back():
    dialog = Dialog(["reset after"], uuid_comes_back=False)
    assert isinstance(run(dialog, posting(dialog, Memory(), as_bot=True)), DeliveryUnknownError)
    assert dialog.posts == 1


def test_a_bots_private_talk_can_not_be_read():
    dialog = Dialog(["reset after"])
    failed = run(dialog, posting(dialog, Memory(), as_bot=True, dialog_id="13"))
    assert isinstance(failed, DeliveryUnknownError)
    assert "can not read a bot's private talks" in str(failed)
    assert run(Dialog(), posting(Dialog(), Memory(), as_bot=True, dialog_id="13"))


def test_a_dialog_that_can_not_be_read():
    dialog = Dialog(["reset after"], unreadable=error(403, "ACCESS_ERROR"))
    failed = run(dialog, posting(dialog, Memory()))
    assert isinstance(failed, DeliveryUnknownError)
    assert "the dialog could not be read" in str(failed)
    dialog = Dialog(unreadable=error(403, "ACCESS_ERROR"))
    assert run(dialog, posting(dialog, Memory())) == dialog.of()[0]["id"]


def test_a_private_talk_that_begins_with_the_message():
    dialog, store = Dialog(["reset after"], unreadable=error(403, "ACCESS_ERROR")), new_store()
    with pytest.raises(Killed):
        run(dialog, posting(dialog, lasting(store)), kill_at=AT_THE_SEND, carried_out=True)
    dialog.unreadable = None
    dialog.clock.now += 3000
    assert run(dialog, posting(dialog, lasting(store))) == dialog.of()[0]["id"]
    assert dialog.posts == 1


def test_while_the_portal_is_down_nothing_is_guessed():
    dialog, store = Dialog(["reset after"]), new_store()
    with pytest.raises(Killed):
        run(dialog, posting(dialog, lasting(store)), kill_at=AT_THE_SEND, carried_out=True)
    dialog.unreadable = error(500, "INTERNAL_SERVER_ERROR")
    failed = run(dialog, posting(dialog, lasting(store)))
    assert isinstance(failed, DeliveryUnknownError)
    assert not failed.permanent, "the next try may find the portal up"
    dialog.unreadable = None
    assert run(dialog, posting(dialog, lasting(store))) == dialog.of()[0]["id"]
    assert dialog.posts == 1


def test_while_the_dialog_must_not_be_read_for_a_known_time_the_slot_can_be_given_back():
    used_up = error(429, "OPERATION_TIME_LIMIT")
    for memory in (lasting(new_store()), Memory()):
        dialog = Dialog(["reset before"])
        task = posting(dialog, memory)
        outcome: Any = None
        while not dialog.posts:
            outcome = carry_out(dialog, task.send(outcome))
        dialog.unreadable = used_up
        failed = run(dialog, task, outcome=outcome)
        if memory.lasting:
            assert isinstance(failed, OperatingLimitError)
            dialog.unreadable = None
            dialog.clock.now += 1000
            assert run(dialog, posting(dialog, memory)) == dialog.of()[0]["id"]
        else:
            assert isinstance(failed, DeliveryUnknownError)
            assert failed.permanent


@pytest.mark.parametrize("answer", [reply(False), reply([]), reply({"messages": None}), reply({"messages": {"1": {}}})])
def test_an_answer_without_messages_is_no_empty_dialog(answer):
    dialog, store = Dialog(["reset after"]), new_store()
    with pytest.raises(Killed):
        run(dialog, posting(dialog, lasting(store)), kill_at=AT_THE_SEND, carried_out=True)
    dialog.unreadable = answer
    failed = run(dialog, posting(dialog, lasting(store)))
    assert isinstance(failed, DeliveryUnknownError)
    assert "has no messages in it" in str(failed)
    assert dialog.posts == 1


def test_an_entry_from_the_future_is_waited_for_no_longer_than_any():
    dialog, store = Dialog(["reset before"]), new_store()
    with pytest.raises(Killed):
        run(dialog, posting(dialog, lasting(store)), kill_at=AT_THE_SEND, carried_out=True)
    dialog.clock.epoch -= 86400
    began = dialog.clock.now
    assert run(dialog, posting(dialog, lasting(store))) == dialog.of()[0]["id"]
    assert 90 < dialog.clock.now - began < 100


def test_a_portal_that_is_down_before_anything_is_sent():
    dialog, store = Dialog(unreadable=error(500, "INTERNAL_SERVER_ERROR")), new_store()
    failed = run(dialog, posting(dialog, lasting(store)))
    assert isinstance(failed, NotSentError)
    assert "nothing was posted, for the dialog could not be read before" in str(failed)
    dialog.unreadable = None
    began = dialog.clock.now
    assert run(dialog, posting(dialog, lasting(store)))
    assert dialog.clock.now - began < 1, "nothing was on its way, so nothing is waited for"


def test_what_the_portal_refuses_is_raised_and_forgotten():
    FAULTS["forbidden"] = (None, error(400, "ACCESS_ERROR"))
    FAULTS["empty"] = (None, error(400, "MESSAGE_EMPTY"))
    try:
        dialog, store = Dialog(["forbidden", "empty"]), new_store()
        assert isinstance(run(dialog, posting(dialog, lasting(store))), AccessDeniedError)
        assert isinstance(run(dialog, posting(dialog, lasting(store))), RequestRefusedError)
        began = dialog.clock.now
        assert run(dialog, posting(dialog, lasting(store)))
        assert dialog.clock.now - began < 1
    finally:
        del FAULTS["forbidden"], FAULTS["empty"]


def test_the_text_may_differ_on_the_next_try():
    dialog, store = Dialog(["reset after"]), new_store()
    with pytest.raises(Killed):
        run(dialog, posting(dialog, lasting(store), message="made at 10:00"), kill_at=AT_THE_SEND, carried_out=True)
    message_id = run(dialog, posting(dialog, lasting(store), message="made at 10:05"))
    assert [(message["id"], message["text"]) for message in dialog.of()] == [(message_id, "made at 10:00")]


def test_a_store_that_fails_before_and_after():
    class Failing(JsonStore):
        fails = False

        def __setitem__(self, key: str, value: Any) -> None:
            if self.fails or value.get("stage") == "posted":
                raise RuntimeError("the API server is gone")
            super().__setitem__(key, value)

    dialog = Dialog()
    store = Failing({})
    memory = Memory(store, "report", lasting=True)
    message_id = run(dialog, posting(dialog, memory))
    assert [message["id"] for message in dialog.of()] == [message_id], "posted is posted"
    assert run(dialog, posting(dialog, memory)) == message_id
    store.kept.clear()
    store.fails = True
    with pytest.raises(RuntimeError):
        run(dialog, posting(dialog, memory))
    assert dialog.posts == 1


@pytest.mark.parametrize("kept", ["text", 5, {"stage": "sent", "life": ""}, {"stage": "new", "life": ""}, {"x": 1}])
def test_an_entry_that_can_not_be_read_is_not_overwritten(kept):
    dialog, store = Dialog(), {"bitrix24/message/report": json.dumps(kept)}
    failed = run(dialog, posting(dialog, lasting(store)))
    assert isinstance(failed, DeliveryUnknownError)
    assert "delete the key from the task's state store" in str(failed)
    assert dialog.posts == 0


class TestWithoutAStore:
    """A retry on Airflow 3.2 knows only since when an earlier try may have posted."""

    def retry(self, dialog: Dialog, since: float) -> Any:
        return run(dialog, posting(dialog, Memory(since=dialog.clock.epoch + since)))

    def test_it_finds_what_the_first_try_posted(self):
        dialog = Dialog(["late"])
        dialog.clock.now = 1000.0
        dialog.write(OWNER, TEXT)
        dialog.clock.now = 5000.0
        with pytest.raises(Killed):
            run(dialog, posting(dialog, Memory()), kill_at=AT_THE_SEND, carried_out=True)
        assert self.retry(dialog, 4900.0) == dialog.of()[-1]["id"]
        assert len(dialog.of()) == 2

    def test_it_posts_when_nothing_can_come_any_more(self):
        dialog = Dialog(["reset before"])
        with pytest.raises(Killed):
            run(dialog, posting(dialog, Memory()), kill_at=AT_THE_SEND, carried_out=True)
        began = dialog.clock.now
        assert self.retry(dialog, 0.0) == dialog.of()[-1]["id"]
        assert dialog.clock.now - began > 90


class TestTwoCopies:
    """Two copies of one try share the store and do not know of each other."""

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("fault", ["none", "late", "reset before", "502 late"])
    def test_started_at_any_distance(self, mode, fault):
        for distance in itertools.chain(range(0, 400, 3), range(400, 100_000, 2777)):
            source = random.Random(distance)

            def seconds(what: str, source: random.Random = source) -> float:
                typical = STORE_SECONDS if what == "store" else PORTAL_SECONDS
                return typical * source.uniform(0.5, 2.0)

            dialog, store = Dialog([fault]), new_store()
            side = Side(dialog, seconds)
            for at in (0.0, distance / 1000):
                side.start(posting(dialog, lasting(store, seed="the same"), **MODES[mode]), at)
            side.run()
            (message,) = dialog.of(AUTHOR[mode])
            assert side.outcomes == [message["id"]] * 2, distance

    @pytest.mark.parametrize("mode", MODES)
    def test_one_is_frozen_at_any_step_and_thaws_when_the_other_is_done(self, mode):
        for steps in range(AT_THE_SEND):
            dialog, store = Dialog(), new_store()
            frozen = posting(dialog, lasting(store), **MODES[mode])
            outcome: Any = None
            for _ in range(steps):
                outcome = carry_out(dialog, frozen.send(outcome))
            other = run(dialog, posting(dialog, lasting(store), **MODES[mode]))
            assert run(dialog, frozen, outcome=outcome) == other
            assert [message["id"] for message in dialog.of(AUTHOR[mode])] == [other], steps

    def test_frozen_right_before_its_request_a_bot_is_saved_by_the_portal(self):
        dialog, store = Dialog(dedupes=True), new_store()
        frozen = posting(dialog, lasting(store, seed="the same"), as_bot=True)
        outcome: Any = None
        for _ in range(AT_THE_SEND):
            outcome = carry_out(dialog, frozen.send(outcome))
        request = frozen.send(outcome)
        dialog.clock.now += 3600
        message_id = run(dialog, posting(dialog, lasting(store, seed="the same"), as_bot=True))
        carry_out(dialog, request)
        assert dialog.posts == 2
        assert [message["id"] for message in dialog.of(BOT)] == [message_id]
