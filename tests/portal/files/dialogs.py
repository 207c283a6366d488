"""What is in a dialog."""

from __future__ import annotations

from airflow_provider_b24.testing import FakePortal


def files(portal: FakePortal, dialog_id: str | int = "chat2935") -> list[list[tuple[str, bytes]]]:
    """The files of each of a dialog's messages: names and contents."""
    return [
        [(card["name"], portal.company.files[card["id"]].content) for card in message.files]
        for message in portal.messages(dialog_id)
    ]
