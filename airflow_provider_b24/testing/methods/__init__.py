"""The methods, one module for each family. Importing ``load`` registers them."""

from __future__ import annotations


def load() -> None:
    """Register all methods."""
    from airflow_provider_b24.testing.methods import (  # noqa: F401
        bot_accounts,
        bots,
        crm_deal,
        crm_item,
        dialogs,
        fields,
        files,
        listed,
        listed_v3,
        messages,
        notifications,
        people,
        system,
        tasks,
        users,
    )
