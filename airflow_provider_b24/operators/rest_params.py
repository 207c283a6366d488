"""An argument ``params`` that is a REST method's, on operators which have Airflow's ``params`` as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.bases.operator import BaseOperatorMeta
from airflow.sdk.definitions.mappedoperator import OperatorPartial

if TYPE_CHECKING:
    from airflow.sdk.definitions.mappedoperator import MappedOperator


def _renamed(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """``params`` of a REST method, not Airflow's ``params``, which every operator takes and mixes with the DAG's."""
    if "params" not in arguments:
        return dict(arguments)
    if "rest_params" in arguments:
        raise TypeError("params and rest_params are two names of one argument: give one of them")
    return {"rest_params" if name == "params" else name: value for name, value in arguments.items()}


class _ParamsAreRest(BaseOperatorMeta):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # Airflow makes the tasks of a mapped operator itself, and gives them its own params.
        return super().__call__(*args, **(kwargs if "_airflow_from_mapped" in kwargs else _renamed(kwargs)))


class _Partial(OperatorPartial):
    def expand(self, **mapped: Any) -> MappedOperator:
        return super().expand(**_renamed(mapped))

    def expand_kwargs(self, kwargs: Any, *, strict: bool = True) -> MappedOperator:
        if isinstance(kwargs, Sequence):
            kwargs = [_renamed(item) if isinstance(item, Mapping) else item for item in kwargs]
        return super().expand_kwargs(kwargs, strict=strict)


class TakesRestParams(BaseOperator, metaclass=_ParamsAreRest):
    """An operator whose ``params`` are those of a REST method; it keeps them as ``rest_params``."""

    @classmethod
    def partial(cls, **kwargs: Any) -> OperatorPartial:
        """The arguments that all tasks have which ``expand`` makes of this."""
        airflows = super().partial(**_renamed(kwargs))
        # What is thrown away says so if nobody has called its expand.
        airflows._expand_called = True
        return _Partial(operator_class=cls, kwargs=airflows.kwargs, params=airflows.params)
