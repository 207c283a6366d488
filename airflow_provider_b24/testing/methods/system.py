"""Methods of the basic scope."""

from __future__ import annotations

from typing import Any

from airflow_provider_b24.testing.errors import PortalError
from airflow_provider_b24.testing.registry import V2, Call, method
from airflow_provider_b24.testing.wire import is_yes

ALL_SCOPES = (
    "bizproc", "catalog", "crm", "department", "disk", "entity", "im", "imbot", "lists", "log",
    "sonet_group", "task", "tasks", "telephony", "timeman", "user", "user_basic", "user_brief",
)  # fmt: skip


@method("profile")
def profile(call: Call) -> Any:
    """Who the caller is; nothing for an inactive user."""
    user = call.company.users.get(call.caller.user_id)
    if user is None or not user.active:
        return {}
    return {
        "ID": str(user.id),
        "ADMIN": user.admin,
        "NAME": user.name,
        "LAST_NAME": user.last_name,
        "PERSONAL_GENDER": user.gender,
        "TIME_ZONE": "",
    }


@method("scope")
def scope(call: Call) -> Any:
    """The caller's scopes, or all there are."""
    return list(ALL_SCOPES) if is_yes(call.get("full")) else sorted(call.caller.scopes)


@method("app.info")
def app_info(call: Call) -> Any:
    """The application that calls, and the portal's plan."""
    if call.caller.by_webhook:
        raise PortalError("ACCESS_DENIED", "Access denied! Application context required")
    plan = call.company.license
    return {
        "ID": 5,
        "CODE": call.caller.app,
        "VERSION": 1,
        "STATUS": "L",
        "INSTALLED": True,
        "PAYMENT_EXPIRED": "N",
        "DAYS": None,
        "LANGUAGE_ID": plan.partition("_")[0],
        "LICENSE": plan,
        "LICENSE_TYPE": plan.partition("_")[2],
        "LICENSE_FAMILY": plan.partition("_")[2].rstrip("0123456789"),
    }


@method("server.time")
def server_time(call: Call) -> Any:
    """The portal's time."""
    return call.company.now().astimezone(call.company.zone).isoformat(timespec="seconds")


@method("method.get")
def method_get(call: Call) -> Any:
    """Does a method exist, and may the caller use it? The name is given in lower case."""
    name = call.get("name") or ""
    known = [one for one in V2.values() if one.name not in call.company.without]
    found = next((one for one in known if one.name.lower() == name), None)
    available = found is not None and (not found.scopes or bool(call.caller.scopes & set(found.scopes)))
    return {"isExisting": found is not None, "isAvailable": available}
