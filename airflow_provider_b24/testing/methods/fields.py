"""What fields there are, of users, tasks and pipelines."""

from __future__ import annotations

import re
from typing import Any

from airflow_provider_b24.testing.errors import missing_parameter
from airflow_provider_b24.testing.methods.users import user_row
from airflow_provider_b24.testing.registry import Call, method

_NO_YES = {"Y": "Yes", "N": "No"}
_TASK: dict[str, dict[str, Any]] = {
    "ID": {"title": "ID", "type": "integer", "primary": True},
    "TITLE": {"title": "Name", "type": "string", "required": True},
    "DESCRIPTION": {"title": "Description", "type": "string"},
    "PRIORITY": {"title": "Priority", "type": "enum", "values": {"0": "Low", "1": "Medium", "2": "High"}, "default": 1},
    "STATUS": {
        "title": "Status",
        "type": "enum",
        "values": {"2": "Pending", "3": "In progress", "4": "Under control", "5": "Completed", "6": "Deferred"},
        "default": 2,
    },
    "TASK_CONTROL": {"title": "Approve the task", "type": "enum", "values": _NO_YES, "default": "N"},
    "GROUP_ID": {"title": "Project", "type": "integer", "default": 0},
    "CREATED_BY": {"title": "Created by", "type": "integer", "required": True},
    "RESPONSIBLE_ID": {"title": "Assignee", "type": "integer", "required": True},
    "ACCOMPLICES": {"title": None, "type": "array"},
    "CREATED_DATE": {"title": None, "type": "datetime"},
    "CHANGED_DATE": {"title": "Changed on", "type": "datetime"},
    "CLOSED_DATE": {"title": "Closed on", "type": "datetime", "default": None},
    "DEADLINE": {"title": "Deadline", "type": "datetime", "default": None},
}


@method("user.fields", "user", "user_basic", "user_brief")
def user_fields(call: Call) -> Any:
    """The names of a user's fields, with their titles and nothing else."""
    user = call.company.users[call.caller.user_id]
    return {name: name.replace("_", " ").capitalize() for name in user_row(call.company, user)}


@method("tasks.task.getFields", "task")
def task_fields(_call: Call) -> Any:
    """The fields of a task, by the names that filters have."""
    return {"fields": _TASK}


_CATEGORY = {
    "id": ("integer", "ID", True),
    "name": ("string", "Name", False),
    "sort": ("integer", "Sorting", False),
    "entityTypeId": ("integer", "Entity Type", True),
    "isDefault": ("boolean", "Default", False),
}


@method("crm.category.fields", "crm")
def category_fields(call: Call) -> Any:
    """The fields of a pipeline."""
    if call.get("entityTypeId") is None:
        raise missing_parameter("entityTypeId")
    return {
        "fields": {
            name: {
                "type": kind,
                "isRequired": name == "name",
                "isReadOnly": fixed,
                "isImmutable": False,
                "isMultiple": False,
                "isDynamic": False,
                "title": title,
                "upperName": re.sub("[A-Z]", r"_\g<0>", name).upper(),
            }
            for name, (kind, title, fixed) in _CATEGORY.items()
        }
    }
