"""The four transaction machines of RFC 3261 17 with the corrections of RFC 6026, as tables.

Rules
    - A machine is a table: state -> event -> (next state, actions). Nothing else decides.
    - What a table does not list is absorbed: a late or repeated message changes nothing.
    - Actions run after the state was set, in order. They are methods of the machine's class.

Theory of operation
    A *server transaction* begins with a request from the wire. The user (the endpoint) feeds it `send_1xx`, `send_2xx`, `send_final`;
    the wire feeds it `request` (a retransmission) and `ack`. A *client transaction* begins with `start`; the wire feeds it `recv_1xx`,
    `recv_2xx`, `recv_final`. Timers feed both with their letter.

    RFC 6026 moves the 2xx of an INVITE and its ACK out of the transaction: after a 2xx the server side stays `accepted` for timer L,
    only to absorb retransmitted INVITEs (the user agent repeats the 2xx itself, see accepted.py); the client side stays
    `accepted` for timer M, to hand every 2xx (also those of other forks) to the user.

    Reliable transports do not retransmit: timers A, E, G are not started there, and I, J, K, D last no time at all.

      timer   value            meaning
      A, B    T1.., 64*T1      INVITE retransmission, no answer to INVITE
      D       32 s             wait for repeated final answers to INVITE
      E, F    T1..T2, 64*T1    non-INVITE retransmission, no final answer
      G, H    T1..T2, 64*T1    final answer to INVITE repeated, no ACK
      I, K    T4               wait for repeated ACKs, for repeated answers
      J       64*T1            wait for repeated non-INVITE requests
      L, M    64*T1            accepted: wait for repeated INVITEs, for 2xx of forks
      C       185 s            INVITE with a provisional answer but no final one
      ring    60 s             repeat a 101-199, so that no proxy gives the call up (13.3.1.1)
      trying  200 ms           100 Trying when the user gave no answer yet (INVITE only; RFC 4320 forbids it elsewhere)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Row = tuple[str, tuple[str, ...]]
Table = Mapping[str, Mapping[str, Row]]

INVITE_SERVER: Table = {
    "proceeding": {
        "request": ("proceeding", ("repeat_or_try",)),
        "trying": ("proceeding", ("try_",)),
        "send_1xx": ("proceeding", ("stop_trying", "send", "start_ring")),
        "ring": ("proceeding", ("repeat", "start_ring")),
        "send_2xx": ("accepted", ("stop_trying", "stop_ring", "send", "start_l")),
        "send_final": ("completed", ("stop_trying", "stop_ring", "send", "start_g", "start_h")),
    },
    "completed": {
        "request": ("completed", ("repeat",)),
        "ack": ("confirmed", ("stop_g", "stop_h", "start_i")),
        "g": ("completed", ("repeat", "double_g")),
        "h": ("terminated", ("stop_g", "end")),
    },
    "confirmed": {
        "i": ("terminated", ("end",)),
    },
    "accepted": {
        "l": ("terminated", ("end",)),
    },
    "terminated": {},
}

NON_INVITE_SERVER: Table = {
    "trying": {
        "send_1xx": ("proceeding", ("send",)),
        "send_2xx": ("completed", ("send", "start_j")),
        "send_final": ("completed", ("send", "start_j")),
    },
    "proceeding": {
        "request": ("proceeding", ("repeat",)),
        "send_1xx": ("proceeding", ("send",)),
        "send_2xx": ("completed", ("send", "start_j")),
        "send_final": ("completed", ("send", "start_j")),
    },
    "completed": {
        "request": ("completed", ("repeat",)),
        "j": ("terminated", ("end",)),
    },
    "terminated": {},
}

INVITE_CLIENT: Table = {
    "initial": {
        "start": ("calling", ("send", "start_a", "start_b")),
    },
    "calling": {
        "a": ("calling", ("send", "double_a")),
        "b": ("terminated", ("stop_a", "tell_timeout", "end")),
        "recv_1xx": ("proceeding", ("stop_a", "stop_b", "start_c", "tell")),
        "recv_2xx": ("accepted", ("stop_a", "stop_b", "start_m", "tell")),
        "recv_final": ("completed", ("stop_a", "stop_b", "acknowledge", "start_d", "tell")),
        "error": ("terminated", ("stop_a", "stop_b", "tell_error", "end")),
    },
    "proceeding": {
        "recv_1xx": ("proceeding", ("restart_c", "tell")),
        "recv_2xx": ("accepted", ("stop_c", "start_m", "tell")),
        "recv_final": ("completed", ("stop_c", "acknowledge", "start_d", "tell")),
        "c": ("proceeding", ("tell_timeout",)),
        "abandon": ("terminated", ("stop_c", "end")),
        "error": ("proceeding", ()),
    },
    "completed": {
        "recv_final": ("completed", ("acknowledge",)),
        "d": ("terminated", ("end",)),
        "error": ("terminated", ("end",)),
    },
    "accepted": {
        "recv_2xx": ("accepted", ("tell",)),
        "m": ("terminated", ("end",)),
    },
    "terminated": {},
}

NON_INVITE_CLIENT: Table = {
    "initial": {
        "start": ("trying", ("send", "start_e", "start_f")),
    },
    "trying": {
        "e": ("trying", ("send", "double_e")),
        "f": ("terminated", ("stop_e", "tell_timeout", "end")),
        "recv_1xx": ("proceeding", ("tell",)),
        "recv_2xx": ("completed", ("stop_e", "stop_f", "start_k", "tell")),
        "recv_final": ("completed", ("stop_e", "stop_f", "start_k", "tell")),
        "error": ("terminated", ("stop_e", "stop_f", "tell_error", "end")),
    },
    "proceeding": {
        "e": ("proceeding", ("send", "slow_e")),
        "f": ("terminated", ("stop_e", "tell_timeout", "end")),
        "recv_1xx": ("proceeding", ("tell",)),
        "recv_2xx": ("completed", ("stop_e", "stop_f", "start_k", "tell")),
        "recv_final": ("completed", ("stop_e", "stop_f", "start_k", "tell")),
        "error": ("terminated", ("stop_e", "stop_f", "tell_error", "end")),
    },
    "completed": {
        "k": ("terminated", ("end",)),
    },
    "terminated": {},
}

Compiled = dict[str, dict[str, tuple[str, tuple[Callable[[Any, float], None], ...]]]]


def compile_table(table: Table, machine: type) -> Compiled:
    """The table with its action names looked up once, so that a step costs two dictionary reads. Raises AttributeError for a wrong name."""
    return {
        state: {
            event: (target, tuple(getattr(machine, "_" + name.strip("_")) for name in actions))
            for event, (target, actions) in rows.items()
        }
        for state, rows in table.items()
    }


def class_of(status: int) -> str:
    """The event suffix of a status: `1xx`, `2xx` or `final` (3xx-6xx)."""
    return "1xx" if status < 200 else "2xx" if status < 300 else "final"
