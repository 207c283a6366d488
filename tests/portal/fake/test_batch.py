"""``batch``."""

from __future__ import annotations

import requests


def test_every_section_of_the_answer(call, portal):
    portal.add_deals(120)
    result = call.result(
        "batch", {"cmd": {"me": "profile", "deals": "crm.item.list?entityTypeId=2&select[]=id", "bad": "no.such"}}
    )
    assert result["result"]["me"]["ID"] == "1"
    assert len(result["result"]["deals"]["items"]) == 50
    assert result["result_error"]["bad"]["error"] == "ERROR_METHOD_NOT_FOUND"
    assert result["result_total"] == {"deals": 120}
    assert result["result_next"] == {"deals": 50}
    assert set(result["result_time"]) == {"me", "deals"}


def test_empty_sections_are_lists(call):
    result = call.result("batch", {"cmd": {"me": "profile"}})
    assert result["result_error"] == result["result_total"] == result["result_next"] == []


def test_numbered_keys_become_lists(call):
    result = call.result("batch", {"cmd": ["profile", "server.time"]})
    assert isinstance(result["result"], list)
    result = call.result("batch", {"cmd": {"0": "nope", "1": "profile"}})
    assert isinstance(result["result_error"], list)
    assert set(result["result"]) == {"1"}


def test_references_keep_types_and_fill_in_text(call, portal):
    call.result(
        "batch",
        {
            "halt": 1,
            "cmd": {
                "me": "user.current",
                "post": "im.message.add?DIALOG_ID=chat2935&MESSAGE=I+am+%24result%5Bme%5D%5BID%5D%2C+$result[me][NAME]",
                "like": "im.dialog.read?DIALOG_ID=chat2935&MESSAGE_ID=$result[post]",
            },
        },
    )
    assert portal.messages("chat2935")[0].text == "I am 1, Anna"
    assert portal.calls[-1].params["MESSAGE_ID"] == portal.messages("chat2935")[0].id


def test_pages_chained_by_references(call, portal):
    portal.add_deals(130)
    page = "crm.item.list?entityTypeId=2&start=-1&order[id]=ASC&select[]=id&filter[%3Eid]="
    result = call.result(
        "batch",
        {
            "halt": 1,
            "cmd": {
                "p0": page + "0",
                "p1": page + "$result[p0][items][49][id]",
                "p2": page + "$result[p1][items][49][id]",
            },
        },
    )
    ids = [item["id"] for key in ("p0", "p1", "p2") for item in result["result"][key]["items"]]
    assert ids == list(range(1, 131))


def test_a_reference_to_nothing_stays_as_text(call, portal):
    portal.add_deals(3)
    bound = "$result[p0][items][49][id]"
    result = call.result(
        "batch",
        {
            "cmd": {
                "p0": "crm.item.list?entityTypeId=2&start=-1",
                "p1": f"crm.item.list?entityTypeId=2&start=-1&filter[>id]={bound}",
                "old": f"crm.deal.list?start=-1&select[]=ID&filter[>ID]={bound}",
                "text": f"im.message.add?DIALOG_ID=chat2935&MESSAGE={bound}",
            }
        },
    )
    assert result["result_error"]["p1"]["error"] == "INVALID_ARG_VALUE"
    assert [row["ID"] for row in result["result"]["old"]] == ["1", "2", "3"]  # text is 0 to a number's column
    assert portal.messages("chat2935")[0].text == bound


def test_halt_leaves_the_rest_out(call, portal):
    commands = {"a": "profile", "b": "no.such", "c": "im.message.add?DIALOG_ID=chat2935&MESSAGE=x"}
    result = call.result("batch", {"halt": 1, "cmd": commands})
    assert set(result["result"]) == {"a"}
    assert set(result["result_error"]) == {"b"}
    assert portal.messages("chat2935") == []
    result = call.result("batch", {"halt": False, "cmd": commands})
    assert set(result["result"]) == {"a", "c"}


def test_the_first_fifty_run(call):
    result = call.result("batch", {"cmd": {f"k{number}": "server.time" for number in range(53)}})
    assert len(result["result"]) == 50
    assert {key: error["error"] for key, error in result["result_error"].items()} == dict.fromkeys(
        ("k50", "k51", "k52"), "ERROR_BATCH_LENGTH_EXCEEDED"
    )


def test_what_may_not_be_in_a_batch(call):
    commands = {"a": "batch?cmd[0]=profile", "b": "im.v2.File.upload", "c": "disk.folder.uploadfile"}
    errors = call.result("batch", {"cmd": commands})["result_error"]
    assert {error["error"] for error in errors.values()} == {"ERROR_BATCH_METHOD_NOT_ALLOWED"}
    assert call.refusal("batch", {})[0] == 400


def test_a_batch_in_a_form_is_encoded_twice(portal):
    reply = requests.post(
        portal.webhook_url + "batch",
        data={"cmd[add]": "im.message.add?DIALOG_ID=chat2935&MESSAGE=Tom%20%26%20Jerry"},
        timeout=10,
    )
    assert portal.messages("chat2935")[0].id == reply.json()["result"]["result"]["add"]
    assert portal.messages("chat2935")[0].text == "Tom & Jerry"


def test_sub_commands_are_recorded_apart(call, portal):
    call.result("batch", {"cmd": {"a": "profile", "b": "no.such"}})
    assert [(one.method, one.in_batch, one.status) for one in portal.calls] == [
        ("batch", False, 200), ("profile", True, 200), ("no.such", True, 404),
    ]  # fmt: skip
    assert [one.method for one in portal.requests] == ["batch"]
