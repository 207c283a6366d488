"""Several files in one message, and portals without ``im.v2``: three methods, of which the last one posts."""

from __future__ import annotations

from functools import partial

import pytest

from airflow_provider_b24.chat.delivery import Memory
from airflow_provider_b24.chat.files import File, post_files
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.rest.errors import (
    AccessDeniedError,
    Bitrix24Error,
    ConfigurationError,
    NotFoundError,
    NotSentError,
)
from airflow_provider_b24.testing import Fault
from tests.portal.files.dialogs import files
from tests.portal.hook.faces import AsyncFace, SyncFace
from tests.unit.rest.clocks import FakeClock

UPLOAD, COMMIT = "disk.folder.uploadFile", "im.disk.file.commit"
PAIR = [File.of_bytes("a.csv", b"1"), File.of_bytes("b.csv", b"22")]


@pytest.fixture
def old_portal(portal):
    portal.without.add("im.v2.File.upload")
    yield portal
    portal.without.clear()


def methods(portal):
    return [call.method for call in portal.calls]


@pytest.mark.parametrize(("dialog_id", "lands_in"), [("chat2935", "chat2935"), (4, "4"), ("sg17", "sg17")])
def test_a_portal_without_the_method(face, old_portal, dialog_id, lands_in):
    message_id = face.send_file(dialog_id, b"1,2", name="a.csv", message="Revenue")
    (message,) = old_portal.messages(lands_in)
    assert (message.id, message.text) == (message_id, "Revenue")
    assert files(old_portal, lands_in) == [[("a.csv", b"1,2")]]
    assert methods(old_portal)[-4:] == ["im.disk.folder.get", UPLOAD, "im.dialog.messages.get", COMMIT]


def test_several_in_one_message(face, portal):
    message_id = face.send_file("chat2935", PAIR, message="Both")
    (message,) = portal.messages("chat2935")
    assert (message.id, message.text) == (message_id, "Both")
    assert files(portal) == [[("a.csv", b"1"), ("b.csv", b"22")]]


def test_what_a_name_that_is_taken_becomes(face, portal):
    face.send_file("chat2935", PAIR)
    face.send_file("chat2935", PAIR)
    assert files(portal)[1] == [("a (1).csv", b"1"), ("b (1).csv", b"22")]


@pytest.mark.parametrize("make_face", [SyncFace, AsyncFace])
@pytest.mark.parametrize("took_effect", [True, False])
@pytest.mark.parametrize("way", ["one", "several"])
def test_a_lost_answer_to_the_posting_is_looked_for(portal, connect, make_face, way, *, took_effect):
    connect(portal.connection(), longest_request=60)
    portal.faults.add(Fault("reset", COMMIT, after_effect=took_effect))
    if way == "one":
        portal.without.add("im.v2.File.upload")
    face = make_face(Bitrix24Hook(clock=FakeClock()))
    message_id = face.send_file("chat2935", PAIR[0] if way == "one" else PAIR)
    face.close()
    portal.without.clear()
    assert [message.id for message in portal.messages("chat2935")] == [message_id]
    assert (methods(portal).count(COMMIT), methods(portal).count(UPLOAD)) == (
        1 if took_effect else 2,
        1 if way == "one" else 2,
    )


@pytest.mark.parametrize("make_face", [SyncFace, AsyncFace])
def test_a_lost_upload_is_repeated_for_it_posts_nothing(portal, make_face):
    portal.faults.add(Fault("reset_after", UPLOAD))
    face = make_face(Bitrix24Hook(clock=FakeClock()))
    face.send_file("chat2935", PAIR)
    face.close()
    assert files(portal) == [[("a (1).csv", b"1"), ("b.csv", b"22")]]


def test_what_was_uploaded_is_not_uploaded_by_the_next_try(portal):
    store: dict = {}
    memory = Memory(store, "file", lasting=True, life="0")
    post = partial(post_files, dialog_id="chat2935", files=lambda: PAIR, memory=memory)
    fault = portal.faults.add(Fault("error", UPLOAD, skip=1, code="ERROR_COULD_NOT_SAVE_FILE"))
    with Bitrix24Hook() as hook:
        with pytest.raises(Exception, match="room left on the portal's Drive"):
            hook.get_conn().run(post)
        portal.faults.remove(fault)
        posted = hook.get_conn().run(post)
        again = hook.get_conn().run(partial(post, files=None))
    assert files(portal) == [[("a.csv", b"1"), ("b.csv", b"22")]]
    assert methods(portal).count(UPLOAD) == 3
    assert again == posted
    assert [card["id"] for card in portal.messages("chat2935")[0].files] == list(posted.file_ids)


@pytest.mark.parametrize("method", [UPLOAD, "im.disk.folder.get", "im.dialog.messages.get"])
def test_a_portal_that_is_in_trouble_for_long_has_posted_nothing(portal, method):
    store: dict = {}
    memory = Memory(store, "file", lasting=True, life="0")
    post = partial(post_files, dialog_id="chat2935", files=lambda: PAIR, memory=memory)
    fault = portal.faults.add(Fault("reset_after", method, times=None))
    with Bitrix24Hook(clock=FakeClock()) as hook:
        with pytest.raises(NotSentError, match="nothing was posted, for the files could not be uploaded") as caught:
            hook.get_conn().run(post)
        assert not caught.value.permanent
        portal.faults.remove(fault)
        hook.get_conn().run(post)
    assert len(files(portal)) == 1


def test_a_report_that_was_made_anew_is_not_the_one_that_was_uploaded_before(portal):
    store: dict = {}
    memory = Memory(store, "file", lasting=True, life="0")
    fault = portal.faults.add(Fault("query_limit", "im.disk.file.commit", times=None))
    with Bitrix24Hook(clock=FakeClock()) as hook:
        with pytest.raises(Bitrix24Error):
            hook.get_conn().run(partial(post_files, dialog_id="chat2935", files=lambda: PAIR, memory=memory))
        portal.faults.remove(fault)
        anew = [File.of_bytes("a.csv", b"1"), File.of_bytes("b.csv", b"33")]
        hook.get_conn().run(partial(post_files, dialog_id="chat2935", files=lambda: anew, memory=memory))
    ((first, second),) = files(portal)
    assert (first[1], second[1]) == (b"1", b"33")


def test_a_cleared_task_uploads_anew(portal):
    store: dict = {}
    with Bitrix24Hook() as hook:
        for life in ("0", "1"):
            memory = Memory(store, "file", lasting=True, life=life)
            hook.get_conn().run(partial(post_files, dialog_id="chat2935", files=lambda: PAIR, memory=memory))
    assert [len(cards) for cards in files(portal)] == [2, 2]
    assert methods(portal).count(UPLOAD) == 4


def test_a_bot_has_no_such_way(face, portal, connect):
    connect(portal.bot_connection())
    with pytest.raises(ConfigurationError, match="a bot's message can not have 2 files"):
        face.send_file("chat2935", PAIR)
    portal.without.add("imbot.v2.File.upload")
    with pytest.raises(NotFoundError, match=r"imbot\.v2\.File\.upload: ERROR_METHOD_NOT_FOUND"):
        face.send_file("chat2935", PAIR[0])
    portal.without.clear()
    assert portal.messages("chat2935") == []


def test_the_scope_it_needs(face, portal):
    portal.scopes = ["im"]
    with pytest.raises(AccessDeniedError, match=r"disk\.folder\.uploadFile: insufficient_scope"):
        face.send_file("chat2935", PAIR)
