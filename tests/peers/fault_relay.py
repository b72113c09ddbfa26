"""A network that loses, delays, repeats and reorders datagrams, always the same way for one seed."""

from __future__ import annotations

import asyncio
import random
import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Faults:
    """How bad the network is. Shares are between 0 and 1."""

    loss: float = 0.0
    duplicate: float = 0.0
    jitter_s: float = 0.0
    """Each datagram is late by up to so much, so that later ones may overtake it."""


class FaultRelay:
    """Takes the place of a socket that only sends: what is sent through it arrives as a bad network would let it."""

    def __init__(self, through: socket.socket, faults: Faults, seed: int) -> None:
        self._through = through
        self._faults = faults
        self._random = random.Random(seed)
        self._under_way = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self.number = 0
        self.lost: list[int] = []
        """Numbers of the datagrams that never arrive."""
        self.duplicated = 0

    def send(self, data: bytes, target: tuple[str, int]) -> None:
        """Lose it, or let it arrive later, once or twice."""
        number, self.number = self.number, self.number + 1
        if self._random.random() < self._faults.loss:
            self.lost.append(number)
            return
        self._later(data, target)
        if self._random.random() < self._faults.duplicate:
            self.duplicated += 1
            self._later(data, target)

    async def drained(self) -> None:
        """Wait until nothing is under way."""
        await self._empty.wait()

    def _later(self, data: bytes, target: tuple[str, int]) -> None:
        self._under_way += 1
        self._empty.clear()
        delay = self._random.random() * self._faults.jitter_s
        asyncio.get_running_loop().call_later(delay, self._arrive, data, target)

    def _arrive(self, data: bytes, target: tuple[str, int]) -> None:
        self._through.sendto(data, target)
        self._under_way -= 1
        if not self._under_way:
            self._empty.set()
