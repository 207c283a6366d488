"""Data as a table in a dialog, from both halves of the hook."""

from __future__ import annotations

import pytest

from airflow_provider_b24.chat import text
from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.testing import Fault

FEW = [{"region": "North [b]", "sum": 5}, {"region": "South", "sum": None}]
MANY = [(number, "x") for number in range(51)]


def content(portal, message):
    (card,) = message.files
    return portal.company.files[card["id"]]


def test_what_fits_is_in_the_message(portal, face):
    message_id = face.send_table("chat2935", FEW, title="Sales", message="of [b]today[/b]", language="ru")
    (message,) = portal.messages("chat2935")
    assert (message.id, message.text) == (message_id, "[b]Sales[/b]\nof [b]today[/b]")
    (block,) = message.params["ATTACH"]
    assert [cell["VALUE"] for cell in block["GRID"]] == ["[b]sum[/b]", "5", "–"]


def test_what_is_too_much_is_a_file(portal, face):
    face.send_table("chat2935", MANY, columns=["n", "x"], title="T", file_name="n.csv")
    (message,) = portal.messages("chat2935")
    assert message.text == "[b]T[/b]\nRows: 51"
    assert content(portal, message).name == "n.csv"
    assert content(portal, message).content.startswith(b"\xef\xbb\xbfn,x\r\n0,x\r\n")


def test_letters_of_one_width_where_an_attachment_is_too_narrow(portal, face):
    face.send_table("chat2935", text.table([tuple("abcdef")], columns=[*"uvwxyz"]), message="m")
    (message,) = portal.messages("chat2935")
    assert message.text == "m\n[code]u  v  w  x  y  z\n─  ─  ─  ─  ─  ─\na  b  c  d  e  f[/code]"
    assert "ATTACH" not in message.params


def test_both_are_one_message(portal, face):
    face.send_table("chat2935", MANY, send_as="both", language="ru")
    (message,) = portal.messages("chat2935")
    assert message.text.startswith("[code]0  x\n1  x\n")
    assert message.text.endswith("9  x[/code]\n… первые 10 строк из 51")
    assert content(portal, message).content.count(b"\r\n") == 51


def test_no_rows(portal, face):
    face.send_table("chat2935", [], title="T", columns=["a"])
    face.send_table("chat2935", [], columns=["a"], send_as="file")
    first, second = portal.messages("chat2935")
    assert first.text == "[b]T[/b]\nNo rows"
    assert (second.text, content(portal, second).content) == ("Rows: 0", b"\xef\xbb\xbfa\r\n")


@pytest.mark.parametrize(
    ("rows", "options", "said"),
    [
        ([("x" * 400, "y")] * 51, {"send_as": "table"}, "the table has 51 rows, too much for a message"),
        (FEW, {"send_as": "excel"}, "send_as is 'excel'. It can be 'auto', 'table', 'file', 'both'."),
        (FEW, {"file_name": "x.xls"}, "file_name is 'x.xls'"),
        ("text", {}, "rows is a str"),
        (FEW, {"once": "x"}, "once is 'x', and no task is running here"),
    ],
    ids=range(5),
)
def test_what_can_not_be_sent(portal, face, rows, options, said):
    with pytest.raises(ConfigurationError) as caught:
        face.send_table("chat2935", rows, **options)
    assert said in str(caught.value)
    assert portal.calls == []


@pytest.mark.parametrize(("way", "method"), [("table", "im.message.add"), ("file", "im.v2.File.upload")])
def test_an_answer_that_is_lost(portal, face, way, method):
    portal.faults.add(Fault("reset_after", method=method))
    message_id = face.send_table("chat2935", FEW, send_as=way)
    assert [message.id for message in portal.messages("chat2935")] == [message_id]


@pytest.mark.parametrize("way", ["table", "both"])
def test_title_and_text_may_be_markdown_and_mention_people(portal, face, way):
    words = {"title": "Sales of **@anna@example.com** [b]", "message": "_today_, @boris@example.com"}
    face.send_table("chat2935", FEW, **words, markdown=True, mentions=True, send_as=way)
    face.send_table("chat2935", FEW, **words, mentions=True, send_as=way)
    face.send_table("chat2935", FEW, **words, send_as=way)
    anna, boris, zero = "[user=1]Anna Petrova[/user]", "[user=2]Boris Orlov[/user]", "\u200b"
    for message, expected in zip(
        portal.messages("chat2935"),
        [
            f"[b]Sales of {anna} [{zero}b][/b]\n[i]today[/i], {boris}",
            f"[b]Sales of **@anna@example.com** [{zero}b][/b]\n_today_, {boris}",
            f"[b]Sales of **@anna@example.com** [{zero}b][/b]\n_today_, @boris@example.com",
        ],
        strict=True,
    ):
        assert message.text.startswith(expected)
        assert ("[code]" in message.text) == (way == "both")


@pytest.mark.parametrize("way", ["x.xlsx", "x.parquet"])
def test_a_dataframe_with_time_zones_as_a_file(portal, face, way):
    import pandas

    frame = pandas.DataFrame({"t": pandas.to_datetime(["2026-01-31T10:00Z", None]), "n": [10**30, 1]})
    face.send_table("chat2935", frame, send_as="file", file_name=way)
    (message,) = portal.messages("chat2935")
    assert content(portal, message).name == way


def test_a_text_that_is_none(face):
    with pytest.raises(ConfigurationError, match="message is a int"):
        face.send_table("chat2935", FEW, message=5)
