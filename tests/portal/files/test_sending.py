"""Posting files, by both halves of the hook."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import re
import threading
from functools import partial
from io import BytesIO

import pytest

from airflow_provider_b24.chat.files import File
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.rest.content import Content
from airflow_provider_b24.rest.errors import (
    AccessDeniedError,
    ConfigurationError,
    DeliveryUnknownError,
    FileError,
    NotFoundError,
    RequestRefusedError,
)
from airflow_provider_b24.testing import Fault
from tests.portal.files.dialogs import files
from tests.portal.hook.faces import AsyncFace, SyncFace
from tests.portal.rest.leaks import leaks
from tests.unit.rest.clocks import FakeClock

# No multiple of what is read at once, or of three.
BYTES = random.Random(5).randbytes(3 * (3 << 16) + 1)


@pytest.mark.parametrize("size", [1, 2, 3, 100, 3 << 16, (3 << 16) + 1, len(BYTES)])
def test_every_byte_arrives(face, portal, tmp_path, size):
    path = tmp_path / "report.bin"
    path.write_bytes(BYTES[:size])
    message_id = face.send_file("chat2935", path, message="Revenue «за неделю»")
    assert files(portal) == [[("report.bin", BYTES[:size])]]
    message = portal.messages("chat2935")[0]
    assert (message.id, message.text) == (message_id, "Revenue «за неделю»")


def test_what_goes_over_the_wire_is_what_the_vendor_describes(face, portal):
    face.send_file("chat2935", b"a,b\n1,2\n", name='q"1.csv', message="text")
    call = portal.requests[-1]
    assert (call.method, call.content_type) == ("im.v2.File.upload", "application/json")
    assert json.loads(call.body) == {
        "dialogId": "chat2935",
        "fields": {"name": 'q"1.csv', "content": base64.b64encode(b"a,b\n1,2\n").decode(), "message": "text"},
    }
    assert call.headers["content-length"] == str(len(call.body))
    assert "transfer-encoding" not in call.headers


@pytest.mark.parametrize(
    ("dialog_id", "lands_in"),
    [("deal:1663", "chat2939"), ("sg17", "sg17"), (4, "4"), ("user:boris@example.com", "2")],
)
def test_where_it_goes(face, portal, dialog_id, lands_in):
    face.send_file(dialog_id, File.of_bytes("a.txt", b"text"))
    assert files(portal, lands_in) == [[("a.txt", b"text")]]


def test_an_application(face, portal, connect):
    connect(portal.oauth_connection())
    portal.expire_tokens()
    face.send_file("chat2935", b"text", name="a.txt")
    assert files(portal) == [[("a.txt", b"text")]]


@pytest.mark.parametrize("make_face", [SyncFace, AsyncFace])
@pytest.mark.parametrize("kind", ["reset", "html_502", "truncated_json", "json_500"])
@pytest.mark.parametrize("took_effect", [True, False])
def test_a_lost_answer_is_looked_for(portal, connect, make_face, kind, *, took_effect):
    connect(portal.connection(), longest_request=60)
    face = make_face(Bitrix24Hook(clock=FakeClock()))
    portal.faults.add(Fault(kind, "im.v2.File.upload", after_effect=took_effect))
    portal.add_message("chat2935", 1, "Revenue")
    message_id = face.send_file("chat2935", BYTES, name="report.bin", message="Revenue")
    face.close()
    assert [message.id for message in portal.messages("chat2935")][1:] == [message_id]
    sent = [call.method for call in portal.calls].count("im.v2.File.upload")
    assert sent == (1 if took_effect else 2)


def test_under_a_name_that_is_taken_it_is_recognised(portal, connect):
    connect(portal.connection(), longest_request=60)
    with Bitrix24Hook(clock=FakeClock()) as hook:
        hook.send_file("chat2935", b"same", name="report.csv")
        portal.faults.add(Fault("reset_after", "im.v2.File.upload"))
        hook.send_file("chat2935", b"same", name="report.csv")
    assert files(portal) == [[("report.csv", b"same")], [("report (1).csv", b"same")]]


def test_what_merely_looks_like_it(portal, connect):
    """Files of the same account with another name, size or text are not taken for it."""
    connect(portal.connection(), longest_request=60)
    portal.faults.add(Fault("reset", "im.v2.File.upload"))
    clock = FakeClock()
    with Bitrix24Hook(clock=clock) as hook, Bitrix24Hook() as other:

        def meanwhile():
            clock.on_sleep = None
            for name, content, text in (("other.csv", b"12", ""), ("report.csv", b"12", "Another text")):
                other.send_file("chat2935", content, name=name, message=text)

        clock.on_sleep = meanwhile
        hook.send_file("chat2935", b"same", name="report.csv")
    assert files(portal) == [[("other.csv", b"12")], [("report.csv", b"12")], [("report (1).csv", b"same")]]


def test_as_a_bot(face, portal, connect):
    connect(portal.bot_connection())
    message_id = face.send_file("sg17", b"text", name="a.txt", message="From the bot")
    (message,) = portal.messages("sg17")
    assert (message.id, message.author_id, message.text) == (message_id, 101, "From the bot")
    assert files(portal, "sg17") == [[("a.txt", b"text")]]
    face.send_file("sg17", b"text", name="b.txt", as_bot=False)
    assert portal.messages("sg17")[-1].author_id == 1


@pytest.mark.parametrize("made", [True, False])
def test_a_bots_lost_answer(portal, connect, *, made):
    connect(portal.bot_connection(), longest_request=60)
    portal.faults.add(Fault("reset", "imbot.v2.File.upload", after_effect=made))
    with Bitrix24Hook(clock=FakeClock()) as hook:
        hook.send_file("chat2935", b"text", name="a.txt")
    assert files(portal) == [[("a.txt", b"text")]]


def test_in_a_bots_private_talk_nobody_can_look(portal, connect):
    connect(portal.bot_connection(), longest_request=60)
    portal.faults.add(Fault("reset_after", "imbot.v2.File.upload"))
    with Bitrix24Hook(clock=FakeClock()) as hook, pytest.raises(DeliveryUnknownError, match="bot's private talks"):
        hook.send_file("4", b"text", name="a.txt")


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (("chat2935", b""), FileError, "the file 'a.txt' is empty"),
        (("chat2935", "/nowhere/a.txt"), FileError, "the file '/nowhere/a.txt' can not be read: No such file"),
        (("chat2935", "/"), FileError, "'/' is a folder"),
        (("chat2935", 5), ConfigurationError, "file is a int. Give a path"),
        (("chat2935", None), ConfigurationError, "file is a NoneType. Give a path"),
        (("chat2935", ""), ConfigurationError, "file is ''. Give a path"),
        (("nobody", b"1"), ConfigurationError, "dialog_id is 'nobody'"),
        (("chat2935", []), ConfigurationError, "there are no files"),
    ],
)
def test_what_can_not_be_is_not_sent(face, portal, arguments, kind, words):
    with pytest.raises(kind, match=re.escape(words)):
        face.send_file(*arguments, name="a.txt")
    assert [call for call in portal.calls if call.http_method == "POST" and "upload" in call.method] == []


def test_a_file_that_is_too_large_is_not_even_opened(face, portal, tmp_path):
    path = tmp_path / "large.bin"
    with path.open("wb") as stream:
        # It takes no room on the disk.
        stream.truncate(100 * 1024 * 1024 + 1)
    path.chmod(0)
    with pytest.raises(
        FileError, match=r"has 104,857,601 bytes\. The portal takes 104,857,600 bytes \(100 MB\)"
    ) as caught:
        face.send_file("chat2935", path)
    assert caught.value.permanent
    assert portal.calls == []


def test_what_the_portal_finds_too_large(face, portal, monkeypatch):
    monkeypatch.setattr(portal.company, "max_file_size", 3)
    with pytest.raises(RequestRefusedError, match=r"FILE_TOO_LARGE.*files of 100 MB at most"):
        face.send_file("chat2935", b"text", name="a.txt")


@pytest.mark.parametrize(
    ("dialog_id", "kind", "words"),
    [("chat9999", NotFoundError, "CHAT_NOT_FOUND"), ("chat2936", AccessDeniedError, "ACCESS_DENIED")],
)
def test_what_the_portal_refuses(face, portal, dialog_id, kind, words):
    with pytest.raises(kind, match=words):
        face.send_file(dialog_id, b"text", name="a.txt")


def broken(change):
    """A file to which something happens while it is read."""

    class Stream(BytesIO):
        def read(self, count=-1, /):
            piece = super().read(min(count, 50_000))
            if self.tell() > 250_000:
                if change == "fails":
                    raise OSError(5, "Input/output error")
                if change == "fails strangely":
                    raise RuntimeError("https://storage.example/?token=s3cr3t")
            return piece

    content = {"grows": BYTES + b"1", "shrinks": BYTES[:-1]}.get(change, BYTES)
    return File("report.bin", len(BYTES), partial(Stream, content))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("grows", "the file 'report.bin' grew while it was sent: it had 589,825 bytes. Nothing was posted."),
        ("shrinks", "the file 'report.bin' shrank while it was sent"),
        ("fails", "the file 'report.bin' can not be read: Input/output error"),
        ("fails strangely", "the file 'report.bin' can not be read: RuntimeError"),
    ],
)
def test_a_file_that_changes_while_it_is_sent(face, portal, connect, change, words):
    connect(portal.bot_connection())
    with pytest.raises(FileError, match=re.escape(words)) as caught:
        face.send_file("chat2935", broken(change))
    assert not caught.value.permanent
    assert not leaks(caught.value, ["s3cr3t", portal.access.webhook_code, portal.bot_token])
    assert portal.messages("chat2935") == []
    # The connection was given up with it; the next one is another.
    face.send_file("chat2935", b"text", name="a.txt")
    assert files(portal) == [[("a.txt", b"text")]]


def test_a_stream_that_gives_little_at_a_time(face, portal):
    face.send_file("chat2935", broken(None))
    assert files(portal) == [[("report.bin", BYTES)]]


def test_a_portal_that_has_moved(face, portal):
    portal.faults.add(Fault("redirect", "im.v2.File.upload"))
    face.send_file("chat2935", BYTES, name="report.bin")
    assert files(portal) == [[("report.bin", BYTES)]]


def test_a_refusal_by_the_request_limit(portal):
    portal.faults.add(Fault("query_limit", "im.v2.File.upload", times=2))
    with Bitrix24Hook(clock=FakeClock()) as hook:
        hook.send_file("chat2935", BYTES, name="report.bin")
    assert files(portal) == [[("report.bin", BYTES)]]


def test_not_in_a_batch(face, portal):
    with pytest.raises(ConfigurationError, match="can not go into a batch"):
        face.batch([("im.v2.File.upload", {"dialogId": "chat2935"})])
    with pytest.raises(ConfigurationError, match="a file, which can not stand here"):
        face.batch([("profile", {"file": Content("a", 1, BytesIO)})])
    assert portal.calls == []


def test_a_slow_file_does_not_hold_up_the_event_loop(portal):
    """The loop goes on while a file is read: what it is asked for meanwhile, it does."""

    async def play():
        loop = asyncio.get_running_loop()

        class Stream(BytesIO):
            def read(self, count=-1, /):
                done = threading.Event()
                loop.call_soon_threadsafe(done.set)
                assert done.wait(5), "the event loop stood still"
                return super().read(count)

        async with Bitrix24Hook() as hook:
            await hook.asend_file("chat2935", File("a.txt", 4, partial(Stream, b"text")))

    asyncio.run(play())
    assert files(portal) == [[("a.txt", b"text")]]


def test_its_text_may_be_markdown_and_mention_people(face, portal):
    words = {"markdown": True, "mentions": True}
    face.send_file("chat2935", b"1", name="a.txt", message="**Revenue**, @anna@example.com [b]", **words)
    face.send_file("chat2935", b"1", name="a.txt", message="**Revenue**, @anna@example.com [b]x[/b]")
    first, second = portal.messages("chat2935")
    assert first.text == "[b]Revenue[/b], [user=1]Anna Petrova[/user] [\u200bb]"
    assert second.text == "**Revenue**, @anna@example.com [b]x[/b]"


def test_how_long_its_text_is_counts_as_it_is_sent(face, portal):
    face.send_file("chat2935", b"1", name="a.txt", message="x" * 19_990 + "&nbsp;" * 5, markdown=True)
    (message,) = portal.messages("chat2935")
    assert len(message.text) < 20_000
    with pytest.raises(ConfigurationError, match=r"message has 3\d,\d+ characters.* put it into the file"):
        face.send_file("chat2935", b"1", name="a.txt", message="*x* " * 4_000, markdown=True)
    assert len(portal.messages("chat2935")) == 1
