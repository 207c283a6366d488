"""One message for each run of a DAG, which is edited as the run moves."""

from __future__ import annotations

import copy
import datetime as dt
import logging
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from airflow_provider_b24.chat.dialogs import check_dialog_id
from airflow_provider_b24.chat.message import LONGEST_TEXT
from airflow_provider_b24.chat.run_message import PARTS, check_language, parts, put_together, values
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.operators.arguments import check_unless_template, is_known, seconds
from airflow_provider_b24.rest.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_b24.chat.living_message import SharedStore
    from airflow_provider_b24.chat.run_message import RunView
    from airflow_provider_b24.notifications.run_context import RunFacts
    from airflow_provider_b24.notifications.run_teller import Teller

log = logging.getLogger(__name__)

_CALLBACKS = (
    "on_execute_callback",
    "on_success_callback",
    "on_failure_callback",
    "on_retry_callback",
    "on_skipped_callback",
)
_DESCRIPTION = "What is known of a message about a DAG run. Written by airflow-provider-b24, which also deletes it."


class RunMessage(BaseNotifier):
    """One message about a DAG run: posted once, edited as the run moves, from all its tasks and callbacks.

    Give it to the DAG and to its tasks. The first task that starts posts it; it then shows which tasks are at work and
    how many have finished, what has failed, and in the end how the run ended and how long it took::

        message = RunMessage("chat2935")

        @dag(default_args=message.task_callbacks, **message.dag_callbacks)

    A task may say more with :meth:`update` and :meth:`reply`.

    Edits that come faster than ``interval`` become one. A task that ends too early for the next edit waits for that
    time, unless another task will show what is new. A message that can not be edited any more, or was deleted, is
    followed by a new one, which answers it if it can. What is known of a run is kept in an Airflow Variable until a day
    after its end. Trouble with the portal is told in the log and costs the run nothing but, at worst, some seconds: the
    end is tried for 30 s from a callback of the DAG, for 10 s from one of a task. If it could not be shown then, it is
    shown by a later callback of the run or by the next run of the DAG.

    Where Airflow's Variables can not be written, nothing is shown: in a plain Python process, and in a ``SyncCallback``
    of a deadline, which an executor runs (use ``AsyncCallback``).

    :param dialog_id: ``chat2935``, ``sg17``, ``13``, ``deal:1663`` … Templated.
    :param bitrix24_conn_id: the Airflow connection. Default ``bitrix24_default``. Templated.
    :param name: tells this message from others about the same run in the same dialog. Templated.
    :param title: a template instead of the first line. This and the other parts may show ``{{ message.… }}``; see
        :func:`~.chat.run_message.values` for what there is. An empty text leaves the part out. Templated.
    :param bar: instead of the progress bar and the tasks that are at work. Templated.
    :param text: instead of what :meth:`update` was told. Templated.
    :param failure: instead of the tasks that failed. Templated.
    :param footer: instead of the link to the run. Templated.
    :param details: answer the message with the traceback of each task that has failed for good, without secrets and, if
        it is long, without its beginning. Default False.
    :param language: ``en`` (the default) or ``ru``.
    :param interval: time from one edit to the next. Default 3 s.
    :param as_bot: post as the connection's bot, or (False) as the account. Default: the bot where there is one.
    :param raise_errors: raise what goes wrong instead of telling it in the log. Default False.
    :raises ConfigurationError: for arguments that can not be right.
    """

    template_fields: Sequence[str] = ("dialog_id", "bitrix24_conn_id", "name", *PARTS)
    # Rendering costs more than all else that an update does.
    _last: Teller | None = None

    def __init__(
        self,
        dialog_id: str | int,
        *,
        bitrix24_conn_id: str = Bitrix24Hook.default_conn_name,
        name: str = "",
        title: str | None = None,
        bar: str | None = None,
        text: str | None = None,
        failure: str | None = None,
        footer: str | None = None,
        details: bool = False,
        language: str = "en",
        interval: dt.timedelta | float = 3.0,
        as_bot: bool | None = None,
        raise_errors: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dialog_id = dialog_id
        self.bitrix24_conn_id = bitrix24_conn_id
        self.name = name
        self.title = title
        self.bar = bar
        self.text = text
        self.failure = failure
        self.footer = footer
        self.details = details
        self.language = check_language(language)
        self.interval = seconds(interval, "interval")
        self.as_bot = as_bot
        self.raise_errors = raise_errors
        check_unless_template(check_dialog_id, dialog_id)

    def __getstate__(self) -> dict[str, Any]:
        """A copy is for another context."""
        return {name: value for name, value in self.__dict__.items() if name != "_last"}

    @property
    def task_callbacks(self) -> dict[str, Any]:
        """The callbacks of a task, for ``default_args``."""
        return dict.fromkeys(_CALLBACKS, self)

    @property
    def dag_callbacks(self) -> dict[str, Any]:
        """The callbacks of a DAG, by which the end of a run is known for certain."""
        return dict.fromkeys(("on_success_callback", "on_failure_callback"), self)

    def __call__(self, *args: Any) -> None:
        """Show what has happened, by the context of a callback."""
        # Rendered for this run alone: the same object is called for others. And a task's context stays as it was.
        self.notify(args[0])

    def __await__(self) -> Generator[Any, Any, None]:
        """Like :meth:`__call__`, with the context that was given when this was made."""
        return self.async_notify(self.context).__await__()

    def notify(self, context: Context) -> None:
        """Show what has happened, by the context of a callback."""
        with self._teller(context) as teller:
            teller.tell()
            if self.details:
                teller.answer_with_details()

    async def async_notify(self, context: Context) -> None:
        """Like :meth:`notify`, for a trigger or an ``async def`` task.

        The states of the tasks are asked for beside the event loop, by its way. Where nobody can be asked, as in a
        plain Python process, the end is known only from a callback of the DAG.
        """
        with self._teller(context) as teller:
            await teller.atell()
            if self.details:
                await teller.aanswer_with_details()

    def update(self, *, progress: float | None = None, text: str | None = None) -> None:
        """Show how far the run has come, from inside a task. Costs next to nothing however often it is called.

        It is shown at once or, with what comes after it, when ``interval`` has passed. What is left when the task ends
        is shown then; a task that defers calls :meth:`flush` before.

        :param progress: 0 to 1, instead of the share of tasks that have finished; below 0 for that share again.
        :param text: a line to show, with BBCode; an empty one takes it away. Default: as it is.
        :raises ConfigurationError: outside a task.
        """
        with self._teller(_here()) as teller:
            teller.update(progress, text)

    async def aupdate(self, *, progress: float | None = None, text: str | None = None) -> None:
        """Like :meth:`update`; but what comes too early is shown with the next call, or when the task ends."""
        with self._teller(_here()) as teller:
            await teller.aupdate(progress, text)

    def reply(self, message: str, *, once: str | None = None) -> int | None:
        """Answer the message, such as with details, from inside a task; posts it first if there is none yet.

        :param message: the text, with BBCode.
        :param once: the answer's name within the task: then it is posted once, even if the task is tried again.
        :return: the id of the answer; None if it was not posted.
        :raises ConfigurationError: outside a task.
        """
        with self._teller(_here()) as teller:
            return teller.reply(message, once)
        return None

    async def areply(self, message: str, *, once: str | None = None) -> int | None:
        """Like :meth:`reply`."""
        with self._teller(_here()) as teller:
            return await teller.areply(message, once)
        return None

    def flush(self) -> None:
        """Show what is left of :meth:`update` now; for a task that is about to defer."""
        with self._teller(_here()) as teller:
            teller.flush()

    async def aflush(self) -> None:
        """Like :meth:`flush`."""
        with self._teller(_here()) as teller:
            await teller.aflush()

    def shown(self, view: RunView, context: Mapping[str, Any]) -> str:
        """The message's text: its parts as they are, or from their templates."""
        from airflow_provider_b24.chat.splitting import beginning

        made = parts(view, self.language)
        for part in PARTS:
            template = getattr(self, part)
            if template is None:
                continue
            within: Any = {**context, "message": values(view, self.language)}
            try:
                made[part] = str(self.render_template(template, within, self.get_template_env(within.get("dag"))))
            except Exception as error:
                # A name that this callback does not know: what is shown without the template is better than nothing.
                if self.raise_errors:
                    raise
                log.warning("The template of %s could not be rendered: %s", part, error)
        return beginning(put_together(made), LONGEST_TEXT)

    @contextmanager
    def _teller(self, context: Mapping[str, Any]) -> Iterator[Teller]:
        """Who tells of the context's run; what goes wrong is told in the log."""
        from airflow_provider_b24.notifications.run_teller import Teller
        from airflow_provider_b24.notifications.telling import Telling

        teller: Teller | None = None
        try:
            if self._last is None or not self._last.is_for(context):
                self._last = Teller(
                    self._for(context), context, hook=self._hook, store=self._store, states=self._states
                )
            teller = self._last
            yield teller
        except Exception as error:
            if self.raise_errors:
                raise
            telling = teller.telling if teller is not None else Telling(self.interval)
            telling.complain(error)

    def _for(self, context: Any) -> RunMessage:
        """This one for a certain run. The same object is called for several, so that it stays as it is."""
        made = copy.copy(self)
        for name in ("dialog_id", "bitrix24_conn_id", "name"):
            value = getattr(self, name)
            if not is_known(value):
                setattr(made, name, self.render_template(value, context, self.get_template_env(context.get("dag"))))
        made.dialog_id = check_dialog_id(made.dialog_id)
        return made

    def _hook(self, conn_id: str) -> Bitrix24Hook:
        return Bitrix24Hook(conn_id)

    def _store(self) -> SharedStore | None:
        from airflow_provider_b24.hooks.shared_store import shared_store

        return shared_store(_DESCRIPTION)

    def _states(self, context: Mapping[str, Any], facts: RunFacts) -> dict[str, str | None]:
        from airflow_provider_b24.notifications.run_context import states_of

        return states_of(context, facts)


def _here() -> Mapping[str, Any]:
    """The context of the task that is running here.

    :raises ConfigurationError: where none is.
    """
    from airflow.sdk import get_current_context

    try:
        return get_current_context()
    except RuntimeError:
        raise ConfigurationError(
            "no task is running here",
            advice="The message about a run can be updated from inside a task only, not from a thread of its own.",
        ) from None
