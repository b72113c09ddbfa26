"""Handles of one request and its answers, as events and verbs of the endpoint pass them to the application."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .dialog import Dialog
    from .flow import Destination, Flow
    from .message import Request


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
    number: int = field(default=0)
    """Unique in the endpoint."""
