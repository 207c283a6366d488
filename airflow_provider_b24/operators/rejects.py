"""The file of rows that the portal has refused, or of which nobody knows whether it took them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

from airflow_provider_b24.rest.errors import Bitrix24Error, ConfigurationError

# So many lines are held until the file is written anew.
_MOST_HELD = 1000
# A file whose first line is longer is not looked at more closely, in bytes.
_LONGEST_LINE = 16_000_000


class Rejects:
    """JSON lines: the number of the row in the input, from 1, ``row``, ``code`` and ``description``.

    The file is whole or absent: it is written under another name, and moved.

    :ivar lines: how many lines are in the file.
    :param path: an ``ObjectStoragePath`` or its URL.
    :param lines: how many of the file's lines an earlier try of the same task has written; the others are of another
        run, and go.
    """

    def __init__(self, path: Any, lines: int = 0) -> None:
        from airflow.sdk import ObjectStoragePath

        self._path = ObjectStoragePath(path)
        self._held: list[str] = []
        there = self._path.exists()
        self.lines = lines if there else 0
        if there and not lines:
            self._refuse_to_remove()
            self._path.unlink()

    def _refuse_to_remove(self) -> None:
        """Leave alone what is no file of rejected rows."""
        with self._path.open("rb") as file:
            first = file.readline(_LONGEST_LINE)
        found = None
        with suppress(ValueError, RecursionError):
            found = json.loads(first)
        ours = isinstance(found, dict) and set(found) == {"number", "row", "code", "description"}
        if first and not ours and len(first) < _LONGEST_LINE:
            raise ConfigurationError(
                f"rejects_path is {str(self._path)!r}, and there is a file which does not hold rejected rows",
                advice="It would be replaced: name another one, or remove it.",
            )

    def add(self, number: int, row: object, error: Bitrix24Error) -> bool:
        """Take a row.

        :param number: its number in the input, from 0.
        :return: whether it is time to :meth:`write`.
        """
        code = error.code or type(error).__name__
        line = {"number": number + 1, "row": _plain(row), "code": code, "description": error.description}
        text = json.dumps(line, ensure_ascii=False, default=str)
        try:
            text.encode()
        except UnicodeEncodeError:
            # Half of a surrogate pair is no character: JSON can escape it.
            text = json.dumps(line, default=str)
        self._held.append(text)
        return len(self._held) >= _MOST_HELD

    def write(self) -> None:
        """Put all that was taken into the file."""
        if not self._held:
            return
        whole = self._path
        part = whole.parent / f".{whole.name}.part"
        if whole.protocol in ("", "file", "local"):
            whole.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            if self.lines:
                with whole.open("rb") as before:
                    # What was written after that nobody knows of: its rows come again.
                    file.writelines(islice(before, self.lines))
            file.write("".join(f"{line}\n" for line in self._held).encode())
        part.move(whole)
        self.lines += len(self._held)
        self._held.clear()


def _plain(value: Any) -> Any:
    """What JSON can hold, for a value of a database."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, memoryview):
        return repr(bytes(value))
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value
