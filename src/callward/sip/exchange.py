"""Handles of one request and its answers, as events and verbs of the endpoint pass them to the application."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client_transaction import ClientTransaction
    from .dialog import Dialog
    from .flow import Destination, Flow
    from .message import Request
    from .reliable_provisional import ReliableSender
    from .server_transaction import ServerTransaction
    from .session_timer import Agreement


@dataclass(slots=True, eq=False)
class IncomingRequest:
    """A request that the application answers. Made by the endpoint only; read, never write."""

    request: Request
    flow: Flow
    peer: Any
    """What the admission hook said about the source."""
    dialog: Dialog | None = None
    final_status: int = 0
    """Status of the final answer; 0 while there is none."""

    # The endpoint's own.
    transaction: ServerTransaction | None = field(default=None, repr=False)
    echo: str = field(default="", repr=False)
    """Header lines that every answer copies, our To tag included."""
    makes_dialog: bool = field(default=False, repr=False)
    """The INVITE outside a dialog."""
    agreement: Agreement | None = field(default=None, repr=False)
    reliable: ReliableSender | None = field(default=None, repr=False)
    deferred: bool = field(default=False, repr=False)
    """A 2xx waits for a PRACK."""

    @property
    def answerable(self) -> bool:
        """False once it has a final answer (ours, or the 487 of a CANCEL)."""
        return self.final_status == 0 and not self.deferred


@dataclass(slots=True, eq=False)
class OutgoingRequest:
    """A request that the endpoint sent for the application. Read, never write; `note` is yours."""

    method: str
    uri: str
    destination: Destination
    headers: tuple[tuple[str, str], ...]
    """Headers the application gave."""
    body: bytes = b""
    content_type: str = ""
    dialog: Dialog | None = None
    """In-dialog requests: their dialog. For an INVITE that makes dialogs: the first confirmed one."""
    final_status: int = 0
    note: Any = None
    number: int = 0
    """Unique in the endpoint."""

    # The endpoint's own.
    transaction: ClientTransaction | None = field(default=None, repr=False)
    call_id: str = field(default="", repr=False)
    cseq: int = field(default=0, repr=False)
    from_: str = field(default="", repr=False)
    """Value of From, tag included."""
    to: str = field(default="", repr=False)
    local_tag: str = field(default="", repr=False)
    route: tuple[str, ...] = field(default=(), repr=False)
    branch: str = field(default="", repr=False)
    min_se_s: int = field(default=0, repr=False)
    forks: dict[str, Dialog] = field(default_factory=dict, repr=False)
    """Remote tag -> dialog."""
    acks: dict[str, tuple[Destination, bytes]] = field(default_factory=dict, repr=False)
    """Remote tag -> the ACK of its 2xx, to be sent again."""
    provisional: bool = field(default=False, repr=False)
    cancel_headers: tuple[tuple[str, str], ...] | None = field(default=None, repr=False)
    """Set when CANCEL was asked for."""
    cancel_sent: bool = field(default=False, repr=False)
    refresh: bool = field(default=False, repr=False)
    """The endpoint's own session refresh."""
    internal: bool = field(default=False, repr=False)
    """Sent by the endpoint for itself: the application hears nothing of it."""
    tries: int = field(default=0, repr=False)
    over: bool = field(default=False, repr=False)
    """The application was told the end."""
    wire_destination: Destination | None = field(default=None, repr=False)
    """Where it really went (18.1.1 may have switched to TCP)."""
