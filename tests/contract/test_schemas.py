"""Every name of a parameter that this package sends is in the vendor's machine-readable schemas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# Not described in this form: common methods that every caller has.
WITHOUT_SCHEMA = {"batch", "profile", "scope", "server.time", "user.fields"}


def compared(
    params: Any, described: list[Mapping[str, Any]], defs: Mapping[str, Any], above: str = ""
) -> Iterator[tuple[str, bool]]:
    """Each name, with those above it, and whether the description has it; as deep as that goes."""
    by_name = {one["name"]: one for one in described}
    for name, value in params.items() if isinstance(params, Mapping) else ():
        yield above + name, name in by_name
        inner = defs.get(str(by_name.get(name, {}).get("ref", "")).rpartition("/")[2])
        if inner is not None:
            yield from compared(value, inner["fields"], defs, f"{above}{name}.")


def test_every_parameter_is_the_vendors(schemas, sent, record_testsuite_property):
    calls = [call for call in sent if call.method not in WITHOUT_SCHEMA]
    methods = {call.method for call in calls}
    assert methods - set(schemas) == set(), "methods that the vendor does not describe"
    found = {
        (f"{call.method}: {path}", known)
        for call in calls
        for path, known in compared(call.params, schemas[call.method]["params"], schemas[call.method]["defs"])
    }
    assert {name for name, known in found if not known} == set()
    record_testsuite_property("methods", len(methods))
    record_testsuite_property("parameters", len(found))
    assert len(methods) >= 30
    assert len(found) >= 100
