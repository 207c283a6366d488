"""What is kept of a portal's answers."""

from __future__ import annotations

import gc
import weakref

from airflow_provider_b24.chat import known as module
from airflow_provider_b24.chat.known import Known, known
from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.credentials import Webhook
from airflow_provider_b24.rest.peer import Peer
from tests.unit.rest.clocks import FakeClock


def peer(clock=None):
    return Peer(Webhook(Address("https", "example.bitrix24.com"), "1", "code"), clock=clock)


def test_an_answer_is_known_for_ten_minutes():
    clock = FakeClock()
    kept = Known(peer(clock))
    assert kept.get("deal:5") is None
    kept.put("deal:5", "chat7")
    clock.sleep(599)
    assert kept.get("deal:5") == "chat7"
    clock.sleep(1)
    assert kept.get("deal:5") is None


def test_the_oldest_are_forgotten_first(monkeypatch):
    monkeypatch.setattr(module, "MOST", 2)
    kept = Known(peer())
    for question in ("a", "b", "a", "c"):
        kept.put(question, question)
    assert [kept.get(question) for question in ("a", "b", "c")] == ["a", None, "c"]


def test_each_credential_has_its_own_and_none_outlives_it():
    one, other = peer(), peer()
    known(one).put("deal:5", "chat7")
    assert known(one).get("deal:5") == "chat7"
    assert known(other).get("deal:5") is None
    gone = weakref.ref(one)
    del one
    gc.collect()
    assert gone() is None
