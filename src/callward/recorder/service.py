"""The recording server around its sans-IO parts: SIP events in, work at the media process, the journal, answers out.

Sessions run side by side, each in its own order. The way of an INVITE: admission (endpoint) → assessment (siprec) →
ports from the media process, where what arrives is kept from then on (S38) → the session's state durable in the journal,
in a group with all the others → 200. The disk is never waited for call by call.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from callward.journal import JournalFullError
from callward.platform.telemetry import logger
from callward.provisioning.snapshot import Peer
from callward.recorder import delayed_offer, metrics, negotiation
from callward.recorder.ability import Ability
from callward.recorder.actions import Action, FailMessage, MediaLine
from callward.recorder.background import Background
from callward.recorder.entropy import Entropy
from callward.recorder.live_session import LiveSession
from callward.recorder.negotiation import LocalStream
from callward.recorder.notebook import Notebook
from callward.recorder.own_requests import OwnRequests
from callward.recorder.replies import Clock, Replies, retry_after
from callward.recorder.session import RecordingSession
from callward.recorder.session_data import SessionData
from callward.recorder.session_journal import SessionJournal
from callward.recorder.snapshot import Directory, SnapshotFile
from callward.recorder.track_work import TrackWork
from callward.sip.dialog import Dialog
from callward.sip.endpoint import Endpoint
from callward.sip.events import (
    AckReceived,
    Answered,
    Cause,
    Event,
    Failed,
    InviteReceived,
    ProvisionalAcknowledged,
    ReinviteReceived,
    RequestReceived,
    ResponseReceived,
    RetryDue,
    SessionRefreshDue,
    Terminated,
)
from callward.sip.exchange import IncomingRequest
from callward.sip.message import Request, Response
from callward.sip.sdp import SdpFailure, SessionDescription
from callward.siprec.admission import Refuse, assess_invite
from callward.siprec.observation import Observation, observe
from callward.siprec.oddity import Oddity
from callward.siprec.peer import PeerProfile, profile_named
from callward.siprec.storage_policy import STORE_ALL, StoragePolicy, apply_policy

AUTOMATIC_DIALECT = "automatic"
_WHY = {
    Cause.REMOTE_BYE: "bye",
    Cause.SESSION_EXPIRED: "timer",
    Cause.LOCAL_BYE: "timer",
    Cause.GONE: "timer",
}


class RecorderService:
    """Handles the endpoint's events. `bind` gives it the endpoint and its driver before the first event."""

    def __init__(
        self,
        *,
        notebook: Notebook,
        tracks: TrackWork,
        snapshot: SnapshotFile,
        advertised_address: str,
        entropy: Entropy,
        policy: StoragePolicy = STORE_ALL,
    ) -> None:
        self.notebook = notebook
        self.tracks = tracks
        self.snapshot = snapshot
        self.ability = Ability(False, "start", "the recorder is starting")
        self.sessions: dict[str, LiveSession] = {}
        self._address = advertised_address
        self._entropy = entropy
        self._policy = policy
        self._journal = SessionJournal(notebook, policy)
        self._background = Background()
        self._endpoint: Endpoint
        self._driver: Clock
        self._replies: Replies
        self.requests: OwnRequests

    def bind(self, endpoint: Endpoint, driver: Clock) -> None:
        self._endpoint = endpoint
        self._driver = driver
        self._replies = Replies(endpoint, driver)
        self.requests = OwnRequests(endpoint, driver)

    # Events of the endpoint ------------------------------------------------------------------------------------------

    def on_event(self, event: Event) -> None:
        """Synchronous and quick: what takes time goes into the session's turn."""
        match event:
            case InviteReceived():
                self._invite(event)
            case ReinviteReceived():
                self._in_dialog(event.dialog, event.exchange, self._renegotiate)
            case RequestReceived():
                self._request(event)
            case AckReceived():
                self._acknowledged(event)
            case Terminated():
                self._terminated(event)
            case ProvisionalAcknowledged(exchange=exchange) if exchange is not None:
                self._replies.respond(exchange, 488)
            case SessionRefreshDue(dialog=Dialog(note=LiveSession() as live)):
                self.requests.offer(live, live.core.data.local_description.encode())
            case Answered(dialog=Dialog(note=LiveSession() as live), response=response):
                self._heard(live)
                if response.body and not event.refresh:
                    self._background.spawn(self._take_answer(live, response, live.core.data.address))
            case RetryDue(dialog=Dialog(note=LiveSession() as live)):
                self._offer_again(live)
            case ResponseReceived(dialog=dialog, response=response) if dialog is not None and response.is_success:
                if isinstance(dialog.note, LiveSession):
                    self._heard(dialog.note)
            case Failed(dialog=dialog) if dialog is not None and event.exchange.method == "OPTIONS":
                self._unreachable(dialog.note)
            case Failed() | ResponseReceived() | RetryDue() | Answered() | SessionRefreshDue():
                logger.debug("request_of_ours_ended", outcome=type(event).__name__)

    def _unreachable(self, live: object) -> None:
        """Nobody answers at the contact of a session that we took up after a restart: its client is gone."""
        if isinstance(live, LiveSession) and live.recovered and live.dialog is not None:
            logger.info("client_gone", session=live.id)
            live.dialog.note, live.dialog = None, None

    def _invite(self, event: InviteReceived) -> None:
        started = self._driver.now()
        peer = event.peer
        if not isinstance(peer, Peer):
            self._replies.refuse(event.exchange, 403, "unknown_peer")
            return
        if not self.ability.able:
            self._replies.refuse(event.exchange, 503, self.ability.reason)
            return
        observation = self._observe(event.request)
        profile = _profile(peer)
        verdict = assess_invite(observation, profile)
        if isinstance(verdict, Refuse):
            logger.info("invite_refused", peer=peer.name, status=verdict.status, detail=verdict.detail)
            metrics.REFUSED.labels("no_recording_session").inc()
            self._replies.respond(event.exchange, verdict.status, verdict.reason, verdict.headers)
            return
        offer = observation.sdp
        source = event.flow.remote[0]
        if offer is None and delayed_offer.may_delay_offer(profile):
            offer, observation, source = delayed_offer.wanted_offer(), delayed_offer.as_if_offered(observation), ""
        if not isinstance(offer, SessionDescription) or observation.streams is None:
            detail = offer.reason if isinstance(offer, SdpFailure) else "a recording session begins with an offer"
            self._replies.refuse(event.exchange, 488, "no_offer", (("Warning", f'399 callward "{detail}"'),))
            return
        at = _utc_now()
        data = SessionData(
            id=self._entropy.ulid(),
            peer_id=peer.id,
            peer_name=peer.name,
            address=_join(event.flow.remote),
            profile=profile.name,
            began_at=at,
        )
        live = LiveSession(self._core(data, self.snapshot.directory, peer), event.dialog, heard_at=started)
        event.dialog.note = live
        self.sessions[live.id] = live
        metrics.SESSIONS.set(len(self.sessions))
        lines = negotiation.read_lines(offer, source)
        self._background.spawn(self._establish(live, event, observation, offer, lines, at, verdict.oddities, started))

    def _core(self, data: SessionData, directory: Directory, peer: Peer) -> RecordingSession:
        return RecordingSession(
            data,
            make_id=lambda _: self._entropy.ulid(),
            entropy=self._entropy,
            organisation_of=lambda groups, numbers: directory.organisation(peer, groups, numbers),
        )

    async def _establish(
        self,
        live: LiveSession,
        event: InviteReceived,
        observation: Observation,
        offer: SessionDescription,
        lines: Sequence[MediaLine],
        at: datetime,
        oddities: Sequence[Oddity],
        started: float,
    ) -> None:
        """Open the tracks and answer. A defect on the way is answered too, and leaves no session behind."""
        try:
            await self._set_up(live, event, observation, offer, lines, at, oddities, started)
        except Exception as error:
            logger.exception("session_set_up_failed", session=live.id)
            if self._replies.fail(event.exchange, temporary=isinstance(error, JournalFullError)):
                await self._end_in_turn(live, "error", None)

    async def _set_up(
        self,
        live: LiveSession,
        event: InviteReceived,
        observation: Observation,
        offer: SessionDescription,
        lines: Sequence[MediaLine],
        at: datetime,
        oddities: Sequence[Oddity],
        started: float,
    ) -> None:
        core = live.core
        async with live.turn:
            self._journal.keep_message(live, event.request, observation, at)
            actions = core.offer(observation, lines, at)
            core.note("odd_signalling", oddities)
            await self._work(live, actions)
            if not core.local_streams():
                reasons = "; ".join(dict.fromkeys(step.reason for step in core.data.plan if step.reason))
                status = 488 if not any(line.refusal == "" and line.is_wanted for line in lines) else 503
                logger.warning("session_not_established", session=live.id, status=status, reasons=reasons)
                self._replies.refuse(event.exchange, status, "no_stream" if status == 488 else "media")
                await self._end(live, "error", None)
                return
            body = live.answer(offer, self._address)
            self._journal.remember(live)
            await self.notebook.durable()
            if not self._replies.respond(event.exchange, 200, body=body):
                await self._end(live, "error", None)
                return
            metrics.SET_UP_SECONDS.observe(self._driver.now() - started)
            core.answered()
            self._journal.answered(live)
            self._journal.tell(live)

    def _request(self, event: RequestReceived) -> None:
        method = event.request.method
        if event.dialog is not None and method in ("UPDATE", "INFO", "MESSAGE"):
            self._in_dialog(event.dialog, event.exchange, self._renegotiate)
        elif method == "OPTIONS":
            if self.ability.able or event.dialog is not None:
                self._replies.respond(event.exchange, 200)
            else:
                self._replies.respond(event.exchange, 503, headers=retry_after())
        else:
            self._replies.respond(event.exchange, 405 if event.dialog is None else 501)

    def _in_dialog(
        self,
        dialog: Dialog,
        exchange: IncomingRequest,
        work: Callable[[LiveSession, IncomingRequest], Coroutine[Any, Any, None]],
    ) -> None:
        live = dialog.note
        if not isinstance(live, LiveSession):
            self._replies.respond(exchange, 481)
            return
        self._heard(live)
        self._background.spawn(self._in_turn(live, exchange, work))

    async def _in_turn(
        self,
        live: LiveSession,
        exchange: IncomingRequest,
        work: Callable[[LiveSession, IncomingRequest], Coroutine[Any, Any, None]],
    ) -> None:
        async with live.turn:
            if live.core.data.ended:
                self._replies.respond(exchange, 481)
                return
            try:
                await work(live, exchange)
            except Exception:
                logger.exception("session_work_failed", session=live.id)
                self._replies.respond(exchange, 500)

    async def _renegotiate(self, live: LiveSession, exchange: IncomingRequest) -> None:
        """Re-INVITE, UPDATE or INFO: SDP, metadata, both or nothing."""
        request = exchange.request
        observation = self._observe(request)
        offer = observation.sdp
        if isinstance(offer, SdpFailure):
            self._replies.respond(exchange, 488, headers=(("Warning", f'399 callward "{offer.reason}"'),))
            return
        body = b""
        if offer is not None and request.method in ("INVITE", "UPDATE"):
            failure = await self._renew(live, request, observation, offer, exchange.flow.remote[0])
            if failure is not None:
                self._journal.remember(live)
                self._journal.tell(live)
                self._replies.fail(exchange, temporary=failure.temporary)
                return
            body = live.answer(offer, self._address)
        elif observation.raw_metadata:
            await self._describe(live, request, observation)
        if request.method == "INVITE" and offer is None:
            body = live.own_offer(self._address)
        self._journal.remember(live)
        await self.notebook.durable_if_able()
        self._replies.respond(exchange, 200, body=body)
        self._journal.remember(live)
        self._journal.tell(live)

    async def _renew(
        self,
        live: LiveSession,
        message: Request | Response,
        observation: Observation,
        offer: SessionDescription,
        source: str,
    ) -> FailMessage | None:
        at = _utc_now()
        self._journal.keep_message(live, message, observation, at)
        return await self._work(live, live.core.offer(observation, negotiation.read_lines(offer, source), at))

    async def _describe(self, live: LiveSession, message: Request | Response, observation: Observation) -> None:
        at = _utc_now()
        self._journal.keep_message(live, message, observation, at)
        await self._work(live, live.core.describe(observation, at))

    def _acknowledged(self, event: AckReceived) -> None:
        """The ACK; with the answer when our 200 carried the offer (S33)."""
        live = event.dialog.note
        if not isinstance(live, LiveSession):
            return
        self._heard(live)
        self.requests.ask_snapshot(live)
        if event.request.body:
            self._background.spawn(self._take_answer(live, event.request, event.exchange.flow.remote[0]))
        elif event.exchange.makes_dialog and not event.exchange.request.body:
            logger.warning("offer_not_answered", session=live.id, peer=live.core.data.peer_name)
            self.hang_up(live, "error")

    async def _take_answer(self, live: LiveSession, message: Request | Response, source: str) -> None:
        """The client's answer to an offer of ours: in its ACK, or in its 200 to our re-INVITE."""
        async with live.turn:
            if live.core.data.ended:
                return
            observation = self._observe(message)
            answer = observation.sdp
            if isinstance(answer, SessionDescription):
                failure = await self._renew(live, message, observation, answer, source)
                if failure is not None:  # an answer cannot be refused
                    live.core.flag("stream_not_updated", failure.reason)
            elif observation.raw_metadata:
                await self._describe(live, message, observation)
            self._journal.remember(live)
            self._journal.tell(live)

    def _terminated(self, event: Terminated) -> None:
        live = event.dialog.note
        if not isinstance(live, LiveSession):
            return
        live.dialog = None
        why = _WHY.get(event.cause, "error")
        if live.recovered and event.cause in (Cause.TIMEOUT, Cause.TRANSPORT, Cause.GONE):
            why = "recovered"
        self._background.spawn(self._end_in_turn(live, why, event.request))

    async def _end_in_turn(self, live: LiveSession, why: str, request: Request | None) -> None:
        async with live.turn:
            await self._end(live, why, request)

    async def _end(self, live: LiveSession, why: Any, request: Request | None) -> None:
        """Close all tracks, then tell of it. Metadata in a BYE counts (S12)."""
        at = _utc_now()
        observation = None
        if request is not None and request.method == "BYE" and request.body:
            observation = self._observe(request)
            if observation.raw_metadata:
                self._journal.keep_message(live, request, observation, at)
        known = live.core.data.ended
        actions = live.core.end(why, at, observation)
        if live.core.data.answered and not known:  # a crash while closing goes on with closing
            if observation is not None:
                self._journal.remember(live)
            self.notebook.ending(live.id, why, at)
        await self._work(live, actions)
        self._journal.tell(live)
        if live.core.finished:
            self._journal.forget(live)
            self.sessions.pop(live.id, None)
            metrics.SESSIONS.set(len(self.sessions))

    # What the service does by itself ----------------------------------------------------------------------------------

    def tell_changes(self) -> None:
        """About once a second: one update event for each recording that changed."""
        self._journal.tell_changes(_utc_now())

    def set_ability(self, ability: Ability) -> None:
        self.ability = ability
        self._endpoint.accepting = ability.able
        metrics.ABLE.set(ability.able)

    def track_ended(self, track: str, why: str) -> None:
        """The media process ended a track by itself."""
        for live in self.sessions.values():
            if any(stream.track == track for stream in live.core.data.streams.values()):
                self._background.spawn(self._lose(live, track, why))
                return

    async def _lose(self, live: LiveSession, track: str, why: str) -> None:
        """The stream goes on in a new track on another port, which the client is told by a re-INVITE where one is allowed."""
        async with live.turn:
            renew = self.requests.can_offer(live)
            before = live.core.local_streams()
            await self._work(live, live.core.lost(track, why, _utc_now(), renew=renew))
            self._tell_ports(live, before)
            self._journal.remember(live)
            self._journal.tell(live)

    def _tell_ports(self, live: LiveSession, before: Mapping[int, LocalStream]) -> None:
        """Offer our streams again when their ports are others than `before`; no stream is added (S08)."""
        if live.core.local_streams() != before:
            self._offer_again(live)

    def _offer_again(self, live: LiveSession) -> None:
        if not live.core.data.ended and self.requests.can_offer(live):
            self.requests.offer(live, live.own_offer(self._address))

    def hang_up(self, live: LiveSession, why: str) -> None:
        """End a session from our side: BYE where there still is a dialog."""
        self.requests.bye(live)
        self._background.spawn(self._end_in_turn(live, why, None))

    def adopt(self, live: LiveSession) -> None:
        """Take a session up again after a restart."""
        if live.dialog is not None:
            live.dialog.note = live
        self.sessions[live.id] = live
        metrics.SESSIONS.set(len(self.sessions))
        metrics.RECOVERED.inc()

    def restored_core(self, data: SessionData) -> RecordingSession:
        """The core of a recovered session; a peer that is not on the list any more keeps what it had."""
        directory = self.snapshot.directory
        peer = directory.peer_by_id(data.peer_id) or Peer(id=data.peer_id, name=data.peer_name)
        return self._core(data, directory, peer)

    async def attach(self, live: LiveSession, listed: Any, *, restarted: bool) -> None:
        """Bring one session and the media process together after a connect."""
        async with live.turn:
            before = live.core.local_streams()
            renew = self.requests.can_offer(live)
            actions = await self.tracks.attach(live.core, listed, restarted=restarted, renew=renew)
            await self._work(live, actions)
            if live.core.data.ended:
                await self._end(live, "recovered", None)
            else:
                self._tell_ports(live, before)
                self._journal.remember(live)
                self._journal.tell(live)

    async def settle(self, timeout_s: float) -> None:
        """Wait for the work under way, at most so long; what then still waits (for the media process) is left to the next start."""
        await self._background.settle(timeout_s)

    # Small steps -----------------------------------------------------------------------------------------------------

    async def _work(self, live: LiveSession, actions: Sequence[Action]) -> FailMessage | None:
        failure = None
        for asked in await self.tracks.perform(live.core, actions):
            if isinstance(asked, FailMessage):
                failure = asked
            else:
                live.snapshot_wanted = asked.reason
        self.requests.ask_snapshot(live)
        return failure

    def _observe(self, message: Request | Response) -> Observation:
        """What a message tells, without what may not be stored (S41): nothing else of it is ever looked at."""
        return apply_policy(observe(message), self._policy)

    def _heard(self, live: LiveSession) -> None:
        live.heard_at = self._driver.now()
        if live.recovered:
            live.recovered = False
            live.core.answered()


def _profile(peer: Peer) -> PeerProfile:
    return profile_named(AUTOMATIC_DIALECT if peer.dialect in ("", "auto") else peer.dialect)


def _join(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _utc_now() -> datetime:
    return datetime.now(UTC)
