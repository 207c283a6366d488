"""Posting a file exactly once: a task is stopped at every step, with every fault, and tried again."""

from __future__ import annotations

import heapq
import itertools
import json
import unicodedata
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_provider_b24.chat.delivery import Memory
from airflow_provider_b24.chat.files import File, post_files
from airflow_provider_b24.chat.recognition import Likeness, Marks, file_mark, marks_of
from airflow_provider_b24.chat.typing import Bot
from airflow_provider_b24.rest.content import Body
from airflow_provider_b24.rest.errors import FileError
from airflow_provider_b24.rest.steps import Failure, Send
from tests.unit.chat.dialog import BOT, FAULTS, OWNER, TEXT, Dialog, Killed, carry_out, run
from tests.unit.rest.simulation import reply

AUTHOR = {"user": OWNER, "bot": BOT}
SMALL = File.of_bytes("report.csv", b"1,2,3")


@dataclass
class FileDialog(Dialog):
    """One in which files can be posted; they are given a name that is free."""

    cards: dict[int, dict[str, Any]] = field(default_factory=dict)
    tells: bool = True

    def answer(self, request: Any) -> Any:
        method = request.url.rsplit("/", 1)[-1]
        if not method.endswith("v2.File.upload"):
            return super().answer(request)
        self._arrive(self.clock.now)
        assert isinstance(request.body, Body)
        fields = json.loads(b"".join(request.body))["fields"]
        trouble = self.troubles[self.posts] if self.posts < len(self.troubles) else "none"
        self.posts += 1
        delay, answer = FAULTS[trouble]
        number = 5200 + self.posts
        message = self._message(
            BOT if method.startswith("imbot") else OWNER, fields.get("message", ""), None, {"FILE_ID": [number]}
        )
        stem, _, ending = fields["name"].rpartition(".")
        name = f"{stem} ({self.posts}).{ending}"
        self.cards[number] = {"id": number, "name": name, "size": len(fields["content"]) // 4 * 3 - 1}
        if delay is not None:
            heapq.heappush(self._coming, (self.clock.now + delay, next(self._order), message))
        self._arrive(self.clock.now)
        return answer or reply({"file": {"id": number}, "messageId": message["id"]})

    def _page(self, params: dict[str, Any]) -> dict[str, Any]:
        page = super()._page(params)
        ids = [one for message in page["messages"] if message["params"] for one in message["params"]["FILE_ID"]]
        messages = page["messages"] if self.tells else [{**message, "params": []} for message in page["messages"]]
        return {**page, "messages": messages, "files": [self.cards[one] for one in ids]}


class JsonStore:
    """A store like a task's: what is kept has been JSON in between."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def get(self, key: str) -> Any:
        return json.loads(self.kept[key]) if key in self.kept else None

    def __setitem__(self, key: str, value: Any) -> None:
        self.kept[key] = json.dumps(value)


def sending(dialog, store=None, mode="user", file=SMALL, message=TEXT):
    memory = Memory(store, "bitrix24/message/file", lasting=True) if store else Memory()
    return post_files(
        dialog.peer(),
        dialog_id="chat2935",
        files=lambda: [file],
        message=message,
        memory=memory,
        bot=Bot(BOT, "token") if mode == "bot" else None,
    )


@pytest.mark.parametrize("mode", AUTHOR)
@pytest.mark.parametrize(
    ("fault", "text"),
    [
        *((fault, TEXT) for fault in ("none", "reset after", "late", "502 late", "no id", "not reached")),
        ("very late", None),
    ],
    ids=lambda value: value if value in FAULTS else "text" if value else "no text",
)
def test_killed_at_any_step_and_tried_again(mode, fault, text):
    for carried_out in (False, True):
        for step in itertools.count():
            dialog, store = FileDialog([fault]), JsonStore()
            dialog.write(OWNER, TEXT)
            try:
                run(dialog, sending(dialog, store, mode, message=text), kill_at=step, carried_out=carried_out)
            except Killed:
                posted = run(dialog, sending(dialog, store, mode, message=text))
            else:
                assert step > 5
                break
            (mine,) = [message for message in dialog.of(AUTHOR[mode]) if message["params"]]
            assert (mine["id"], tuple(mine["params"]["FILE_ID"])) == (posted.message_id, posted.file_ids), step


@pytest.mark.parametrize("mode", AUTHOR)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_lost_answer_is_settled_at_once(mode, fault):
    dialog = FileDialog([fault])
    posted = run(dialog, sending(dialog, mode=mode))
    assert [message["id"] for message in dialog.of(AUTHOR[mode])] == [posted.message_id]
    if FAULTS[fault][0] is None and fault not in ("not reached", "refused"):
        assert 90 < dialog.clock.now < 100, "sent again, but only when the first can not come any more"


LARGE = File("large.bin", 50_000_000, open=lambda: (_ for _ in ()).throw(OSError(5, "must not be read")))


def slow_upload(dialog, task, seconds):
    """A request that took so long, and whose answer is lost."""
    outcome = None
    while True:
        step = task.send(outcome)
        if isinstance(step, Send) and step.request.url.endswith("File.upload"):
            dialog.clock.now += seconds
            return task.send(Failure("the connection broke off", sent=True))
        outcome = carry_out(dialog, step)


def test_the_time_that_a_large_file_takes_does_not_count():
    """The portal begins with it when it is there; until then nobody may send it again."""
    dialog = FileDialog()
    task = sending(dialog, file=LARGE)
    step = slow_upload(dialog, task, 200.0)
    began, outcome = dialog.clock.now, None
    while not (isinstance(step, Send) and step.request.url.endswith("File.upload")):
        outcome = carry_out(dialog, step)
        step = task.send(outcome)
    assert 90 < dialog.clock.now - began < 100


def test_after_a_kill_nobody_knows_how_far_a_large_file_had_come():
    dialog, store = FileDialog(), JsonStore()
    task = sending(dialog, store, file=LARGE)
    outcome: Any = None
    while not (isinstance(step := task.send(outcome), Send) and step.request.url.endswith("File.upload")):
        outcome = carry_out(dialog, step)
    began = dialog.clock.now
    task = sending(dialog, store, file=LARGE)
    outcome = None
    while not (isinstance(step := task.send(outcome), Send) and step.request.url.endswith("File.upload")):
        outcome = carry_out(dialog, step)
    needs = step.request.sending
    assert 250 < needs < 300
    assert needs + 90 < dialog.clock.now - began < needs + 100


def test_a_file_that_did_not_get_to_its_end_is_sent_again_at_once():
    dialog = FileDialog()
    task = sending(dialog)
    outcome: Any = None
    broken = 0
    try:
        while True:
            step = task.send(outcome)
            if isinstance(step, Send) and step.request.url.endswith("File.upload") and broken < 2:
                broken += 1
                outcome = Failure("the connection broke off while a file was being sent", sent=False)
            else:
                outcome = carry_out(dialog, step)
    except StopIteration as stop:
        posted = stop.value
    assert [message["id"] for message in dialog.of()] == [posted.message_id]
    assert dialog.clock.now < 10


def test_an_error_of_the_file_leaves_nothing_under_way():
    dialog, store = FileDialog(), JsonStore()
    task = sending(dialog, store)
    outcome: Any = None
    while not (isinstance(step := task.send(outcome), Send) and step.request.url.endswith("File.upload")):
        outcome = carry_out(dialog, step)
    step = task.throw(FileError("the file can not be read"))
    with suppress(FileError):
        while True:
            step = task.send(carry_out(dialog, step))
    began = dialog.clock.now
    run(dialog, sending(dialog, store))
    assert dialog.clock.now - began < 2


def seen(text="", ids=(), **params):
    named = {"FILE_ID": list(ids)} if ids else {}
    return {"id": 5, "author_id": 1, "text": text, "uuid": None, "params": {**named, **params} or []}


def card(name, size, number=9):
    return {"id": number, "name": name, "size": size}


ONE = marks_of(1, "Revenue", files=[file_mark("Отчёт за неделю.csv", 100)])


@pytest.mark.parametrize(
    ("text", "cards", "likeness"),
    [
        ("Revenue", [card("Отчёт за неделю.csv", 100)], Likeness.SAME),
        ("Revenue", [card("Отчёт за неделю (1).csv", "100")], Likeness.SAME),
        ("Revenue", [card("Отчёт за неделю (12).csv", 100)], Likeness.SAME),
        ("Revenue", [card("Отчёт_за_неделю.csv", 100)], Likeness.SAME),
        ("Revenue", [card(unicodedata.normalize("NFD", "Отчёт за неделю.csv"), 100)], Likeness.SAME),
        ("Revenue", [card("Отчёт за неделю (1) (1).csv", 100)], Likeness.UNSURE),
        ("Revenue", [card("Other.csv", 100)], Likeness.UNSURE),
        ("Revenue", [card("Отчёт за неделю.csv", 101)], Likeness.UNSURE),
        ("Revenue", [card("Other.csv", 101)], Likeness.OTHER),
        ("revenue", [card("Отчёт за неделю.csv", 100)], Likeness.UNSURE),
        ("Costs", [card("Отчёт за неделю.csv", 100)], Likeness.OTHER),
        ("Revenue", [], Likeness.OTHER),
        ("Revenue", [card("Отчёт за неделю.csv", 100), card("b", 2, 10)], Likeness.OTHER),
    ],
)
def test_which_message_it_is(text, cards, likeness):
    message = seen(text, [one["id"] for one in cards])
    assert ONE.like(message, cards) is likeness
    assert Marks.of_json(json.loads(json.dumps(ONE.as_json()))) == ONE


def test_a_file_that_was_taken_away_and_a_message_that_was():
    assert ONE.like(seen("Revenue", [9]), []) is Likeness.UNSURE
    assert ONE.like(seen("", IS_DELETED="Y"), []) is Likeness.UNSURE


def test_a_portal_that_does_not_say_which_file_is_in_which_message():
    assert ONE.like(seen("Revenue"), [card("Отчёт за неделю.csv", 100)]) is Likeness.UNSURE
    assert ONE.like(seen("Revenue"), [card("Отчёт за неделю.csv", 101)]) is Likeness.OTHER
    assert ONE.like(seen("Costs"), [card("Отчёт за неделю.csv", 100)]) is Likeness.OTHER
    dialog = FileDialog(["reset after"], tells=False)
    assert "may be it, but is not quite the same" in str(run(dialog, sending(dialog)))
    assert dialog.posts == 1


def test_a_message_without_files_is_no_message_with_one():
    cards = [card("a", 1)]
    assert marks_of(1, "Revenue").like(seen("Revenue", [9]), cards) is Likeness.OTHER
    assert marks_of(1, "Revenue").like(seen("Revenue"), cards) is Likeness.SAME


def test_files_whose_ids_are_known():
    marks = marks_of(1, None, files=[file_mark("a", 1, 9), file_mark("b", 2, 10)])
    assert marks.like(seen("", [10, 9]), []) is Likeness.SAME
    assert marks.like(seen("", [9, 11]), [card("a", 1), card("c", 3, 11)]) is Likeness.OTHER
    assert marks.like(seen("", [1, 2]), [card("b (1)", 2, 1), card("a (1)", 1, 2)]) is Likeness.SAME


def test_a_file_without_letters_in_its_name():
    marks = marks_of(1, None, files=[file_mark("---", 1)])
    assert marks.like(seen("", [9]), [card("---", 1)]) is Likeness.SAME
    assert marks.like(seen("", [9]), [card("a", 1)]) is Likeness.UNSURE
