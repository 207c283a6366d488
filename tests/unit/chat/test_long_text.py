"""A text of several messages in a simulated dialog: each part once and in order, wherever the task is stopped."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_b24.chat.delivery import Memory
from airflow_provider_b24.chat.long_text import check_long_text, posted_before
from airflow_provider_b24.chat.splitting import split
from airflow_provider_b24.rest.errors import ConfigurationError, DeliveryUnknownError, OperatingLimitError
from tests.unit.chat.dialog import BOT, FAULTS, OWNER, Dialog, Killed, carry_out, posting, run
from tests.unit.rest.simulation import error

PARAGRAPH = "[b]Paragraph {}[/b] " + "of many words " * 200
LONG = "\n\n".join(PARAGRAPH.format(number) for number in range(15))
PARTS = [part.strip() for part in split(LONG)]
ALIKE = "x" * 50_000


def new_store() -> dict[str, Any]:
    return {}


def lasting(store: dict[str, Any], **changes: Any) -> Memory:
    return replace(Memory(store, "report", lasting=True, life="2"), **changes)


def texts(dialog: Dialog, author: int = OWNER) -> list[str]:
    return [message["text"].strip() for message in dialog.of(author)]


def test_the_text_of_these_tests_has_three_parts():
    assert len(PARTS) == len(split(ALIKE)) == 3
    assert len(set(split(ALIKE)[:2])) == 1


@pytest.mark.parametrize(("as_bot", "text"), [(False, ALIKE), (True, LONG)], ids=["account", "bot"])
def test_killed_at_any_step_each_part_is_posted_once(text, *, as_bot):
    author = BOT if as_bot else OWNER
    parts = [part.strip() for part in split(text)]
    for step, carried_out in ((number, after) for number in itertools.count() for after in (False, True)):
        dialog, store = Dialog(), new_store()
        given = {"as_bot": as_bot, "message": text, "long_text": "split"}
        try:
            first = run(dialog, posting(dialog, lasting(store), **given), kill_at=step, carried_out=carried_out)
        except Killed:
            first = run(dialog, posting(dialog, lasting(store), **given))
        else:
            assert step > 30
            break
        assert texts(dialog, author) == parts, (step, carried_out)
        assert first == dialog.of(author)[0]["id"]
        assert run(dialog, posted_before(dialog.peer(), lasting(store))) == first
        # Once more, and nothing happens.
        assert run(dialog, posting(dialog, lasting(store), **given)) == first
        assert texts(dialog, author) == parts


@pytest.mark.parametrize("trouble", ["reset after", "late", "502 before", "no id"])
@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_lost_answer_to_any_part(trouble, part):
    dialog = Dialog(["none"] * part + [trouble])
    first = run(dialog, posting(dialog, lasting({}), message=LONG, long_text="split"))
    assert texts(dialog) == PARTS
    assert first == dialog.of()[0]["id"]


def test_what_hangs_on_a_message_hangs_on_one_of_its_parts():
    dialog = Dialog()
    attach = [{"MESSAGE": "the end"}]
    run(dialog, posting(dialog, Memory(), message=LONG, long_text="split", attach=attach, reply_id=5))
    held = [message["params"]["ATTACH"] for message in dialog.of()]
    assert held == [[], [], attach]


def test_not_all_of_it_was_posted():
    dialog, store = Dialog(["none", "forbidden"]), new_store()
    FAULTS["forbidden"] = (None, error(400, "ACCESS_ERROR"))
    failed = run(dialog, posting(dialog, lasting(store), message=LONG, long_text="split"))
    assert failed.code == "ACCESS_ERROR"
    assert run(dialog, posted_before(dialog.peer(), lasting(store))) is None
    # Another life knows nothing of it.
    assert run(dialog, posted_before(dialog.peer(), lasting(store, life="3"))) is None
    run(dialog, posting(dialog, lasting(store), message=LONG, long_text="split"))
    assert texts(dialog) == PARTS


def test_a_text_that_changes_is_posted_whole():
    dialog, store = Dialog(["none", "reset before"]), new_store()
    with pytest.raises(Killed):
        run(dialog, posting(dialog, lasting(store), message=LONG, long_text="split"), kill_at=24)
    assert texts(dialog) == PARTS[:1]
    other = LONG.replace("many", "other")
    first = run(dialog, posting(dialog, lasting(store), message=other, long_text="split"))
    assert texts(dialog) == [PARTS[0], *(part.strip() for part in split(other))]
    assert first == dialog.of()[1]["id"]


def test_a_text_that_changes_after_all_of_it_was_posted_is_not_posted_again():
    dialog, store = Dialog(), new_store()
    first = run(dialog, posting(dialog, lasting(store), message=LONG, long_text="split"))
    assert run(dialog, posting(dialog, lasting(store), message="short")) == first
    assert run(dialog, posting(dialog, lasting(store), message=LONG + "!", long_text="refuse", markdown=True)) == first
    assert texts(dialog) == PARTS


def test_a_cleared_task_goes_its_own_way():
    dialog, store = Dialog(), new_store()
    first = run(dialog, posting(dialog, lasting(store), message=LONG, long_text="split"))
    assert run(dialog, posting(dialog, lasting(store, life="3", any_life=True), message="short")) == first
    run(dialog, posting(dialog, lasting(store, life="3"), message="short"))
    assert texts(dialog) == [*PARTS, "short"]


def test_without_a_store_a_retry_finds_each_part_in_the_dialog():
    dialog = Dialog(["none", "reset before"])
    since = dialog.clock.time()
    with pytest.raises(Killed):
        run(dialog, posting(dialog, Memory(), message=LONG, long_text="split"), kill_at=24)
    assert texts(dialog) == PARTS[:1]
    first = run(dialog, posting(dialog, Memory(since=since), message=LONG, long_text="split"))
    assert texts(dialog) == PARTS
    assert first == dialog.of()[0]["id"]


@pytest.mark.parametrize("long_text", ["file", "split"])
def test_a_short_text_that_was_posted_is_not_posted_again_when_it_is_long(long_text):
    dialog, store = Dialog(), new_store()
    first = run(dialog, posting(dialog, lasting(store), message="short"))
    assert run(dialog, posting(dialog, lasting(store), message=LONG, long_text=long_text)) == first
    assert texts(dialog) == ["short"]


def test_a_part_of_which_nobody_knows():
    dialog, store = Dialog(["none", "reset after"]), new_store()
    task = posting(dialog, lasting(store), message=LONG, long_text="split")
    outcome: Any = None
    while dialog.posts < 2:
        outcome = carry_out(dialog, task.send(outcome))
    dialog.unreadable = error(403, "ACCESS_ERROR")
    failed = run(dialog, task, outcome=outcome)
    assert isinstance(failed, DeliveryUnknownError)
    assert isinstance(run(dialog, posted_before(dialog.peer(), lasting(store))), DeliveryUnknownError)
    assert dialog.posts == 2


@pytest.mark.parametrize("lasts", [True, False])
def test_without_a_store_nothing_waits_outside_of_the_task_once_a_part_is_posted(lasts):
    used_up = error(429, "OPERATION_TIME_LIMIT")
    FAULTS["used up"] = (None, used_up)
    for posted in (0, 1):
        dialog = Dialog(["none"] * posted + ["used up"] * 9)
        memory = lasting({}) if lasts else Memory()
        failed = run(dialog, posting(dialog, memory, message=LONG, long_text="split"))
        assert isinstance(failed, OperatingLimitError)
        assert (failed.retry_after is None) is (posted == 1 and not lasts)


@pytest.mark.parametrize("value", ["cut", None, True, ""])
def test_no_such_way(value):
    with pytest.raises(ConfigurationError, match=r"long_text is .*It is one of file, split, refuse"):
        check_long_text(value)
