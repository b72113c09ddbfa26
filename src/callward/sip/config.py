"""Settings of an endpoint: what it says about itself, its timers, its bounds. Each number carries its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .flow import HostPort


@dataclass(frozen=True, slots=True)
class TimerSettings:
    """Base values of RFC 3261 table 4, in seconds."""

    t1_s: float = 0.5
    """Round trip estimate."""
    t2_s: float = 4.0
    """Longest retransmission interval of non-INVITE requests and INVITE answers."""
    t4_s: float = 5.0
    """Longest time a message stays in the network."""
    timer_d_s: float = 32.0
    timer_c_s: float = 185.0
    """Longest wait for a final answer after a provisional one (more than 3 minutes, 16.6 item 11)."""
    trying_s: float = 0.2
    """100 Trying for an INVITE that has no answer after this time (17.2.1); 0 sends it at once."""

    @property
    def timeout_s(self) -> float:
        """64*T1: timers B, F, H, J, L, M."""
        return 64 * self.t1_s


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """What one endpoint is. Option tags, methods and media types are what Allow, Supported and Accept will say."""

    local: Mapping[str, HostPort] = field(default_factory=dict)
    """Transport -> address and port for Via and Contact (the advertised ones); missing: the flow's own local address."""
    contact_user: str = ""
    contact_parameters: tuple[str, ...] = ()
    """Appended to each Contact, e.g. `+sip.srs` (RFC 7866 6.2)."""
    server_name: str = "Callward"
    """Server and User-Agent header."""
    allow: tuple[str, ...] = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "UPDATE", "PRACK", "INFO")
    """A method outside this set gets 405."""
    supported: tuple[str, ...] = ("100rel", "timer")
    """Option tags; also what a Require may ask for."""
    understood: tuple[str, ...] = ()
    """More option tags a Require may ask for without being advertised."""
    accept: tuple[str, ...] = ("application/sdp",)
    session_expires_s: int = 1800
    """Asked of peers that know session timers (RFC 4028); 0: never asked, only followed."""
    min_se_s: int = 90
    """Smallest interval accepted; less gets 422 (RFC 4028: at least 90)."""
    refresh_without_support: bool = False
    """Refresh also sessions of peers that do not know the timer: finds dead peers, costs requests."""
    timers: TimerSettings = field(default_factory=TimerSettings)
    tcp_for_large: bool = True
    """Requests above `udp_limit_bytes` go by TCP (18.1.1), falling back to UDP when that is refused."""
    udp_limit_bytes: int = 1300
    in_dialog_to_source: bool = False
    """Send in-dialog requests on UDP to where the dialog's last request came from instead of to its Contact (NAT)."""
    max_transactions: int = 60_000
    """Server transactions; 600 set-ups per second keep about 40,000 for their 32 s. Beyond: 503."""
    max_dialogs: int = 20_000
    reserve: float = 0.25
    """Part above `max_transactions` that only requests inside dialogs may use, so that a flood never blocks a BYE."""
    retry_after_s: int = 5
    refusals_per_s: float = 100.0
    """403 to strangers and 4xx for garbage, per second; beyond: silence, so that we are no reflector."""
    overload_answers_per_s: float = 2000.0
    """503 to allowed peers, per second: as many as they can send in earnest, so that each of them fails over at once."""
