"""TLS of SIP connections (RFC 3261 26, RFC 5922): contexts, and what a peer's certificate proves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Files of one TLS side. TLS 1.2 is the least that is spoken."""

    certificate: Path | None = None
    """PEM chain of our own; a listener needs one."""
    key: Path | None = None
    peer_ca: Path | None = None
    """PEM of the authorities that may sign peers. On a listener this makes the peer's certificate required (mutual TLS)."""
    crl: Path | None = None
    """PEM revocation list(s) of these authorities; a peer whose issuer has none in it is refused."""
    allowed_names: tuple[str, ...] = ()
    """If given, a peer certificate must have one of these subject alternative names."""
