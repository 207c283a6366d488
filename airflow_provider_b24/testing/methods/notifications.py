"""``im.notify*``"""

from __future__ import annotations

from typing import Any

from airflow_provider_b24.testing.blocks import check_attach
from airflow_provider_b24.testing.errors import PortalError
from airflow_provider_b24.testing.records import Notification
from airflow_provider_b24.testing.registry import Call, method
from airflow_provider_b24.testing.wire import is_empty, to_int


def _app(call: Call) -> str | None:
    """Tags belong to an application; a webhook has to name one."""
    if not call.caller.by_webhook:
        return call.caller.app
    client = call.upper("CLIENT_ID")
    return None if is_empty(client) else f"custom:{client}"


def _send(call: Call, *, system: bool) -> Any:
    user_id = to_int(call.upper("USER_ID"))
    if user_id <= 0:
        raise PortalError("USER_ID_EMPTY", "User ID can't be empty")
    given = call.upper("MESSAGE")
    text = "" if given is None or isinstance(given, (dict, list)) else str(given).strip()
    if not text:
        raise PortalError("MESSAGE_EMPTY", "Message can't be empty")
    check_attach(call.upper("ATTACH"))
    user = call.company.users.get(user_id)
    if user is None or user.bot:
        return False
    app = _app(call)
    notification = Notification(
        id=0,
        user_id=user_id,
        author_id=0 if system else call.caller.user_id,
        text=text,
        date=call.company.now(),
        app=app,
        tag=str(call.upper("TAG")) if app and not is_empty(call.upper("TAG")) else None,
        sub_tag=str(call.upper("SUB_TAG")) if app and not is_empty(call.upper("SUB_TAG")) else None,
        params={str(key).upper(): value for key, value in call.params.items() if str(key).lower() != "auth"},
    )
    return call.company.notify(notification)


@method("im.notify", "im")
def notify(call: Call) -> Any:
    """Notify a user, from the caller or from the system."""
    return _send(call, system=call.upper("TYPE") == "SYSTEM")


@method("im.notify.personal.add", "im")
def notify_personal_add(call: Call) -> Any:
    """Notify a user, from the caller."""
    return _send(call, system=False)


@method("im.notify.system.add", "im")
def notify_system_add(call: Call) -> Any:
    """Notify a user, from the system."""
    return _send(call, system=True)


@method("im.notify.delete", "im")
def notify_delete(call: Call) -> Any:
    """Delete notifications, by ``ID``, ``TAG`` or ``SUB_TAG``."""
    company = call.company
    before = len(company.notifications)
    company.publish({"type": "notifications"})
    number, tag, sub_tag = to_int(call.upper("ID")), call.upper("TAG"), call.upper("SUB_TAG")
    if number > 0:
        company.notifications = [one for one in company.notifications if one.id != number]
        return len(company.notifications) < before
    if is_empty(tag) and is_empty(sub_tag):
        raise PortalError("PARAMS_ERROR", "Incorrect params")
    app = _app(call)
    if app is None:
        raise PortalError("ACCESS_DENIED", "Access denied! Client ID not specified", status=403)

    def meant(one: Notification) -> bool:
        return one.app == app and (one.tag == str(tag) if not is_empty(tag) else one.sub_tag == str(sub_tag))

    company.notifications = [one for one in company.notifications if not meant(one)]
    return len(company.notifications) < before
