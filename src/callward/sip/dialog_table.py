"""The live dialogs of an endpoint, and their one way to end."""

from __future__ import annotations

from collections.abc import Iterator

from .context import Context
from .dialog import Dialog, DialogState
from .events import Cause, Terminated
from .message import Request, Response


class DialogTable:
    """Dialogs by (Call-ID, local tag, remote tag) and by id."""

    __slots__ = ("_by_id", "_by_key", "_context")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._by_key: dict[tuple[str, str, str], Dialog] = {}
        self._by_id: dict[str, Dialog] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Dialog]:
        return iter(list(self._by_key.values()))

    def add(self, dialog: Dialog) -> None:
        self._by_key[dialog.key] = dialog
        self._by_id[dialog.id] = dialog

    def remove(self, dialog: Dialog) -> None:
        if self._by_key.get(dialog.key) is dialog:
            del self._by_key[dialog.key]
        if self._by_id.get(dialog.id) is dialog:
            del self._by_id[dialog.id]

    def find(self, call_id: str, local_tag: str, remote_tag: str) -> Dialog | None:
        return self._by_key.get((call_id, local_tag, remote_tag))

    def by_id(self, dialog_id: str) -> Dialog | None:
        return self._by_id.get(dialog_id)

    def end(
        self,
        dialog: Dialog,
        cause: Cause,
        *,
        request: Request | None = None,
        response: Response | None = None,
        linger: bool = False,
    ) -> None:
        """Tell the application, once. `linger` keeps it findable, for the ACK or BYE that is still on its way."""
        if dialog.state is DialogState.TERMINATED:
            return
        dialog.state = DialogState.TERMINATED
        timers = self._context.timers
        timers.cancel(dialog.refresh_timer)
        timers.cancel(dialog.expiry_timer)
        timers.cancel(dialog.glare_timer)
        if dialog.bye_later is None:
            for answer in dialog.unacknowledged.values():
                answer.stop()
            dialog.unacknowledged.clear()
        for exchange in (dialog.invite_out, dialog.update_out):
            if exchange is not None:
                exchange.over = True
        dialog.invite_out = dialog.update_out = None
        if not linger:
            self.remove(dialog)
        self._context.count("dialogs_ended_" + cause.value)
        if dialog.shown:
            self._context.out.append(Terminated(dialog, cause, request, response))
