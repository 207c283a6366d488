"""Where notifiers keep what they know of earlier alerts: Airflow's Variables, shared by tasks and callbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_b24.hooks.shared_store import VariableStore

_DESCRIPTION = "What Bitrix24Notifier has told (airflow-provider-b24); may be deleted when nothing is failing."


class AlertVariables:
    """The shared store, with names that a Variable may have and failures that an alert outlives."""

    def __init__(self, store: VariableStore) -> None:
        self._store = store

    def get(self, key: str) -> Any:
        """The value, or None."""
        return self._asked(self._store.get, key)

    def __setitem__(self, key: str, value: Any) -> None:
        self._asked(self._store.__setitem__, key, value)

    def forget(self, key: str) -> None:
        """Forget a value, if there is one."""
        self._asked(self._store.forget, key)

    @staticmethod
    def _asked(question: Any, key: str, *values: Any) -> Any:
        from airflow_provider_b24.chat.alerts_desk import StoreFailedError

        try:
            return question(key.replace("/", "_"), *values)
        except Exception as error:
            # Its words may hold anything.
            raise StoreFailedError(f"Airflow's Variables failed with {type(error).__name__}") from None


def alert_store() -> AlertVariables | None:
    """The store, or None where Variables can not be written."""
    from airflow_provider_b24.hooks.shared_store import shared_store

    store = shared_store(_DESCRIPTION)
    return None if store is None else AlertVariables(store)
