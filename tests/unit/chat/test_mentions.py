"""Mentions in any text at all: what is not ours mentions nobody."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_b24.chat.people import with_mentions
from airflow_provider_b24.chat.text import bold, code, escape, link
from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.credentials import Webhook
from airflow_provider_b24.rest.peer import Peer

PEER = Peer(Webhook(Address("https", "example.bitrix24.com"), "1", "code"))
PARTS = [
    "@",
    "@all",
    "@anna@example.com",
    '@"Anna Petrova"',
    "@head:Sales",
    "[code]",
    "[/code]",
    "[",
    "]",
    " ",
    "\n",
    "x",
]


def without_a_call(text):
    """The text with mentions, if that takes no call."""
    with pytest.raises(StopIteration) as ended:
        next(with_mentions(PEER, text))
    return ended.value.value


@given(st.lists(st.sampled_from(PARTS), max_size=12).map("".join) | st.text(max_size=60))
@example("(@all)")
@example("@all[code]")
def test_words_that_are_not_ours_mention_nobody(text):
    for defused in (escape(text), code(text), bold(text), link("https://example.com/", text)):
        assert without_a_call(defused) == defused


@given(st.text(st.characters(exclude_characters="@"), max_size=200))
def test_a_text_without_the_sign_stays_as_it_is(text):
    assert without_a_call(text) == text


@given(st.text(max_size=40), st.text(max_size=40))
def test_what_is_about_a_mention_stays_as_it_is(before, after):
    before, after = escape(before).replace("[", ""), escape(after)
    assert without_a_call(f"{before} @all {after}") == f"{before} [user=all]all[/user] {after}"
