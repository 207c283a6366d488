"""Posting files, by both halves of the hook."""

from __future__ import annotations

import base64
import json
import random

import pytest

from airflow_provider_b24.chat.files import File
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.testing import Fault
from tests.portal.hook.faces import AsyncFace, SyncFace
from tests.unit.rest.clocks import FakeClock

# No multiple of what is read at once, or of three.
BYTES = random.Random(5).randbytes(3 * (3 << 16) + 1)


def files(portal, dialog_id="chat2935"):
    """The files of a dialog's messages: names and contents."""
    return [
        [(card["name"], portal.company.files[card["id"]].content) for card in message.files]
        for message in portal.messages(dialog_id)
    ]


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
