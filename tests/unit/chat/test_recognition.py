"""Which message of a dialog is the one that was sent."""

from __future__ import annotations

import datetime as dt
import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_b24.chat.recognition import (
    Likeness,
    Marks,
    block_prints,
    is_our_uuid,
    marks_of,
    new_uuid,
    written_at,
)

ATTACH = {"BLOCKS": [{"MESSAGE": "[b]12[/b] won"}, {"GRID": [{"NAME": "Deals", "VALUE": 40}]}]}


def seen(text="", author=1, uuid=None, **params):
    return {"id": 5, "author_id": author, "text": text, "uuid": uuid, "params": params or []}


@pytest.mark.parametrize(
    ("sent", "text", "likeness"),
    [
        ("Done", "Done", Likeness.SAME),
        (" Done \n", "Done", Likeness.SAME),
        ("a < b & c", "a &lt; b &amp; c", Likeness.SAME),
        ("a < b & c", "a &amp;lt; b &amp;amp; c", Likeness.SAME),
        ("a\r\nb\rc", "a\nb\nc", Likeness.SAME),
        ("a\nb", "a[BR]b", Likeness.SAME),
        ("a[br]b", "a<br>b", Likeness.SAME),
        ("a\xa0b", "a b", Likeness.SAME),
        ("Done", "Done.", Likeness.UNSURE),
        ("Done", "[b]done[/b]", Likeness.UNSURE),
        ("[user=5]Anna[/user]: 7", "[USER=5]Anna Petrova[/USER]: 7", Likeness.UNSURE),
        ("Done", "Undone", Likeness.OTHER),
        ("Revenue: 5", "Revenue: 6", Likeness.OTHER),
        ("Done", "", Likeness.OTHER),
    ],
)
def test_texts(sent, text, likeness):
    assert marks_of(1, sent).like(seen(text)) is likeness
    assert marks_of(1, sent).like(seen(text, author=2)) is Likeness.OTHER


@pytest.mark.parametrize("message", [{}, {"author_id": None, "text": None}, {"author_id": "x", "params": 5, "uuid": 7}])
def test_a_message_that_is_none(message):
    assert marks_of(1, "Done").like(message) is Likeness.OTHER


def test_an_author_may_come_as_a_text():
    assert marks_of(1, "Done").like({**seen("Done"), "author_id": "1"}) is Likeness.SAME


def test_a_deleted_message_may_have_been_it():
    assert marks_of(1, "Done").like(seen("", IS_DELETED="Y")) is Likeness.UNSURE
    assert marks_of(1, "Done").like(seen("", author=2, IS_DELETED="Y")) is Likeness.OTHER


@pytest.mark.parametrize(
    ("text", "params", "likeness"),
    [
        ("", {"ATTACH": ATTACH}, Likeness.SAME),
        ("", {"ATTACH": [{"ID": 7, "COLOR": "#aaa", "BLOCKS": ATTACH["BLOCKS"]}]}, Likeness.SAME),
        ("", {"ATTACH": [{"MESSAGE": "another"}]}, Likeness.UNSURE),
        ("", {}, Likeness.UNSURE),
        ("text", {"ATTACH": ATTACH}, Likeness.OTHER),
    ],
)
@pytest.mark.parametrize("as_text", [False, True])
def test_attachments_without_a_text(text, params, likeness, as_text):
    sent = json.dumps(ATTACH) if as_text else ATTACH
    assert marks_of(1, None, sent).like(seen(text, **params)) is likeness


def test_a_text_with_an_attachment():
    marks = marks_of(1, "Done", ATTACH)
    assert marks.like(seen("Done")) is Likeness.SAME
    assert marks.like(seen("Done", ATTACH=ATTACH)) is Likeness.SAME
    assert marks.like(seen("Done", ATTACH=[{"MESSAGE": "another"}])) is Likeness.UNSURE


@pytest.mark.parametrize("blocks", [None, "", "{", [], [{}], {"A": [None, True]}, "[" * 100_000])
def test_attachments_without_anything_to_go_by(blocks):
    assert block_prints(blocks) == ()
    assert marks_of(1, None, blocks).like(seen("")) is Likeness.UNSURE


def test_dates_and_numbers_in_an_attachment():
    assert block_prints([dt.date(2026, 10, 1), 5]) == block_prints(["2026-10-01", "5"])


def test_large_attachments_are_kept_in_short():
    sent = [{"MESSAGE": f"line {number}"} for number in range(500)]
    marks = marks_of(1, None, sent)
    assert len(marks.blocks) == 40
    assert marks.like(seen("", ATTACH=sent)) is Likeness.SAME


def test_an_applications_name_over_a_system_message():
    named = seen("[b]Reports[/b]\nDone", author=0)
    assert marks_of(0, "Done").like(named) is Likeness.SAME
    assert marks_of(0, "Undone").like(named) is Likeness.OTHER
    assert marks_of(1, "Done").like({**named, "author_id": 1}) is Likeness.OTHER


def test_a_bots_message_goes_by_its_uuid():
    mine, others, foreign = new_uuid("a"), new_uuid("b"), str(uuid.uuid4())
    marks = marks_of(101, "Done", uuid=mine)
    assert marks.like(seen("whatever", author=101, uuid=mine.upper())) is Likeness.SAME
    assert marks.like(seen("Done", author=101, uuid=others)) is Likeness.OTHER
    assert marks.like(seen("Done", author=101, uuid=foreign)) is Likeness.UNSURE
    assert marks.like(seen("Done", author=101)) is Likeness.UNSURE
    assert marks.like(seen("Another", author=101)) is Likeness.OTHER


@given(st.text())
def test_our_uuids_are_uuids_of_version_4(seed):
    made = new_uuid(seed)
    assert made == new_uuid(seed) == str(uuid.UUID(made))
    assert uuid.UUID(made).version == 4
    assert uuid.UUID(made).variant == uuid.RFC_4122
    assert is_our_uuid(made)
    assert not is_our_uuid(str(uuid.uuid4()))


@given(st.text(max_size=200), st.text(max_size=20))
def test_what_is_kept_comes_back(text, block):
    marks = marks_of(1, text, [block], new_uuid(text))
    kept = json.loads(json.dumps(marks.as_json()))
    assert Marks.of_json(kept) == marks
    assert marks.like(seen(text, uuid=marks.uuid)) is Likeness.SAME


@pytest.mark.parametrize(
    ("date", "at"),
    [
        ("2026-03-04T09:43:26+03:00", 1_772_606_606.0),
        ("2026-03-04T06:43:26Z", 1_772_606_606.0),
        (None, None),
        ("yesterday", None),
        (5, None),
    ],
)
def test_when_a_message_was_written(date, at):
    assert written_at({"date": date}) == at
