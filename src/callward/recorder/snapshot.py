"""Who may record here and whose calls they are:

the snapshot of settings, compiled for look-ups and reloaded when its file changes.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from callward.platform.telemetry import logger
from callward.provisioning.snapshot import DEFAULT, FILE, Peer, Snapshot, SnapshotError, read_snapshot
from callward.sip.flow import PeerCertificate

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class _Entry:
    peer: Peer
    networks: tuple[_Network, ...]
    certificates: frozenset[str]


class Directory:
    """One snapshot, compiled. A session keeps the answers that it began with."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.number = snapshot.number
        self._entries = tuple(_compile(peer) for peer in snapshot.peers)
        self._by_address: dict[str, Peer | None] = {}
        self._peers = {peer.id: peer for peer in snapshot.peers}
        self._groups = {group.strip().lower(): part.id for part in snapshot.organisations for group in part.group_ids}
        self._numbers = {_digits(number): part.id for part in snapshot.organisations for number in part.numbers}

    def peer(self, address: str, certificate: PeerCertificate | None = None) -> Peer | None:
        """The peer behind a source address or a verified certificate (never behind a From); None: a stranger.

        A certificate that names a peer goes first; then the narrowest address range of a peer that needs no
        certificate.
        """
        if certificate is not None:
            shown = {_plain(name) for name in (*certificate.subject_names, certificate.fingerprint_sha256)}
            source = _address(address)
            for entry in self._entries:
                if entry.certificates & shown and (not entry.networks or _within(source, entry.networks) >= 0):
                    return entry.peer
        if address not in self._by_address:
            if len(self._by_address) >= 10_000:
                self._by_address.clear()
            self._by_address[address] = self._by_range(address)
        return self._by_address[address]

    def peer_by_id(self, peer_id: str) -> Peer | None:
        return self._peers.get(peer_id)

    def organisation(self, peer: Peer, group_ids: Iterable[str], numbers: Iterable[str]) -> str | None:
        """Whose call it is:

        the peer's organisation, or for a carrier what the group id, else a number selects. None: nobody's.
        """
        if not peer.carrier:
            return peer.organisation
        for group in group_ids:
            if (found := self._groups.get(group.strip().lower())) is not None:
                return found
        for number in numbers:
            digits = _digits(number)
            if digits and (found := self._numbers.get(digits)) is not None:
                return found
        return None

    def _by_range(self, address: str) -> Peer | None:
        source = _address(address)
        best, best_length = None, -1
        for entry in self._entries:
            if entry.certificates:
                continue
            length = _within(source, entry.networks)
            if length > best_length:
                best, best_length = entry.peer, length
        return best


class SnapshotFile:
    """The snapshot in force. `reload` is cheap while the file has not changed."""

    def __init__(self, folder: Path, key: bytes) -> None:
        self.directory = Directory(DEFAULT)
        self.problem = ""
        """Why the present file is not in force; empty when it is."""
        self._folder = folder
        self._key = key
        self._seen: tuple[int, int, int] | None = None

    def reload(self) -> bool:
        """Take a changed file;

        True when another snapshot is in force now. A bad file changes nothing (see `problem`).
        """
        try:
            found = (self._folder / FILE).stat()
        except OSError:
            return False
        mark = (found.st_ino, found.st_mtime_ns, found.st_size)
        if mark == self._seen:
            return False
        self._seen = mark
        try:
            snapshot = read_snapshot(self._folder, self._key)
        except SnapshotError as error:
            self.problem = str(error)
            logger.error("snapshot_refused", error=self.problem)
            return False
        if snapshot is None:
            return False
        self.problem = ""
        self.directory = Directory(snapshot)
        logger.info("snapshot_in_force", number=snapshot.number, peers=len(snapshot.peers))
        return True


def _compile(peer: Peer) -> _Entry:
    networks = tuple(ipaddress.ip_network(text, strict=False) for text in peer.addresses)
    return _Entry(peer, networks, frozenset(_plain(name) for name in peer.certificates if name.strip()))


def _plain(name: str) -> str:
    """SANs without case; a fingerprint with colons is the same as without."""
    text = name.strip().lower()
    bare = text.replace(":", "")
    return bare if len(bare) == 64 and all(character in "0123456789abcdef" for character in bare) else text


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def _within(source: ipaddress.IPv4Address | ipaddress.IPv6Address | None, networks: Iterable[_Network]) -> int:
    """Prefix length of the narrowest range that holds the address; -1: none does."""
    lengths = [
        net.prefixlen for net in networks if source is not None and source.version == net.version and source in net
    ]
    return max(lengths, default=-1)


def _digits(number: str) -> str:
    return "".join(character for character in number if character in "0123456789")
