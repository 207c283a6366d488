"""A refusal of the portal."""

from __future__ import annotations


class PortalError(Exception):
    """The portal refuses a call: a code, a text, an HTTP status, and for version 3 the invalid field."""

    def __init__(self, code: str | int, description: str = "", status: int = 400, *, field: str | None = None) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description
        self.status = status
        self.field = field


def missing_parameter(name: str) -> PortalError:
    """The refusal of a controller method that was not given a required parameter."""
    return PortalError("100", f"Could not find value for parameter {{{name}}}")
