"""The recorder process: puts the parts together, takes up what was open, watches, and stops."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from callward.journal import EventJournal
from callward.media.client import MediaClient
from callward.media.protocol import Hello, ListedTrack, MediaError, MediaEvent, MediaStatus
from callward.platform.health import own_metrics
from callward.platform.ids import new_ulid
from callward.platform.process import Service
from callward.platform.settings import Settings
from callward.platform.telemetry import logger
from callward.provisioning.snapshot import host_key
from callward.recorder import metrics
from callward.recorder.ability import Ability, Alarms, Condition, assess
from callward.recorder.certificate import own_certificate
from callward.recorder.entropy import Entropy
from callward.recorder.live_session import LiveSession
from callward.recorder.notebook import Notebook
from callward.recorder.orphans import adopted, find_orphans, told_tracks
from callward.recorder.packet_watch import PacketWatch
from callward.recorder.recovery import RecoveredSession, RecoveredState, read_back
from callward.recorder.service import RecorderService
from callward.recorder.snapshot import SnapshotFile
from callward.recorder.sockets import close_unused, named_address, take_socket
from callward.recorder.track_work import TrackWork
from callward.records.events import SystemEvent
from callward.sip.config import EndpointConfig
from callward.sip.driver import Driver
from callward.sip.endpoint import Endpoint, SipUseError
from callward.sip.flow import Admission, Flow, Verdict
from callward.sip.message import Request
from callward.sip.tls import TlsSettings
from callward.siprec.storage_policy import StoragePolicy

TICK_S = 1.0
"""Updates of recordings, the disk and the snapshot file are looked at this often."""
CHECKPOINT_S = 600.0
PROBE_AFTER_S = 30.0
"""A client that signalled nothing for so long after our restart is asked whether its dialog lives."""
RECOVERED_SILENCE_S = 60.0
REFUSED_EVENT_S = 60.0
"""One system event per unknown address in this time; each is counted."""
STOP_S = 5.0
GC_THRESHOLDS = (20_000, 20, 50)
"""A session leaves a few hundred objects; Python's default looks at 700 allocations."""


class RecorderServer:
    """One recorder. `run` returns when `service.stopping` is set."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.settings: Settings = service.settings
        self.folder = service.paths.journal_recorder
        self.journal = EventJournal.open(self.folder)
        self.notebook = Notebook(self.journal)
        self.snapshot = SnapshotFile(service.paths.snapshot, host_key(service.paths.keys))
        self.snapshot.reload()
        self.media = MediaClient(
            service.paths.media_socket,
            on_event=self._on_media_event,
            on_connected=self._on_media_connected,
            on_lost=self._on_media_lost,
        )
        recorder = self.settings.recorder
        entropy = Entropy()
        advertised = recorder.advertised_address or named_address(recorder.host)
        media_address = self.settings.media.address or recorder.host
        self.recorder = RecorderService(
            notebook=self.notebook,
            tracks=TrackWork(self.media, media_address),
            snapshot=self.snapshot,
            advertised_address=recorder.advertised_address or named_address(media_address),
            entropy=entropy,
            policy=StoragePolicy.of(recorder.metadata_drop, recorder.metadata_mask),
        )
        config = EndpointConfig(
            local={
                "UDP": (advertised, recorder.sip_port),
                "TCP": (advertised, recorder.sip_port),
                "TLS": (advertised, recorder.tls_port),
            },
            contact_user="recorder",
            contact_parameters=("+sip.srs",),
            supported=("100rel", "timer", "siprec"),
            accept=(
                "application/sdp",
                "application/rs-metadata",
                "application/rs-metadata+xml",
                "multipart/mixed",
            ),
            max_dialogs=2 * recorder.max_sessions,
        )
        self.endpoint = Endpoint(config, entropy, self._admit)
        self.endpoint.accepting = False
        self.driver = Driver(self.endpoint, self.recorder.on_event)
        self.recorder.bind(self.endpoint, self.driver)
        self._alarms = Alarms()
        self._status: MediaStatus | None = None
        self._attached = False
        self._attach_task: asyncio.Task[None] | None = None
        self._boot = ""
        self._first_attach = True
        self._refused_at: dict[str, float] = {}
        service.metrics = self._metrics
        self._checkpoint_at = 0.0
        self._started_at = 0.0
        self._packets = PacketWatch()

    async def run(self) -> None:
        """Recover, listen, watch until asked to stop."""
        self._started_at = self._checkpoint_at = time.monotonic()
        state = await asyncio.to_thread(read_back, self.folder)
        self._restore(state)
        await self._listen()
        self.media.start()
        self._look()
        _tune_garbage_collection()
        self.service.ready()
        try:
            while not self.service.stopping.is_set():
                await self._tick()
                await _wait(self.service.stopping, TICK_S)
        finally:
            await self._stop()

    # Start and stop --------------------------------------------------------------------------------------------------

    def _restore(self, state: RecoveredState) -> None:
        """Sessions and their dialogs as they were, so that a BYE or a re-INVITE of an old dialog is answered."""
        self._boot = state.boot
        for found in state.sessions:
            try:
                self._restore_session(found)
            except Exception:
                self._session_failed(found.data.id, "not_restored")
        self.driver.flush()
        if state.sessions:
            logger.info("sessions_recovered", sessions=len(state.sessions))
            self._event(
                "warning", "recorder_restarted", f"{len(state.sessions)} sessions were taken up again after a restart"
            )

    def _restore_session(self, found: RecoveredSession) -> None:
        core = self.recorder.restored_core(found.data)
        core.replay(found.observations())
        dialog = None
        if found.dialog is not None and not found.data.ended:
            try:
                dialog = self.endpoint.restore(found.dialog, self.driver.now())
                dialog.peer = self.snapshot.directory.peer_by_id(found.data.peer_id)
            except SipUseError as error:
                logger.error("dialog_not_restored", session=found.data.id, error=str(error))
        live = LiveSession(core, dialog, found.notes, heard_at=self.driver.now(), recovered=True)
        self.recorder.adopt(live)

    def _session_failed(self, session: str, what: str) -> None:
        """A defect in one session: it stops neither the others nor the start. Its tracks stay in the audio journal."""
        logger.exception("session_failed", session=session, what=what)
        self._event(
            "alarm", "session_failed", f"session {session} was {what.replace('_', ' ')}: see the recorder's log"
        )

    async def _listen(self) -> None:
        recorder = self.settings.recorder
        host, advertised = recorder.host, recorder.advertised_address or named_address(recorder.host)
        udp = take_socket(self.service, "recorder-udp", socket.SOCK_DGRAM, host, recorder.sip_port)
        tcp = take_socket(self.service, "recorder-tcp", socket.SOCK_STREAM, host, recorder.sip_port)
        tls = take_socket(self.service, "recorder-tls", socket.SOCK_STREAM, host, recorder.tls_port)
        close_unused(self.service)
        tls_settings = self._tls()
        await self.driver.listen_udp(host, recorder.sip_port, sock=udp, advertised=advertised)
        await self.driver.listen_tcp(host, recorder.sip_port, sock=tcp, advertised=advertised)
        await self.driver.listen_tls(host, recorder.tls_port, tls_settings, sock=tls, advertised=advertised)
        self.driver.connect_with(tls_settings)

    def _tls(self) -> TlsSettings:
        recorder = self.settings.recorder
        certificate, key = recorder.tls_certificate, recorder.tls_key
        if certificate is None or key is None:
            certificate, key = own_certificate(self.service.paths.keys, recorder.advertised_address or recorder.host)
        return TlsSettings(
            certificate=certificate, key=key, peer_ca=recorder.tls_client_ca, crl=recorder.tls_client_crl
        )

    async def _stop(self) -> None:
        """Running calls are not ended: the sockets are kept and the next start takes them up."""
        self.endpoint.accepting = False
        if self._attach_task is not None:
            self._attach_task.cancel()
        await self.recorder.settle(STOP_S)
        await self.driver.close(grace_s=0.2)
        self.recorder.tell_changes()
        await self._checkpoint()
        await self.media.close()
        await self.journal.close()

    # Peers -----------------------------------------------------------------------------------------------------------

    def _admit(self, flow: Flow, request: Request | None) -> Admission:
        """The allow-list: address and certificate, never what a header says."""
        peer = self.snapshot.directory.peer(flow.remote[0], flow.certificate)
        if peer is not None:
            return Admission(Verdict.ACCEPT, peer)
        metrics.UNKNOWN_PEERS.inc()
        self._tell_stranger(flow)
        return Admission(Verdict.REFUSE if request is not None else Verdict.DROP)

    def _tell_stranger(self, flow: Flow) -> None:
        now = time.monotonic()
        address = flow.remote[0]
        if now - self._refused_at.get(address, -REFUSED_EVENT_S) < REFUSED_EVENT_S:
            return
        if len(self._refused_at) >= 1000:
            self._refused_at = {key: at for key, at in self._refused_at.items() if now - at < REFUSED_EVENT_S}
            if len(self._refused_at) >= 1000:
                return
        self._refused_at[address] = now
        self._event(
            "warning",
            "unknown_peer",
            f"{address} is not on the list of recording clients",
            {"address": address, "transport": flow.transport},
        )

    # The media process -----------------------------------------------------------------------------------------------

    def _on_media_event(self, event: MediaEvent) -> None:
        if event.name == "able" and self._status is not None:
            self._status = MediaStatus(
                bool(event.fields.get("able")),
                str(event.fields.get("why") or ""),
                self._status.open_tracks,
                self._status.raw,
            )
            self._look()
        elif event.name == "track_ended":
            self.recorder.track_ended(event.track(), str(event.fields.get("why") or "ended by the media process")[:500])
        elif event.name == "overflow":
            self._event("alarm", "media_overflow", "the audio journal was too slow for a stream", dict(event.fields))

    def _on_media_connected(self, hello: Hello) -> None:
        if self._attach_task is not None:
            self._attach_task.cancel()
        self._attach_task = asyncio.create_task(self._attach(hello))

    def _on_media_lost(self) -> None:
        self._attached = False
        self._status = None
        self._look()

    async def _attach(self, hello: Hello) -> None:
        """Compare the media process's tracks with ours; only then new sessions are taken."""
        restarted = bool(self._boot) and hello.boot != self._boot
        ours: set[str] = set()
        while True:
            try:
                listed = {item.track: item for item in await self.media.list_tracks()}
                ours |= self._known_tracks()  # before sessions that had ended are finished and forgotten
                await asyncio.gather(
                    *[
                        self._attach_session(live, listed, restarted=restarted)
                        for live in list(self.recorder.sessions.values())
                    ]
                )
                if self._first_attach:
                    await self._end_orphans(listed, ours)
                self._status = await self.media.status()
                break
            except MediaError as error:
                logger.warning("media_not_attached", error=str(error))
                if not self.media.connected:
                    return
                await asyncio.sleep(TICK_S)
        if restarted:
            self._event("warning", "media_restarted", "the media process was restarted; recordings go on with a gap")
        self._first_attach = False
        self._attached = True
        if hello.boot != self._boot:
            self._boot = hello.boot
            self.notebook.media(hello.boot)
        self._look()

    async def _attach_session(self, live: LiveSession, listed: dict[str, ListedTrack], *, restarted: bool) -> None:
        try:
            await self.recorder.attach(live, listed, restarted=restarted)
        except MediaError:
            raise
        except Exception:
            self._session_failed(live.id, "not_attached")

    def _known_tracks(self) -> set[str]:
        return {
            item.track
            for live in self.recorder.sessions.values()
            for recording in live.core.data.recordings.values()
            for item in recording.tracks
        }

    async def _end_orphans(self, listed: dict[str, ListedTrack], ours: set[str]) -> None:
        """Tracks that no session knows: their call was never answered, or our journal was lost. First noted, then closed."""
        await self.notebook.durable_if_able()
        orphans = await asyncio.to_thread(find_orphans, listed.values(), ours, lambda: told_tracks(self.folder))
        for data in await adopted(self.media, orphans, datetime.now(UTC), new_ulid):
            logger.warning("orphans_adopted", session=data.id, recordings=len(data.recordings))
            live = LiveSession(self.recorder.restored_core(data), None, heard_at=self.driver.now(), recovered=True)
            self.recorder.adopt(live)
            self.notebook.session(data, None)
            await self.notebook.durable_if_able()
            await self._attach_session(live, listed, restarted=False)

    # Watching --------------------------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        self.notebook.retry()
        before = self.snapshot.problem
        self.snapshot.reload()
        if self.snapshot.problem and self.snapshot.problem != before:
            self._event("alarm", "snapshot_refused", self.snapshot.problem)
        if self._attached:
            try:
                self._status = await self.media.status()
            except MediaError as error:
                logger.warning("media_status_failed", error=str(error))
        self._look()
        self.recorder.tell_changes()
        await self._end_silent()
        if self.notebook.wants_checkpoint or time.monotonic() - self._checkpoint_at > CHECKPOINT_S:
            await self._checkpoint()

    def _look(self) -> None:
        """Decide whether new sessions are taken, and tell of changes."""
        status = self._status
        media = self.settings.media
        raw: Any = status.raw if status is not None else {}
        condition = Condition(
            attached=self._attached,
            media_able=status.able if status is not None else False,
            media_why=status.why if status is not None else "",
            journal_able=self.notebook.able,
            journal_why=self.journal.why,
            sessions=len(self.recorder.sessions),
            max_sessions=self.settings.recorder.max_sessions,
            disk_free_bytes=_free_bytes(self.folder),
            disk_reserve_bytes=media.disk_reserve_bytes,
            audio_journal_bytes=int(raw.get("journal_bytes") or 0),
            audio_journal_max_bytes=media.journal_max_bytes,
        )
        ability = assess(condition)
        if ability != self.recorder.ability:
            logger.info("able" if ability.able else "not_able", reason=ability.reason, why=ability.why)
        self.recorder.set_ability(ability)
        self.driver.flush()
        started = time.monotonic() - self._started_at > STOP_S or ability.able
        if started and not self.service.stopping.is_set():  # the first connect to the media process is no alarm
            for event in self._alarms.watch(condition, ability, datetime.now(UTC)):
                self.notebook.event(event)
        self._set_health(ability)

    def _set_health(self, ability: Ability) -> None:
        health = self.service.health
        health.set("media", self._attached, "" if self._attached else "the media process is not connected")
        health.set("journal", self.notebook.able, self.journal.why)
        health.set("able", ability.able, ability.why)
        health.set("snapshot", not self.snapshot.problem, self.snapshot.problem)

    async def _end_silent(self) -> None:
        """End sessions that neither talk nor signal: by the setting, or soon when the client went away while we were dead."""
        now = self.driver.now()
        for live in list(self.recorder.sessions.values()):
            if live.core.data.ended:
                continue
            quiet_s = now - live.heard_at
            if live.recovered and not live.probed and quiet_s > PROBE_AFTER_S:
                self.recorder.requests.probe(live)
            gone = live.recovered and live.dialog is None
            limit_s = RECOVERED_SILENCE_S if gone else float(self.settings.recorder.silence_timeout_s)
            if quiet_s > limit_s and await self._media_silent(live, limit_s):
                logger.warning("session_silent", session=live.id, quiet_s=round(quiet_s))
                self.recorder.hang_up(live, "recovered" if gone else "timer")

    async def _media_silent(self, live: LiveSession, limit_s: float) -> bool:
        """No packet on any stream for so long. An answer that cannot be had counts as talk."""
        for stream in list(live.core.data.streams.values()):
            try:
                stats = (await self.media.track_stats(stream.track)).get("stats")
            except MediaError:
                return False
            last_ns = stats.get("last_at_ns") if isinstance(stats, dict) else None
            if self._packets.moved(stream.track, last_ns, self.driver.now(), limit_s):
                return False
        return True

    async def _metrics(self) -> bytes:
        """Our own, and those of the media process, which has no port of its own."""
        own = await own_metrics()
        try:
            return own + (await self.media.metrics()).encode()
        except MediaError:
            return own

    async def _checkpoint(self) -> None:
        self._checkpoint_at = time.monotonic()
        await self.notebook.checkpoint(
            [
                (live.core.data, live.dialog.to_state() if live.dialog is not None else None, live.notes)
                for live in self.recorder.sessions.values()
            ],
            self._boot,
        )

    def _event(self, severity: Any, code: str, detail: str, data: dict[str, Any] | None = None) -> None:
        self.notebook.event(
            SystemEvent(at=datetime.now(UTC), severity=severity, code=code, detail=detail, data=data or {})
        )


async def serve(service: Service) -> None:
    """Main coroutine of `callward recorder`."""
    await RecorderServer(service).run()


def _tune_garbage_collection() -> None:
    """What was loaded at the start stays; thousands of living sessions are not searched for garbage again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        pass


def _free_bytes(folder: Path) -> int:
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize
