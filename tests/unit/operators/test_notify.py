"""NotifyOperator and the hook's notify: at parse time, and against a portal."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_b24.operators.notify import NotifyOperator
from airflow_provider_b24.rest.errors import ConfigurationError, OutcomeUnknownError, RequestRefusedError
from airflow_provider_b24.rest.methods import is_repeatable
from airflow_provider_b24.testing import Fault
from tests.portal.hook.faces import face

__all__ = ["face"]


def notification(**arguments):
    return NotifyOperator(**{"task_id": "notice", "user_id": 2, "message": "text", **arguments})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"user_id": "chat5"}, "user_id is 'chat5', which names no person. Give a user id"),
        ({"user_id": "deal:7"}, "user_id is 'deal:7', which names no person"),
        ({"user_id": None}, "user_id is None, which names no person"),
        ({"message": " "}, "message is empty"),
        ({"message": " ", "attach": [{"MESSAGE": "x"}]}, "A notification needs a text."),
        ({"message": "x" * 20_001}, "im.notify: message has 20,001 characters, and a notification has 20,000 at most."),
        ({"message": "x" * 20_001}, "Notify of its beginning, and post the whole in a dialog: MessageAddOperator"),
        ({"message": 5}, "im.notify: message is a int. A notification needs a text."),
        ({"type": "user"}, "type is 'user'. 'USER' comes from the account"),
        ({"attach": 5}, "im.notify: attach is a int"),
        ({"attach": [1]}, "im.notify: attach is a list with a int"),
        ({"markdown": "no"}, "markdown is 'no'"),
        ({"mentions": "no"}, "mentions is 'no'"),
        ({"message": " ", "markdown": True, "mentions": True}, "message is empty"),
    ],
)
def test_what_can_not_be_right_is_refused_while_the_dag_is_parsed(arguments, words):
    with pytest.raises(ConfigurationError) as caught:
        notification(**arguments)
    assert words in str(caught.value)


def test_templates_are_rendered_when_the_task_runs(dag):
    operator = notification(user_id="{{ who }}", message="{{ text }}", tag="stock-{{ n }}", attach="{{ blocks }}")
    operator.render_template_fields({"who": "user:anna@example.com", "text": "[b]12[/b]", "n": 3, "blocks": "[]"})
    assert (operator.user_id, operator.message, operator.tag) == ("user:anna@example.com", "[b]12[/b]", "stock-3")


@pytest.mark.parametrize(
    ("sender", "user_id", "of"),
    [("USER", 2, (1, 2)), ("SYSTEM", "user:boris@example.com", (0, 2)), ("USER", "user:3", (1, 3))],
)
def test_who_is_notified_by_whom(portal, context, sender, user_id, of):
    number = notification(user_id=user_id, type=sender, message_out="for e-mail", attach=[{"MESSAGE": "x"}]).execute(
        context
    )
    (sent,) = portal.company.notifications
    assert (sent.id, sent.text, (sent.author_id, sent.user_id)) == (number, "text", of)
    assert sent.params["MESSAGE_OUT"] == "for e-mail"


def test_its_text_may_be_markdown_and_mention_people(portal, face, context):
    words = {"message": "**12** left, @anna@example.com", "markdown": True, "mentions": True}
    face.notify(2, **words)
    notification(**words).execute(context)
    assert [one.text for one in portal.company.notifications] == [
        "[b]12[/b] left, [user=1]Anna Petrova[/user]",
    ] * 2


def test_how_long_it_is_counts_as_it_is_sent(portal, context):
    notification(message="x" * 19_990 + "&nbsp;" * 5, markdown=True).execute(context)
    with pytest.raises(AirflowFailException, match=r"im\.notify: message has 3\d,\d+ characters"):
        notification(task_id="longer", message="*x* " * 4_000, markdown=True).execute(context)
    assert len(portal.company.notifications) == 1


def test_a_tag_replaces_the_earlier_one(portal, face):
    for text, tag in (("1", "stock"), ("2", "stock"), ("3", "other"), ("4", None)):
        face.notify(2, text, tag=tag, sub_tag="all")
    assert [(one.text, one.sub_tag) for one in portal.company.notifications] == [
        ("2", "all"),
        ("3", "all"),
        ("4", "all"),
    ]


def test_with_a_tag_a_lost_answer_costs_nothing(portal, face):
    portal.faults.add(Fault("reset_after", method="im.notify"))
    number = face.notify(2, "text", tag="stock")
    (sent,) = portal.company.notifications
    assert sent.id == number


def test_without_a_tag_nobody_sends_again(portal, context, face):
    portal.faults.add(Fault("reset_after", method="im.notify", times=2))
    with pytest.raises(OutcomeUnknownError, match="not sent again"):
        face.notify(2, "text")
    with pytest.raises(AirflowFailException, match="not sent again"):
        notification().execute({})
    assert len(portal.company.notifications) == 2


def test_a_task_that_is_tried_again_replaces_what_it_has_sent(portal, context):
    portal.faults.add(Fault("reset_after", method="im.notify"))
    operator = notification()
    first = operator.execute(context)
    context["ti"].try_number = 2
    operator.message = "later"
    assert operator.execute(context) != first
    assert [one.text for one in portal.company.notifications] == ["later"]


@pytest.mark.parametrize(("other", "value"), [("max_tries", 1), ("run_id", "next"), ("map_index", 0), ("task_id", "b")])
def test_another_task_or_one_that_was_cleared_notifies_anew(portal, context, other, value):
    operator = notification()
    operator.execute(context)
    setattr(context["ti"], other, value)
    operator.execute(context)
    assert len(portal.company.notifications) == 2


def test_nobody_takes_another_persons_notification(portal, context):
    for person in (2, 3):
        notification(task_id=f"notice_{person}", user_id=person).execute(context)
    assert [one.user_id for one in portal.company.notifications] == [2, 3]


def test_what_the_portal_does_not_send_is_an_error(portal, face):
    with pytest.raises(RequestRefusedError, match="did not notify user 101"):
        face.notify(101, "text")


@pytest.mark.parametrize(
    ("params", "repeatable"),
    [
        ({"TAG": "a", "CLIENT_ID": "b"}, True),
        ({"TAG": "a"}, False),
        ({"CLIENT_ID": "b", "SUB_TAG": "a"}, False),
        ({"TAG": "", "CLIENT_ID": "b"}, False),
        ([], False),
    ],
    ids=str,
)
def test_only_what_replaces_itself_is_repeated(params, repeatable):
    for method in ("im.notify", "im.notify.personal.add", "IM.Notify.System.Add"):
        assert is_repeatable(method, params) is repeatable
