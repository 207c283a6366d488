"""A renewal that fails in the midst of something larger: what was done before is told, nothing is taken for undone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_b24.chat.delivery import Memory
from airflow_provider_b24.chat.message import post
from airflow_provider_b24.rest.credentials import MemoryTokenStore, Tokens
from airflow_provider_b24.rest.errors import AuthenticationError, Bitrix24Error, DeliveryUnknownError, NotSentError
from airflow_provider_b24.rest.protocol import Call
from tests.portal.rest.drivers import OLD, SECRETS, MakeDriver, app_peer
from tests.portal.rest.leaks import leaks
from tests.portal.rest.scripted import Action, Answer, Compute, Reset, Scripted, Seen, ok, refusal

EXPIRED = refusal(401, "expired_token")
NOTHING_THERE = ok({"messages": []})


class Broken(MemoryTokenStore):
    """A store that can be read once only."""

    def __init__(self) -> None:
        super().__init__(OLD)
        self.looks = 0

    def load(self) -> Tokens:
        self.looks += 1
        if self.looks > 1:
            raise OSError
        return super().load()


def carried_out(seen: Seen) -> Answer:
    return ok({"result": dict.fromkeys(json.loads(seen.body)["cmd"], 17), "result_error": []})


@pytest.mark.parametrize(
    ("after", "store", "kind"),
    [
        ([EXPIRED, refusal(400, "invalid_grant")], MemoryTokenStore(OLD), AuthenticationError),
        ([EXPIRED], Broken(), NotSentError),
        ([refusal(401, "invalid_token")], Broken(), NotSentError),
    ],
)
def test_what_a_batch_has_done_is_told(
    driver: MakeDriver, after: list[Action], store: MemoryTokenStore, kind: type[Bitrix24Error]
) -> None:
    if isinstance(store, Broken):
        store.looks = 0
    with Scripted([Compute(carried_out), *after]) as server, driver(app_peer(server.url, tokens=store)) as client:
        outcome = client.batch([Call("crm.item.add", {"fields": {"title": at}}) for at in range(51)])
    assert list(outcome.results) == list(range(50))
    assert [type(error) for error in outcome.errors.values()] == [kind]
    assert leaks(outcome.errors[50], SECRETS) == []


@pytest.mark.parametrize("refused", [refusal(400, "invalid_grant"), refusal(401, "invalid_client")])
def test_a_message_whose_answer_was_lost_stays_unknown(driver: MakeDriver, refused: Action) -> None:
    script: list[Action] = [ok({"ID": "7"}), NOTHING_THERE, Reset(), EXPIRED, refused]
    with (
        Scripted(script, forever=True) as server,
        driver(app_peer(server.url)) as client,
        pytest.raises(DeliveryUnknownError) as caught,
    ):
        client.run(lambda peer: post(peer, memory=Memory(), dialog_id="chat2935", message="done"))
    assert [seen.path for seen in server.seen][:3] == [
        "/rest/profile",
        "/rest/im.dialog.messages.get",
        "/rest/im.message.add",
    ]
    assert leaks(caught.value, SECRETS) == []


def test_a_message_that_was_not_sent_is_kept_as_not_sent(driver: MakeDriver) -> None:
    kept: dict[str, Any] = {}
    script = [ok({"ID": "7"}), NOTHING_THERE, EXPIRED, refusal(400, "invalid_grant")]
    with Scripted(script) as server, driver(app_peer(server.url)) as client, pytest.raises(AuthenticationError):
        client.run(lambda peer: post(peer, memory=Memory(kept), dialog_id="chat2935", message="done"))
    assert kept["message"]["stage"] == "idle"
