"""An RTP sender over plain sockets, with every fault that a network knows; independent of the product."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tests.peers.audio import PACKET_SAMPLES, linear_to_alaw

PACKET_S = 0.02


@dataclass(slots=True)
class RtpSender:
    """One G.711 stream; packets leave at their time."""

    target: tuple[str, int]
    payload_type: int = 8
    ssrc: int = field(default_factory=lambda: random.getrandbits(32))
    sequence: int = field(default_factory=lambda: random.getrandbits(15))
    timestamp: int = field(default_factory=lambda: random.getrandbits(31))
    timestamp_step: int = PACKET_SAMPLES
    """RTP clock ticks of a packet (RFC 7587: Opus counts by 48 kHz whatever is in it)."""
    sent: int = 0
    socket: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))

    def __post_init__(self) -> None:
        if self.socket.getsockname()[1] == 0:
            self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def packet(self, payload: bytes, *, marker: bool = False) -> bytes:
        """The next packet; counters go on."""
        header = struct.pack(
            ">BBHII",
            0x80,
            self.payload_type | (0x80 if marker else 0),
            self.sequence & 0xFFFF,
            self.timestamp & 0xFFFFFFFF,
            self.ssrc,
        )
        self.sequence += 1
        self.timestamp += self.timestamp_step
        return header + payload

    def send(self, packet: bytes) -> None:
        """Send one packet now."""
        self.socket.sendto(packet, self.target)
        self.sent += 1

    def close(self) -> None:
        self.socket.close()


async def play(
    senders: list[RtpSender],
    signals: list[NDArray[np.int16]],
    *,
    drop: Callable[[int, int], bool] = lambda stream, number: False,
    on_packet: Callable[[int], None] = lambda number: None,
) -> None:
    """Send the signals as A-law, side by side in real time; see `play_payloads`."""
    payloads = []
    for signal in signals:
        padded = np.concatenate([signal, np.zeros(-len(signal) % PACKET_SAMPLES, np.int16)])
        payloads.append(pieces(linear_to_alaw(padded)))
    await play_payloads(senders, payloads, drop=drop, on_packet=on_packet)


def pieces(data: bytes) -> list[bytes]:
    """G.711 in packets of 20 ms."""
    return [data[at : at + PACKET_SAMPLES] for at in range(0, len(data), PACKET_SAMPLES)]


async def play_payloads(
    senders: list[RtpSender],
    payloads: list[list[bytes]],
    *,
    drop: Callable[[int, int], bool] = lambda stream, number: False,
    on_packet: Callable[[int], None] = lambda number: None,
) -> None:
    """Send a packet of each stream every 20 ms.

    `drop(stream, packet number)` loses a packet; `on_packet` is called before each round.
    """
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for number in range(max(len(p) for p in payloads)):
        on_packet(number)
        for stream, sender in enumerate(senders):
            if number < len(payloads[stream]):
                packet = sender.packet(payloads[stream][number], marker=number == 0)
                if not drop(stream, number):
                    sender.send(packet)
        await asyncio.sleep(max(0.0, begun + (number + 1) * PACKET_S - loop.time()))
