"""What the hook makes of a log or an exception, for a message."""

from __future__ import annotations

from airflow.sdk.log import mask_secret

from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from tests.portal.rest.leaks import found

CODE = "s3cr3tw3bh00kc0de"


def test_neither_our_secrets_nor_airflows_are_in_it(connect):
    connect({"conn_type": "bitrix24", "host": "acme.bitrix24.com", "login": "7", "password": CODE})
    mask_secret("warehousepassw0rd")
    log = f"\x1b[31m[b]login\x1b[0m with {CODE} and warehouse\x1b[1mpassw0rd failed[/b]\n>>quote"
    shown = Bitrix24Hook().excerpt(log)
    assert found(shown, [CODE, "warehousepassw0rd"]) == []
    assert shown == "[\u200bb]login with *** and *** failed[\u200b/b]\n\u200b>>quote"
    assert Bitrix24Hook().excerpt(ValueError(f"[b]{CODE}")).endswith("ValueError: [\u200bb]***")
    assert len(Bitrix24Hook().excerpt(log * 1000, most=500)) <= 500


def test_it_goes_out_as_it_is(portal):
    portal.clear()
    hook = Bitrix24Hook()
    hook.send_message("chat2935", hook.excerpt("[user=all]x[/user]"))
    assert portal.messages("chat2935")[-1].text == "[\u200buser=all]x[\u200b/user]"
