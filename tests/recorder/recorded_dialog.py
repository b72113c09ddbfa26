"""A recording client's messages as plain text, and a media process made of a dictionary: the world around a session core."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from callward.recorder import negotiation
from callward.recorder.actions import (
    Action,
    CloseTrack,
    DiscardTrack,
    FailMessage,
    OpenTrack,
    RequestSnapshot,
    RotateTrack,
    UpdateTrack,
)
from callward.recorder.session import RecordingSession
from callward.recorder.session_data import SessionData
from callward.records.events import Event
from callward.sip.headers import Headers
from callward.sip.sdp import SessionDescription
from callward.siprec.observation import Observation, observe_parts

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
NS = "urn:ietf:params:xml:ns:recording:1"


def sdp(*streams: str, address: str = "192.0.2.10", extra: str = "") -> str:
    """One m-line per stream: `label:direction[:port]`."""
    lines = ["v=0", f"o=src 1 1 IN IP4 {address}", "s=-", f"c=IN IP4 {address}", "t=0 0"]
    for number, stream in enumerate(streams):
        label, direction, *rest = stream.split(":")
        port = int(rest[0]) if rest else 40000 + 2 * number
        lines += [f"m=audio {port} RTP/AVP 8 101", "a=rtpmap:8 PCMA/8000", "a=rtpmap:101 telephone-event/8000"]
        lines += [f"a=label:{label}", f"a={direction}"]
    return "\r\n".join(lines) + "\r\n" + extra


def metadata(*calls: str, parties: str = "", streams: str = "", mode: str = "complete", group: str = "") -> str:
    """`calls`: ids of running calls, or `id!` for one with a stop time. `streams`: `label@call ...`. `parties`: `name@call:label ...`."""
    text = [f'<?xml version="1.0" encoding="UTF-8"?><recording xmlns="{NS}"><datamode>{mode}</datamode>']
    if group:
        text.append(f'<group group_id="{group}"/>')
    for call in calls:
        name = call.rstrip("!")
        text.append(f'<session session_id="{name}">')
        text.append(f"<group-ref>{group}</group-ref>" if group else "")
        text.append("<stop-time>2026-03-01T09:00:09Z</stop-time>" if call.endswith("!") else "")
        text.append("</session>")
    people, heard = [], []
    for item in parties.split():
        who, _, rest = item.partition("@")
        call, _, label = rest.partition(":")
        people.append(
            f'<participant participant_id="p-{who}"><nameID aor="sip:{who}@example.com"><name>{who}</name></nameID></participant>'
        )
        heard.append(
            f'<participantsessionassoc participant_id="p-{who}" session_id="{call}"><associate-time>2026-03-01T09:00:00Z'
            f"</associate-time></participantsessionassoc>"
        )
        if label:
            heard.append(
                f'<participantstreamassoc participant_id="p-{who}"><send>s-{label}</send></participantstreamassoc>'
            )
    text += people
    for item in streams.split():
        label, _, call = item.partition("@")
        text.append(f'<stream stream_id="s-{label}" session_id="{call}"><label>{label}</label></stream>')
    return "".join([*text, *heard, "</recording>"])


TWO_PARTIES = "alice@call-a:1 bob@call-a:2"
TWO_STREAMS = "1@call-a 2@call-a"


def message(method: str, sdp_text: str = "", xml: str = "", status: int = 0) -> tuple[Observation, str, bytes]:
    """What the recorder observes of a message, with its content type and body."""
    parts = []
    if sdp_text:
        parts.append(("application/sdp", sdp_text))
    if xml:
        parts.append(("application/rs-metadata+xml\r\nContent-Disposition: recording-session", xml))
    content_type, body = "", ""
    if parts:
        content_type = "multipart/mixed;boundary=b"
        body = "".join(f"--b\r\nContent-Type: {kind}\r\n\r\n{text}\r\n" for kind, text in parts) + "--b--\r\n"
    headers = Headers()
    for name, value in (
        ("From", "<sip:src@example.com>;tag=1"),
        ("To", "<sip:srs@example.com>"),
        ("Call-ID", "recording-1"),
        ("Contact", "<sip:src@192.0.2.10>;+sip.src"),
        ("Require", "siprec"),
        ("Content-Type", content_type),
    ):
        if value:
            headers.add(name, value)
    return observe_parts(method, status, headers, body.encode()), content_type, body.encode()


@dataclass
class World:
    """A session core with a media process that does at once what it is asked."""

    core: RecordingSession = field(init=False)
    at: datetime = START
    events: list[Event] = field(default_factory=list)
    done: list[Action] = field(default_factory=list)
    open: dict[str, str] = field(default_factory=dict)
    """Open track -> its state."""
    packets: dict[str, int] = field(default_factory=dict)
    """What a track will hold when it is closed; 500 otherwise."""
    no_ports: bool = False
    refuse_state: bool = False
    """The media process refuses each change of a track's state."""
    failures: list[FailMessage] = field(default_factory=list)
    organisations: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        data = SessionData("0" * 25 + "S", "peer-1", "sbc", "192.0.2.10:5060", "automatic", START)
        self.core = self.make(data)
        self._ports = itertools.count(10_000, 2)

    def make(self, data: SessionData) -> RecordingSession:
        numbers = itertools.count(1)
        return RecordingSession(
            data,
            make_id=lambda at: f"{next(numbers):026d}",
            entropy=bytes,
            organisation_of=lambda groups, _: next(
                (self.organisations[g] for g in groups if g in self.organisations), None
            ),
        )

    def later(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    def offer(self, method: str, sdp_text: str, xml: str = "") -> SessionDescription:
        """An offer and the work it makes; returns our answer."""
        observation, _, _ = message(method, sdp_text, xml)
        description = negotiation.parse(sdp_text.encode())
        assert isinstance(description, SessionDescription)
        self.work(self.core.offer(observation, negotiation.read_lines(description, "192.0.2.10"), self.at))
        answer = negotiation.answer(
            description, self.core.data.plan, self.core.local_streams(), address="127.0.0.1", session_id="1", version=1
        )
        if not self.core.data.answered and self.core.local_streams():
            self.core.answered()
        self.collect()
        return answer

    def describe(self, xml: str, method: str = "UPDATE") -> None:
        observation, _, _ = message(method, "", xml)
        self.work(self.core.describe(observation, self.at))
        self.collect()

    def bye(self, xml: str = "") -> None:
        observation, _, _ = message("BYE", "", xml)
        self.work(self.core.end("bye", self.at, observation))
        self.collect()

    def flush(self) -> None:
        self.core.flush(self.at)
        self.collect()

    def collect(self) -> None:
        self.events += self.core.take_events()

    def of(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]

    def did(self, kind: type) -> list:
        return [action for action in self.done if isinstance(action, kind)]

    def work(self, actions: Sequence[Action]) -> None:
        waiting = list(actions)
        while waiting:
            action = waiting.pop(0)
            self.done.append(action)
            match action:
                case OpenTrack() if self.no_ports:
                    waiting += self.core.refused(action.track, "no port is free")
                case OpenTrack():
                    port = next(self._ports)
                    self.open[action.track] = action.settings.state
                    self.core.opened(action.track, port, port + 1)
                case UpdateTrack() if self.refuse_state and action.sets_state:
                    waiting += self.core.not_updated(action, "too much waits for the disk", temporary=True)
                case FailMessage():
                    self.failures.append(action)
                case UpdateTrack():
                    self.open[action.track] = action.changes.get("state", self.open[action.track])
                case RotateTrack():
                    self.open[action.following] = self.open.pop(action.track)
                    waiting += self.core.closed(action.track, self.packets.get(action.track, 500))
                case CloseTrack():
                    del self.open[action.track]
                    waiting += self.core.closed(action.track, self.packets.get(action.track, 500))
                case DiscardTrack() | RequestSnapshot():
                    pass
