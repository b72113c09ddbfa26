"""A recording client that says what a vendor's product says: the messages of tests/data/siprec, with addresses of our own."""

from __future__ import annotations

import asyncio
import re
import secrets
from pathlib import Path

from tests.peers.sip_client import TIMEOUT_S, Answer, SipClient, offer

SAMPLES = Path(__file__).parent.parent / "data" / "siprec"


class CapturedClient(SipClient):
    """Sends samples over TCP from an address of its own, so that its calls can be told from others'."""

    def __init__(self, host: str, port: int, source: str) -> None:
        super().__init__(host, port, "TCP", source=source)
        self.call_id = f"{secrets.token_hex(8)}@captured"

    @property
    def address(self) -> str:
        """Source address and port, as the recorder sees them."""
        return f"{self._local[0]}:{self._local[1]}"

    def adapted(self, name: str, ports: list[int], *, cseq: int | None = None) -> str:
        """A sample with our Via, Call-ID, To tag, media address and media ports (as many as it has m-lines with a port)."""
        head, _, body = (SAMPLES / name).read_bytes().decode().partition("\r\n\r\n")
        left = iter(ports)

        def media(line: re.Match[str]) -> str:
            return f"{line[1]}{next(left)} " if line[2] != "0" else line[0]

        body = re.sub(r"(m=audio )(\d+) ", media, body)
        body = re.sub(r"(?m)^c=IN IP4 (?!0\.0\.0\.0)\S+", f"c=IN IP4 {self.source}", body)
        lines = []
        for line in head.split("\r\n"):
            header = line.partition(":")[0].strip().lower()
            if header in ("via", "v"):
                branch = f"z9hG4bK{secrets.token_hex(8)}"
                line = f"Via: SIP/2.0/TCP {self._local[0]}:{self._local[1]};branch={branch}"
            elif header in ("call-id", "i"):
                line = f"Call-ID: {self.call_id}"
            elif header in ("to", "t") and self._to_tag:
                line = re.sub(r";tag=[^;\s]+", "", line) + f";tag={self._to_tag}"
            elif header in ("from", "f"):
                self._from = line
            elif header in ("content-length", "l"):
                line = f"Content-Length: {len(body.encode())}"
            elif header == "cseq":
                method = line.split()[-1]
                self._cseq = cseq if cseq is not None else max(self._cseq + 1, int(line.split()[1]))
                line = f"CSeq: {self._cseq} {method}"
            if header in ("to", "t"):
                self._to = re.sub(r";tag=[^;\s]+", "", line)
            lines.append(line)
        return "\r\n".join(lines) + "\r\n\r\n" + body

    async def say(self, name: str, ports: list[int] | None = None) -> Answer:
        """Send a sample request and wait for its final answer; an INVITE's 2xx is acknowledged.

        The ACK of an INVITE without an offer answers the recorder's (one A-law stream).
        """
        text = self.adapted(name, ports or [])
        method = text.split(" ", 1)[0]
        self._send(text)
        answer = await self._final(f"{self._cseq} {method}")
        if method == "INVITE" and answer.status < 300:
            delayed = text.endswith("\r\n\r\n")
            sdp = offer((ports or [])[:1], address=self.source) if delayed else ""
            self._send(self._plain("ACK", self._cseq, body=sdp))
        return answer

    async def hang_up(self) -> Answer:
        self._cseq += 1
        self._send(self._plain("BYE", self._cseq))
        return await self._final(f"{self._cseq} BYE")

    async def _final(self, cseq: str) -> Answer:
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                text = await self._inbox.get()
                head, _, body = text.partition("\r\n\r\n")
                answer = Answer(int(head.split(" ", 2)[1]), head, body)
                if answer.header("CSeq") != cseq:
                    continue
                if answer.status < 200:
                    if answer.header("RSeq"):
                        self._acknowledge(answer, cseq)
                    continue
                if answer.status < 300:
                    self._learn(answer)
                return answer

    def _acknowledge(self, answer: Answer, cseq: str) -> None:
        self._learn(answer)
        self._cseq += 1
        self._send(self._plain("PRACK", self._cseq, f"RAck: {answer.header('RSeq')} {cseq}"))

    def _plain(self, method: str, cseq: int, *extra: str, body: str = "") -> str:
        host, port = self._local[0], self._local[1]
        lines = [
            f"{method} {self._target} SIP/2.0",
            f"Via: SIP/2.0/TCP {host}:{port};branch=z9hG4bK{secrets.token_hex(8)}",
            "Max-Forwards: 70",
            self._from,
            f"{self._to};tag={self._to_tag}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {cseq} {method}",
            *extra,
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
            "",
            body,
        ]
        return "\r\n".join(lines)
