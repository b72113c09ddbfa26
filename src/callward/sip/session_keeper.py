"""Runs the session timers of live dialogs (RFC 4028 10); what was agreed is in session_timer.py."""

from __future__ import annotations

from collections.abc import Callable

from .context import Context
from .dialog import Dialog, DialogState
from .session_timer import Agreement

DialogAction = Callable[[Dialog, float], None]


class SessionKeeper:
    """Calls `refresh` when we have to, and `expire` when nobody did in time."""

    __slots__ = ("_context", "_expire", "_refresh")

    def __init__(self, context: Context, refresh: DialogAction, expire: DialogAction) -> None:
        self._context = context
        self._refresh = refresh
        self._expire = expire

    def agree(self, dialog: Dialog, agreement: Agreement | None, now: float) -> None:
        """A 2xx said this: start again, or stop with None."""
        timers = self._context.timers
        timers.cancel(dialog.refresh_timer)
        timers.cancel(dialog.expiry_timer)
        dialog.refresh_timer = dialog.expiry_timer = None
        dialog.session = agreement
        if agreement is None or dialog.state is DialogState.TERMINATED:
            return
        dialog.expiry_timer = timers.start(
            now + agreement.give_up_after_s, lambda at: self._expire(dialog, at) if _live(dialog) else None
        )
        if agreement.we_refresh:
            self.refresh_in(dialog, agreement.refresh_after_s, now)

    def refresh_in(self, dialog: Dialog, delay_s: float, now: float) -> None:
        """Refresh (again) after this time; the time of expiry stays."""
        self._context.timers.cancel(dialog.refresh_timer)
        dialog.refresh_timer = self._context.timers.start(
            now + delay_s, lambda at: self._refresh(dialog, at) if _live(dialog) else None
        )


def _live(dialog: Dialog) -> bool:
    return dialog.state is not DialogState.TERMINATED
