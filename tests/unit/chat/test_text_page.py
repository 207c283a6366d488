"""What docs/text.md shows of an operator is so."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from airflow_provider_b24.transfers.sql_to_dialog import SqlToDialogOperator

PAGE = Path(__file__).parents[3] / "docs" / "text.md"


def test_the_operator_is_as_shown() -> None:
    (shown,) = re.findall(r"```python\n(SqlToDialogOperator\(.*?\n\))\n```", PAGE.read_text(), flags=re.DOTALL)
    call = ast.parse(shown, mode="eval").body
    assert isinstance(call, ast.Call)
    SqlToDialogOperator(**{str(one.arg): ast.literal_eval(one.value) for one in call.keywords})
