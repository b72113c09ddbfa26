"""A recording client made of plain text and sockets, so that the product's SIP stack is never at both ends of a proof."""

from __future__ import annotations

import asyncio
import re
import secrets
import ssl
from dataclasses import dataclass, field

TIMEOUT_S = 10.0
NAMESPACE = "urn:ietf:params:xml:ns:recording:1"


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, cut into what tests look at."""

    status: int
    text: str
    body: str

    def header(self, name: str) -> str | None:
        found = re.search(rf"(?im)^{re.escape(name)}\s*:\s*(.*)$", self.text)
        return found.group(1).strip() if found else None

    @property
    def media_ports(self) -> list[int]:
        return [int(port) for port in re.findall(r"(?m)^m=\w+ (\d+) ", self.body)]

    @property
    def directions(self) -> list[str]:
        return re.findall(r"(?m)^a=(sendonly|recvonly|inactive|sendrecv)\r?$", self.body)


@dataclass(slots=True)
class Party:
    """One participant; `stream` is the label in which it is heard."""

    aor: str
    name: str
    stream: str
    participant_id: str = field(default_factory=lambda: secrets.token_urlsafe(16))


def metadata(session_id: str, parties: list[Party], *, group_id: str = "") -> str:
    """A complete metadata document (RFC 7865)."""
    participants, associations, streams = [], [], []
    for party in parties:
        participants.append(
            f'<participant participant_id="{party.participant_id}"><nameID aor="{party.aor}">'
            f'<name xml:lang="en">{party.name}</name></nameID></participant>'
        )
        sends = f"<send>stream{party.stream}</send>" if party.stream else ""
        receives = "".join(
            f"<recv>stream{other.stream}</recv>" for other in parties if other is not party and other.stream
        )
        associations.append(
            f'<participantstreamassoc participant_id="{party.participant_id}">{sends}{receives}</participantstreamassoc>'
        )
    for label in sorted({party.stream for party in parties if party.stream}):
        streams.append(f'<stream stream_id="stream{label}" session_id="{session_id}"><label>{label}</label></stream>')
    group = f'<group group_id="{group_id}"/>' if group_id else ""
    reference = f"<group-ref>{group_id}</group-ref>" if group_id else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><recording xmlns="{NAMESPACE}"><datamode>complete</datamode>{group}'
        f'<session session_id="{session_id}">{reference}</session>{"".join(participants)}{"".join(streams)}'
        f"{''.join(associations)}</recording>"
    )


def offer(
    ports: list[int],
    *,
    direction: str = "sendonly",
    labels: list[str] | None = None,
    address: str = "127.0.0.1",
    version: int = 1,
) -> str:
    """SDP with one m-line per port; port 0 removes a stream."""
    lines = ["v=0", f"o=client 1 {version} IN IP4 {address}", "s=-", f"c=IN IP4 {address}", "t=0 0"]
    for place, port in enumerate(ports):
        label = labels[place] if labels else str(place + 1)
        lines += [f"m=audio {port} RTP/AVP 8 101", "a=rtpmap:8 PCMA/8000", "a=rtpmap:101 telephone-event/8000"]
        lines += [f"a=label:{label}", f"a={direction}"]
    return "\r\n".join(lines) + "\r\n"


class SipClient:
    """One recording session over UDP, TCP or TLS."""

    def __init__(
        self,
        host: str,
        port: int,
        transport: str = "TCP",
        tls: ssl.SSLContext | None = None,
        *,
        source: str = "127.0.0.1",
    ) -> None:
        self.host, self.port, self.transport, self._tls = host, port, transport, tls
        self.source = source
        self.call_id = secrets.token_hex(12)
        self._from_tag = secrets.token_hex(6)
        self._to_tag = ""
        self._cseq = 0
        self._target = f"sip:recorder@{host}:{port}"
        self._inbox: asyncio.Queue[str] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self.requests: list[str] = []
        """Requests that the recorder sent to us (each was answered 200)."""

    async def connect(self) -> None:
        if self.transport == "UDP":
            loop = asyncio.get_running_loop()
            client = self

            class Receiver(asyncio.DatagramProtocol):
                def datagram_received(self, data: bytes, _: object) -> None:
                    client._take(data.decode("utf-8", "replace"))

            self._datagrams, _ = await loop.create_datagram_endpoint(
                Receiver, local_addr=(self.source, 0), remote_addr=(self.host, self.port)
            )
            self._local = self._datagrams.get_extra_info("sockname")
        else:
            name = "localhost" if self._tls else None
            self._reader, self._writer = await asyncio.open_connection(
                self.host, self.port, ssl=self._tls, server_hostname=name, local_addr=(self.source, 0)
            )
            self._local = self._writer.get_extra_info("sockname")
            self._tasks.append(asyncio.create_task(self._read()))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self.transport == "UDP":
            self._datagrams.close()
        else:
            self._writer.close()

    async def _read(self) -> None:
        while True:
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("utf-8", "replace").lstrip("\r\n")
            found = re.search(r"(?im)^(?:content-length|l)\s*:\s*(\d+)", head)
            body = (await self._reader.readexactly(int(found.group(1)))).decode("utf-8", "replace") if found else ""
            self._take(head + body)

    def _take(self, text: str) -> None:
        if text.startswith("SIP/2.0"):
            self._inbox.put_nowait(text)
            return
        self.requests.append(text)
        copied = [
            line
            for line in text.split("\r\n\r\n")[0].split("\r\n")[1:]
            if re.match(r"(?i)(via|from|to|call-id|cseq)\s*:", line)
        ]
        self._send("\r\n".join(["SIP/2.0 200 OK", *copied, "Content-Length: 0", "", ""]))

    def _send(self, text: str) -> None:
        if self.transport == "UDP":
            self._datagrams.sendto(text.encode())
        else:
            self._writer.write(text.encode())

    def request(
        self,
        method: str,
        *,
        sdp: str = "",
        rs_metadata: str = "",
        cseq: int | None = None,
        extra: list[str] | None = None,
        branch: str = "",
    ) -> str:
        """The text of a request inside (or beginning) the session."""
        if cseq is None:
            self._cseq += 1
            cseq = self._cseq
        host, port = self._local[0], self._local[1]
        lines = [
            f"{method} {self._target} SIP/2.0",
            f"Via: SIP/2.0/{self.transport} {host}:{port};branch=z9hG4bK{branch or secrets.token_hex(8)};rport",
            "Max-Forwards: 70",
            f"From: <sip:sbc@{host}>;tag={self._from_tag}",
            f"To: <sip:recorder@{self.host}>" + (f";tag={self._to_tag}" if self._to_tag else ""),
            f"Call-ID: {self.call_id}",
            f"CSeq: {cseq} {method}",
            f"Contact: <sip:sbc@{host}:{port};transport={self.transport.lower()}>;+sip.src",
        ]
        if method == "INVITE":
            lines.append("Require: siprec")
        lines += extra or []
        body, content_type = sdp, "application/sdp"
        if sdp and rs_metadata:
            boundary = "tests-boundary"
            content_type = f"multipart/mixed;boundary={boundary}"
            body = (
                f"--{boundary}\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n"
                f"--{boundary}\r\nContent-Type: application/rs-metadata+xml\r\nContent-Disposition: recording-session\r\n\r\n"
                f"{rs_metadata}\r\n--{boundary}--\r\n"
            )
        elif rs_metadata:
            body, content_type = rs_metadata, "application/rs-metadata+xml"
            lines.append("Content-Disposition: recording-session")
        if body:
            lines.append(f"Content-Type: {content_type}")
        lines += [f"Content-Length: {len(body.encode())}", "", body]
        return "\r\n".join(lines)

    async def ask(self, method: str, *, answer_sdp: str = "", **parts: object) -> Answer:
        """Send a request and wait for its final answer; an INVITE's 2xx is acknowledged, with `answer_sdp` where it had the offer."""
        text = self.request(method, **parts)  # type: ignore[arg-type]
        cseq = re.search(r"(?m)^CSeq: (\d+)", text)
        assert cseq is not None
        self._send(text)
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                answer = _cut(await self._inbox.get())
                if answer.status < 200 or answer.header("CSeq") != f"{cseq.group(1)} {method}":
                    continue
                if answer.status < 300:
                    self._learn(answer)
                    if method == "INVITE":
                        self._send(self.request("ACK", sdp=answer_sdp, cseq=int(cseq.group(1))))
                elif method == "INVITE":
                    self._send(self.request("ACK", cseq=int(cseq.group(1)), branch=""))
                return answer

    def _learn(self, answer: Answer) -> None:
        tag = re.search(r"(?im)^(?:to|t)\s*:.*;tag=([^;\s]+)", answer.text)
        if tag and not self._to_tag:
            self._to_tag = tag.group(1)
        contact = re.search(r"(?im)^(?:contact|m)\s*:\s*.*<([^>]+)>", answer.text)
        if contact:
            self._target = contact.group(1)

    async def options(self) -> Answer:
        return await self.ask("OPTIONS")


def _cut(text: str) -> Answer:
    head, _, body = text.partition("\r\n\r\n")
    return Answer(int(head.split(" ", 2)[1]), head, body)
