"""Tasks that print what they should not."""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk import DAG, Variable, task

from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook

with DAG("talkative", schedule=None):

    @task
    def prints_the_code():
        hook = Bitrix24Hook("by_url")
        hook.call("profile")
        url = (hook.get_connection("by_url").password or "").rstrip("/")
        # Airflow masks the whole password by itself; the code alone is a part of it.
        print("the code is", url.rpartition("/")[2])  # noqa: T201
        print("the address is", url)  # noqa: T201
        print("the client is", hook.get_conn(), vars(hook))  # noqa: T201

    @task
    def prints_a_token(conn_id):
        hook = Bitrix24Hook(conn_id)
        hook.call("profile")
        for name, value in hook.get_connection(conn_id).extra_dejson.items():
            logging.getLogger(__name__).warning("%s is %s", name, value)

    @task
    def prints_renewed_tokens():
        with Bitrix24Hook("tokens_task") as hook:
            hook.call("profile")
            tokens: Any = hook.get_conn().peer.current
        print("the access token is", tokens.access_token)  # noqa: T201
        print("the refresh token is", tokens.refresh_token)  # noqa: T201
        print("the Variable is", Variable.get("bitrix24_tokens_tokens_task"))  # noqa: T201

    @task
    def fails_with_the_code():
        hook = Bitrix24Hook("by_url")
        hook.call("profile")
        secret = (hook.get_connection("by_url").password or "").rstrip("/").rpartition("/")[2]
        raise RuntimeError(f"the code was {secret}")

    prints_the_code()
    prints_a_token.override(task_id="prints_bot_token")("bot")
    prints_renewed_tokens()
    fails_with_the_code()
