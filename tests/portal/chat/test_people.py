"""People who are mentioned in a text, and people as addressees."""

from __future__ import annotations

from functools import partial

import pytest

from airflow_provider_b24.chat import directory
from airflow_provider_b24.chat.markdown import to_bbcode
from airflow_provider_b24.chat.people import with_mentions
from airflow_provider_b24.chat.text import escape
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.rest.errors import AccessDeniedError, ConfigurationError, NotFoundError
from airflow_provider_b24.testing import Fault
from tests.portal.hook.faces import SyncFace
from tests.unit.rest.clocks import FakeClock

ANNA = "[user=1]Anna Petrova[/user]"
BORIS = "[user=2]Boris Orlov[/user]"
DANIEL = "[user=4]Daniel Kim[/user]"


@pytest.fixture
def mentioned(face):
    """The text as it is posted."""

    def look_up(text):
        find = partial(with_mentions, text=text)
        if isinstance(face, SyncFace):
            return face.hook.get_conn().run(find)

        async def run():
            return await (await face.hook.aget_conn()).run(find)

        return face.loop.run_until_complete(run())

    return look_up


@pytest.fixture
def deal(portal):
    """Somebody is responsible for it."""
    if 1 not in portal.company.crm.tables[2].rows:
        portal.add_deals(1)
    portal.company.crm.tables[2].rows[1]["assignedById"] = 2
    return 1


def requests(portal):
    return [call.method for call in portal.requests]


def inside(portal):
    return [call.method for call in portal.calls if call.in_batch]


MENTIONS = {
    "an address": ("Ask @anna@example.com.", f"Ask {ANNA}.", ["user.get"]),
    "an address in capitals": ("@ANNA@example.com", ANNA, ["user.get"]),
    "a name": ('@"Anna Petrova", look', f"{ANNA}, look", ["im.search.user.list"]),
    "a name the other way round": ('@"petrova  anna"', ANNA, ["im.search.user.list"]),
    "the head of a department": ("@head:Analytics", ANNA, ["im.search.department.list"]),
    "the head by the full name": ('@head:"Sales / Example Ltd"', DANIEL, ["im.search.department.list"]),
    "who is responsible for a task": ("@responsible:task:8293", DANIEL, ["tasks.task.get"]),
    "everybody": ("@all: read this", "[user=all]all[/user]: read this", []),
    "a department": (
        '@department:"Sales / Example Ltd"',
        f"{BORIS}, [user=3]Clara Weiss[/user]",
        ["im.search.department.list", "im.department.employees.get"],
    ),
    "the same one twice": ("@anna@example.com and @anna@example.com", f"{ANNA} and {ANNA}", ["user.get"]),
    "in other tags": ("[b]@anna@example.com[/b]", f"[b]{ANNA}[/b]", ["user.get"]),
}  # fmt: skip


@pytest.mark.parametrize(("text", "posted", "methods"), MENTIONS.values(), ids=MENTIONS)
def test_who_is_mentioned(mentioned, portal, text, posted, methods):
    assert mentioned(text) == posted
    assert requests(portal) == methods


def test_who_is_responsible_for_a_deal(mentioned, portal, deal):
    assert mentioned(f"@responsible:deal:{deal}") == BORIS
    assert requests(portal) == ["crm.item.get", "im.user.list.get"]


def test_all_of_a_text_are_looked_up_in_one_request(mentioned, portal):
    text = '@anna@example.com @boris@example.com @"Daniel Kim" @head:Accounting @responsible:task:8293 @all'
    assert mentioned(text) == f"{ANNA} {BORIS} {DANIEL} [user=5]Elena Volkova[/user] {DANIEL} [user=all]all[/user]"
    assert requests(portal) == ["batch"]


def test_what_needs_a_second_look_shares_it(mentioned, portal, deal):
    text = f"@responsible:deal:{deal} @department:Accounting @anna@example.com"
    assert mentioned(text) == f"{BORIS} [user=5]Elena Volkova[/user] {ANNA}"
    assert requests(portal) == ["batch", "batch"]
    assert inside(portal)[3:] == ["im.department.employees.get", "im.user.list.get"]


UNTOUCHED = {
    "an address": "write to anna@example.com",
    "an address in brackets": "<anna@example.com>",
    "within a word": "x@all",
    "within a URL": "https://example.com/@all and ftp://user:@all",
    "code": "[code]@anna@example.com @all[/code]",
    "code that does not end": "[CODE]@anna@example.com\n@all",
    "a link": "[url=https://example.com/]@anna@example.com[/url]",
    "a mention": "[user=1]@anna@example.com[/user]",
    "a name of one word": "@Anna, @anna",
    "a longer word": "@allow @all@ @all_",
    "nobody": "@ @@ @. @\"\" @head: @department: @responsible:deal:x @responsible:deal:0 @responsible:task:5x",
    "an excerpt": escape('@anna@example.com @"Anna Petrova" (@all) @head:Sales'),
}  # fmt: skip


@pytest.mark.parametrize("text", UNTOUCHED.values(), ids=UNTOUCHED)
def test_what_is_no_mention(mentioned, portal, text):
    assert mentioned(text) == text
    assert portal.requests == []


def test_after_code_that_ends_mentions_go_on(mentioned):
    text = "[code]@all[/code] @all [url]https://example.com/@all[/url] @all"
    assert mentioned(text) == text.replace(" @all", " [user=all]all[/user]")


UNKNOWN = {
    "no such address": ("@nobody@example.com", "no active user has the e-mail address nobody@example.com"),
    "one who left": ("@felix@example.com", "no active user has the e-mail address felix@example.com"),
    "no such name": ('@"Anna Orlova"', "nobody is called Anna Orlova"),
    "a part of a name": ('@"An Pet"', "nobody is called An Pet"),
    "one who left, by name": ('@"Felix Braun"', "nobody is called Felix Braun"),
    "a bot": ('@"Report Bot"', "nobody is called Report Bot"),
    "no such department": ("@head:Stock", "no department is called Stock"),
    "two departments": (
        "@head:Sales",
        "2 departments are called Sales. Write the full name: 'Sales / Example Ltd', 'Sales / Analytics / Example Ltd'",
    ),
    "a department without a head": ('@head:"Sales / Analytics / Example Ltd"', "Sales / Analytics / Example Ltd has"),
    "a department without people": ('@department:"Sales / Analytics / Example Ltd"', "nobody works in Sales / Anal"),
    "no such task": ("@responsible:task:99999", "nobody is responsible for task 99999, or this account can not see it"),
    "no such deal": ("@responsible:deal:99999", "crm.item.get: NOT_FOUND"),
}  # fmt: skip


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize(("text", "words"), UNKNOWN.values(), ids=UNKNOWN)
def test_who_can_not_be_found_stays_as_written(mentioned, caplog, text, words):
    assert mentioned(f"{text}, look") == f"{text}, look"
    (warning,) = warnings(caplog)
    assert text in warning
    assert words in warning


def test_who_left_is_not_mentioned_for_what_he_was_responsible_for(mentioned, portal, deal, caplog):
    portal.company.crm.tables[2].rows[deal]["assignedById"] = 6
    assert mentioned(f"@responsible:deal:{deal}") == f"@responsible:deal:{deal}"
    assert "user 6 is not among the active users" in warnings(caplog)[0]


def test_two_people_of_one_name(mentioned, portal, caplog):
    portal.add_user("Hugo Twin")
    portal.add_user("Hugo Twin")
    assert mentioned('@"Hugo Twin"') == '@"Hugo Twin"'
    assert "people are called Hugo Twin" in warnings(caplog)[0]


def test_a_department_too_large_to_be_mentioned(mentioned, portal, caplog, monkeypatch):
    monkeypatch.setattr(directory, "MOST_OF_A_DEPARTMENT", 1)
    text = '@department:"Sales / Example Ltd"'
    assert mentioned(text) == text
    assert '2 people work in Sales / Example Ltd. Mention its head instead: @head:"Sales' in warnings(caplog)[0]


def test_what_the_portal_calls_somebody_is_no_bbcode(mentioned, portal):
    if not any(user.email == "max@example.com" for user in portal.company.users.values()):
        portal.add_user("Max [b]Bold", email="max@example.com")
    assert mentioned("@max@example.com").endswith(f"]{escape('Max [b]Bold')}[/user]")


def test_people_are_known_for_a_while(mentioned, portal, caplog):
    text = "@anna@example.com @nobody@example.com"
    posted = [mentioned(text) for _ in range(3)]
    assert posted == [f"{ANNA} @nobody@example.com"] * 3
    assert requests(portal) == ["batch"]
    assert len(warnings(caplog)) == 1


def test_a_missing_scope_is_named_and_the_others_are_mentioned(mentioned, portal, caplog):
    portal.scopes = ["im"]
    assert mentioned('@anna@example.com @"Boris Orlov"') == f"@anna@example.com {BORIS}"
    assert "user.get: insufficient_scope" in warnings(caplog)[0]


def test_below_the_scope_user_addresses_are_not_shown_but_found(mentioned, portal):
    portal.scopes = ["im", "user_brief"]
    assert mentioned("@anna@example.com @boris@example.com") == f"{ANNA} {BORIS}"


@pytest.mark.parametrize("method", ["user.get", "batch"])
def test_a_portal_that_can_not_be_asked_does_not_hold_the_message_up(mentioned, portal, caplog, method):
    portal.faults.add(Fault("error", method, code="ACCESS_DENIED", status=403))
    text = "@anna@example.com" if method == "user.get" else "@anna@example.com @boris@example.com"
    assert mentioned(text) == text
    assert "ACCESS_DENIED" in warnings(caplog)[0]


def test_a_passing_trouble_is_forgotten(portal):
    portal.faults.add(Fault("html_503", "user.get", times=4))
    find = partial(with_mentions, text="@anna@example.com")
    with Bitrix24Hook(clock=FakeClock()) as hook:
        assert [hook.get_conn().run(find) for _ in range(2)] == ["@anna@example.com", ANNA]


@pytest.mark.parametrize(
    ("reference", "dialog_id", "methods"),
    [
        ("user:Boris Orlov", "2", ["im.search.user.list"]),
        ('user:"Boris Orlov"', "2", ["im.search.user.list"]),
        ("head:Analytics", "1", ["im.search.department.list"]),
        ("head:Sales / Example Ltd", "4", ["im.search.department.list"]),
        ("responsible:task:8293", "4", ["tasks.task.get"]),
        ("responsible:deal:1", "2", ["crm.item.get"]),
    ],
)
@pytest.mark.usefixtures("deal")
def test_addressees(face, portal, reference, dialog_id, methods):
    assert face.dialog_id(reference) == dialog_id
    assert face.dialog_id(reference) == dialog_id
    assert requests(portal) == methods


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("user:Anna Orlova", "nobody is called Anna Orlova"),
        ("head:Sales", "2 departments are called Sales"),
        ("responsible:task:99999", "nobody is responsible for task 99999"),
    ],
)
def test_nobody_is_written_to_who_was_not_meant(face, portal, reference, words):
    with pytest.raises(NotFoundError, match=words):
        face.dialog_id(reference)


def test_without_the_scope_an_addressee_is_refused(face, portal):
    portal.scopes = ["im"]
    with pytest.raises(AccessDeniedError, match="insufficient_scope"):
        face.dialog_id("responsible:deal:1")


@pytest.mark.parametrize("who", ["anna@example.com", "Anna Petrova", "user:anna@example.com", "head:Analytics", 1, "1"])
def test_somebody_is_found_and_mentioned(face, portal, who):
    assert face.find_user(who) == 1
    assert face.mention(who) == ANNA


@pytest.mark.parametrize("who", ["", "@", None, True, 0, "deal:5", "responsible:deal:x", 'x"y@'])
def test_what_names_nobody(face, portal, who):
    with pytest.raises(ConfigurationError, match="names nobody"):
        face.find_user(who)
    assert portal.requests == []


def test_no_text_takes_long(mentioned):
    for text in ("[code" * 50_000, '@"' * 100_000, "@a.b-" * 40_000, "[url]" * 50_000):
        assert mentioned(text) == text


def test_mentions_in_markdown(mentioned):
    text = to_bbcode("Ask **@anna@example.com**, not `@all`:\n\n```\n@all\n```\n\n[user=all]")
    assert mentioned(text) == text.replace("@anna@example.com", ANNA)
    assert ANNA in mentioned(text)
