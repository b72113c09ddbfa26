"""What one SIP message tells a recording server: who, which streams, which metadata, and what was odd.

An observation is plain data, bounded, and says nothing about earlier messages; `session.advance` puts observations together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from callward.siprec.metadata import NO_ATTRIBUTES, Metadata
from callward.siprec.oddity import Oddity
from callward.siprec.offered import OfferedStream


@dataclass(frozen=True, slots=True)
class Address:
    """A name-addr or addr-spec of a header."""

    uri: str = ""
    name: str = ""


NO_ADDRESS = Address()


@dataclass(frozen=True, slots=True)
class RawPart:
    """A body as it came, kept for the record (S16) and for export."""

    content_type: str
    body: bytes
    disposition: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """One message. Everything is optional: a metadata document alone is an observation too."""

    method: str = ""
    """Of the request, or of the request that a response answers (CSeq)."""
    status: int = 0
    """Of a response; 0 for a request or a bare body."""
    from_: Address = NO_ADDRESS
    to: Address = NO_ADDRESS
    call_id: str = ""
    user_agent: str = ""
    """User-Agent or Server."""
    headers: Mapping[str, str] = NO_ATTRIBUTES
    """Further headers that a dialect reads, by lower-case name, the first value of each."""
    contact_parameters: Mapping[str, str] = NO_ATTRIBUTES
    required: tuple[str, ...] = ()
    """Option tags of Require, lower case."""
    supported: tuple[str, ...] = ()
    streams: tuple[OfferedStream, ...] | None = None
    """None: the message has no SDP."""
    sdp_origin: str = ""
    sdp_session_name: str = ""
    metadata: tuple[Metadata, ...] = ()
    """Usually one."""
    raw_metadata: tuple[RawPart, ...] = ()
    """Every metadata part as it came, also those that could not be read."""
    vendor: str = "unknown"
    """Short name: see `dialects`."""
    oddities: tuple[Oddity, ...] = ()

    @property
    def ends_session(self) -> bool:
        """The recording session is over after this message: BYE, CANCEL, or a refused INVITE."""
        if self.status == 0:
            return self.method in ("BYE", "CANCEL")
        return self.method == "INVITE" and self.status >= 300 and self.status not in (401, 407, 491)


def observe(message: object) -> Observation:
    """Reads a SIP request or response of `callward.sip.message`. Never raises on what a peer sent."""
    raise NotImplementedError


def observe_body(content_type: str, body: bytes) -> Observation:
    """Reads a body without a SIP message around it: SDP, metadata or multipart."""
    raise NotImplementedError
