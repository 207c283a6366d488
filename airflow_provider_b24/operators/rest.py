"""Any REST method at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.hooks.failure import no_vain_retries
from airflow_provider_b24.links.portal import ChatLink, DealLink, MessageLink, PersonLink, TaskLink, show
from airflow_provider_b24.operators.arguments import check_unless_template
from airflow_provider_b24.operators.deferral import DefersAtLimit
from airflow_provider_b24.operators.rest_params import TakesRestParams
from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.rest.methods import check_method, check_version

if TYPE_CHECKING:
    from airflow.sdk import Context


class RestOperator(TakesRestParams, DefersAtLimit):
    """Call a REST method of the portal; its result goes to XCom.

    ``RestOperator(task_id="deal", method="crm.item.get", params={"entityTypeId": 2, "id": 7})``

    A method that writes is sent once: where the answer is lost, the task fails at once instead of repeating
    it.

    :param method: the method's name, such as ``crm.item.get``. Templated.
    :param params: its parameters by name, or a list for the methods that take them by position. The task keeps
        them as ``rest_params``; under that name they are in dictionaries that another task gives to
        ``expand_kwargs``. Templated.
    :param version: 3 for a method of REST 3.0. Default 2.
    :param max_result_bytes: the largest result, as JSON, that is put into XCom. Default 1,000,000.
    :param bitrix24_conn_id: the Airflow connection. Default ``bitrix24_default``. Templated.
    :return: the ``result`` of the reply.
    :raises ConfigurationError: while the DAG is parsed, for an argument that can not be right.
    """

    template_fields: Sequence[str] = ("method", "rest_params", "bitrix24_conn_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {"rest_params": "json"}
    operator_extra_links = (MessageLink(), ChatLink(), TaskLink(), DealLink(), PersonLink())
    ui_color = "#d6f3fb"

    def __init__(
        self,
        *,
        method: str,
        rest_params: Mapping[str, Any] | Sequence[Any] | None = None,
        version: Literal[2, 3] = 2,
        max_result_bytes: int = 1_000_000,
        bitrix24_conn_id: str = Bitrix24Hook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.method = method
        self.rest_params = rest_params
        self.version = version
        self.max_result_bytes = max_result_bytes
        self.bitrix24_conn_id = bitrix24_conn_id
        check_unless_template(check_method, method)
        check_version(version)
        if rest_params is not None:
            check_unless_template(_check_params, rest_params)

    def execute(self, context: Context) -> Any:
        """Make the call."""
        from airflow_provider_b24.chat.addresses import of_call

        with self.slot_given_back(), no_vain_retries(), Bitrix24Hook(self.bitrix24_conn_id) as hook:
            result = hook.call(self.method, self.rest_params, version=self.version)
            show(self, of_call(hook.portal, self.method, self.rest_params, result))
            size = len(json.dumps(result, ensure_ascii=False).encode(errors="surrogatepass"))
            self.log.info("%s returned %s bytes", self.method, f"{size:,}")
            if self.do_xcom_push and size > self.max_result_bytes:
                raise ConfigurationError(
                    f"the result has {size:,} bytes, and max_result_bytes is {self.max_result_bytes:,}",
                    method=self.method,
                    advice="XCom is no place for data: select fewer fields, read it with hook.iterate and write it to "
                    "a file or a table, set do_xcom_push=False, or raise max_result_bytes.",
                )
        return result


def _check_params(params: object) -> None:
    if isinstance(params, (str, bytes)) or not isinstance(params, (Mapping, Sequence)):
        raise ConfigurationError(
            f"params is a {type(params).__name__}",
            advice="Give a mapping of names to values, or a list for the methods that take them by position.",
        )
