"""Requests that the recorder itself sends inside a session's dialog."""

from __future__ import annotations

from callward.platform.telemetry import logger
from callward.recorder.live_session import LiveSession
from callward.recorder.replies import Clock
from callward.sip.dialog import DialogState
from callward.sip.endpoint import Endpoint, SipUseError
from callward.siprec.snapshot_request import snapshot_request


class OwnRequests:
    """Each goes out at once; where the dialog does not allow it, nothing is sent."""

    def __init__(self, endpoint: Endpoint, driver: Clock) -> None:
        self._endpoint = endpoint
        self._driver = driver

    def ask_snapshot(self, live: LiveSession) -> None:
        """UPDATE that asks for complete metadata (S15), where it is wanted and as soon as the dialog is confirmed.

        Nothing else may carry it: of a client that does not allow UPDATE the recording says that it was not asked.
        """
        dialog = live.dialog
        if not live.snapshot_wanted or dialog is None:
            return
        if dialog.state is not DialogState.CONFIRMED or dialog.unacknowledged:
            return  # asked again after the ACK
        request = snapshot_request(live.snapshot_wanted)
        live.snapshot_wanted = ""
        if not dialog.can_update:
            logger.warning("snapshot_not_asked", session=live.id, error="the recording client does not allow UPDATE")
            live.core.flag("snapshot_not_asked", "metadata is missing, and the recording client does not allow UPDATE")
            return
        content_type = dict(request.headers).get("Content-Type", "")
        headers = tuple((name, value) for name, value in request.headers if name != "Content-Type")
        try:
            self._endpoint.request_in_dialog(
                dialog,
                request.method,
                self._driver.now(),
                headers=headers,
                body=request.body,
                content_type=content_type,
            )
            self._driver.flush()
        except SipUseError as error:
            logger.info("snapshot_not_asked", session=live.id, error=str(error))

    def can_offer(self, live: LiveSession) -> bool:
        """Whether a re-INVITE of ours is allowed now."""
        return live.dialog is not None and live.dialog.can_offer

    def offer(self, live: LiveSession, body: bytes) -> None:
        """re-INVITE with a description of ours: a session refresh, or other ports of the same streams."""
        if live.dialog is not None and live.dialog.can_offer:
            self._endpoint.reinvite(live.dialog, self._driver.now(), body=body)
            self._driver.flush()

    def probe(self, live: LiveSession) -> None:
        """Ask a client that was silent since our restart whether its dialog still lives; 481 or no answer ends the session."""
        live.probed = True
        if live.dialog is not None:
            self._endpoint.request_in_dialog(live.dialog, "OPTIONS", self._driver.now())
            self._driver.flush()

    def bye(self, live: LiveSession) -> None:
        """End the dialog where there still is one; the session hears no more of it."""
        if live.dialog is not None and live.dialog.state is DialogState.CONFIRMED:
            dialog, live.dialog = live.dialog, None
            dialog.note = None
            self._endpoint.bye(dialog, self._driver.now())
            self._driver.flush()
