"""What Airflow reads at start. It does so while it is itself being imported: nothing of Airflow may be used here."""

from __future__ import annotations

from typing import Any

_HOOK = "airflow_provider_b24.hooks.bitrix24.Bitrix24Hook"
_SECRET = {"type": ["string", "null"], "format": "password"}
_TEXT = {"type": ["string", "null"]}


def get_provider_info() -> dict[str, Any]:
    """The provider's description, as ``apache_airflow_provider`` entry points return it."""
    return {
        "package-name": "airflow-provider-b24",
        "name": "Bitrix24",
        "description": "Bitrix24: typing indicators, messages and REST calls from Airflow tasks.",
        "integrations": [
            {
                "integration-name": "Bitrix24",
                "external-doc-url": "https://apidocs.bitrix24.com/",
                "tags": ["service"],
            }
        ],
        "connection-types": [
            {
                "connection-type": "bitrix24",
                "hook-class-name": _HOOK,
                "hook-name": "Bitrix24",
                "ui-field-behaviour": {
                    "hidden-fields": [],
                    "relabeling": {
                        "host": "Portal",
                        "login": "Webhook user id",
                        "password": "Webhook code or whole webhook URL",
                        "schema": "Scheme",
                    },
                    "placeholders": {
                        "host": "example.bitrix24.com (empty with a whole webhook URL)",
                        "login": "1 (empty with a whole webhook URL)",
                        "password": "https://example.bitrix24.com/rest/1/…/",
                        "schema": "https",
                        "port": "443",
                    },
                },
                "conn-fields": _conn_fields(),
            }
        ],
        "hooks": [{"integration-name": "Bitrix24", "python-modules": ["airflow_provider_b24.hooks.bitrix24"]}],
        "operators": [
            {
                "integration-name": "Bitrix24",
                "python-modules": [
                    "airflow_provider_b24.operators.dialog",
                    "airflow_provider_b24.operators.file",
                    "airflow_provider_b24.operators.message",
                    "airflow_provider_b24.operators.notify",
                    "airflow_provider_b24.operators.rest",
                ],
            }
        ],
        "notifications": [
            "airflow_provider_b24.notifications.bitrix24.Bitrix24Notifier",
            "airflow_provider_b24.notifications.run_message.RunMessage",
        ],
        "transfers": [
            {
                "source-integration-name": "Bitrix24",
                "target-integration-name": "Object storage",
                "python-module": "airflow_provider_b24.transfers.bitrix24_to_object_storage",
            },
            {
                "source-integration-name": "Bitrix24",
                "target-integration-name": "Common SQL",
                "python-module": "airflow_provider_b24.transfers.bitrix24_to_sql",
            },
            {
                # Any database whose provider has a DbApiHook; the name is of the provider which defines that.
                "source-integration-name": "Common SQL",
                "target-integration-name": "Bitrix24",
                "python-module": "airflow_provider_b24.transfers.sql_to_dialog",
            },
            {
                "source-integration-name": "Common SQL",
                "target-integration-name": "Bitrix24",
                "python-module": "airflow_provider_b24.transfers.sql_to_bitrix24",
            },
            {
                "source-integration-name": "Common IO",
                "target-integration-name": "Bitrix24",
                "python-module": "airflow_provider_b24.transfers.object_storage_to_bitrix24",
            },
        ],
        "triggers": [{"integration-name": "Bitrix24", "python-modules": ["airflow_provider_b24.triggers.dialog"]}],
        "extra-links": [
            f"airflow_provider_b24.links.portal.{name}"
            for name in ("ChatLink", "CrmListLink", "DealLink", "MessageLink", "PersonLink", "TaskLink")
        ],
        "asset-uris": [{"schemes": ["bitrix24"], "handler": "airflow_provider_b24.crm.assets.normalised"}],
        "cli": ["airflow_provider_b24.cli.definition.get_bitrix24_cli_commands"],
        "config": {
            "bitrix24": {
                "description": "The provider for Bitrix24.",
                "options": {
                    "token_store": {
                        "description": "Where renewed tokens of OAuth applications are kept: the dotted path of what "
                        "makes an object with load() and save(tokens), from a connection's id and the tokens in the "
                        "connection. Default: in Airflow Variables.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "acme.vault.BitrixTokens",
                        "default": "",
                    },
                    "listener": {
                        "description": "Whether to show typing for tasks with the param bitrix24_typing, and a message "
                        "for the runs of DAGs with a tag such as bitrix24:chat2935. To be set for the scheduler, the "
                        "workers and the API server.",
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": "True",
                        "default": "False",
                    },
                    "listener_language": {
                        "description": "The language of those messages: en or ru.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "ru",
                        "default": "en",
                    },
                },
            }
        },
        "task-decorators": [
            {
                "name": "bitrix24_report",
                "class-name": "airflow_provider_b24.decorators.bitrix24_report.bitrix24_report_task",
            }
        ],
    }


def _conn_fields() -> dict[str, Any]:
    return {
        "client_id": {
            "label": "Application: client_id",
            "schema": _TEXT,
            "description": "Only for an OAuth application instead of a webhook; then leave the password empty.",
        },
        "client_secret": {
            "label": "Application: client_secret",
            "schema": _SECRET,
            "description": "With it the application can be authorised: airflow bitrix24 authorize CONN_ID",
        },
        "access_token": {
            "label": "Application: access_token",
            "schema": _SECRET,
            "description": "Empty if the application was authorised by that command. A pair that is entered here wins "
            "over tokens that were stored before.",
        },
        "refresh_token": {
            "label": "Application: refresh_token",
            "schema": _SECRET,
            "description": "Used up when it is renewed for the first time; the new ones are in the Variable "
            "bitrix24_tokens_CONN_ID.",
        },
        "oauth_url": {
            "label": "Application: token address",
            "schema": _TEXT,
            "description": "Default: https://oauth.bitrix24.tech/oauth/token/",
        },
        "bot_id": {
            "label": "Bot: id",
            "schema": {"type": ["integer", "null"], "minimum": 1},
            "description": "To speak as a chat bot. This registers one: airflow bitrix24 bot register CONN_ID --name …",
        },
        "bot_token": {
            "label": "Bot: token",
            "schema": _SECRET,
            "description": "The token it was registered with; needed with a webhook.",
        },
        "timeout": {
            "label": "Time-out (s)",
            "schema": {"type": ["number", "null"], "minimum": 1},
            "description": "How long to wait for an answer. Default 65: the portal itself gives up after 60.",
        },
        "longest_request": {
            "label": "Longest request (s)",
            "schema": {"type": ["number", "null"], "minimum": 1},
            "description": "After how long the portal gives a request up. Default 60, as in the cloud. A message whose "
            "answer is lost is sent again only after one and a half times that.",
        },
        "deadline": {
            "label": "Deadline (s)",
            "schema": {"type": ["number", "null"], "minimum": 1},
            "description": "How long an exchange may take in all. Default 300; a file's own time comes on top of it.",
        },
        "max_response_mb": {
            "label": "Largest answer (MB)",
            "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
            "description": "A larger one is not read to its end. Default 64.",
        },
        "verify": {
            "label": "Verify TLS",
            "schema": _TEXT,
            "description": "true (default), false, or the path of a file with certificate authorities.",
        },
        "proxy": {
            "label": "Proxy",
            "schema": _TEXT,
            "description": "URL of a proxy, such as http://proxy.example:3128. Default: what the environment says.",
        },
        "redirect_hosts": {
            "label": "Redirects to",
            "schema": _TEXT,
            "description": "Hosts that a redirect may take the secret to, separated by commas, besides the portal's "
            "own and, for a cloud portal, other cloud portals.",
        },
        "plan": {
            "label": "Plan",
            "schema": {"type": ["string", "null"], "enum": ["standard", "enterprise", "unlimited"]},
            "description": "The portal's request limit: standard is 50 at once and 2 a second, enterprise 250 and 5; "
            "unlimited is for on-premise. Default: standard.",
        },
        "burst": {
            "label": "Requests at once",
            "schema": {"type": ["number", "null"], "minimum": 1},
            "description": "Instead of the plan's.",
        },
        "rate": {
            "label": "Requests a second",
            "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
            "description": "Instead of the plan's.",
        },
        "operating_limit": {
            "label": "Execution time of a method (s)",
            "schema": {"type": ["number", "null"], "minimum": 1},
            "description": "What the portal allows in ten minutes. Default: 480, or 420 where the plan is unlimited.",
        },
        "limiter_url": {
            "label": "Limiter: Redis URL",
            "schema": _SECRET,
            "description": "Only for several hosts behind one address, to share the request limit, such as "
            "redis://:password@redis.example:6379/0. Airflow shows it to those who may read connections unless "
            "core.sensitive_var_conn_names contains limiter_url.",
        },
    }
