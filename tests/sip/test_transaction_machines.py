"""The four machines alone, step by step in fake time (RFC 3261 17, RFC 6026)."""

from __future__ import annotations

import pytest
from sip_link import entropy

from callward.sip.client_transaction import ClientTransaction
from callward.sip.config import EndpointConfig
from callward.sip.context import Context
from callward.sip.flow import Destination, Flow, Transmit
from callward.sip.headers import Headers
from callward.sip.message import Response
from callward.sip.server_transaction import ServerTransaction
from callward.sip.transaction import (
    INVITE_CLIENT,
    INVITE_SERVER,
    NON_INVITE_CLIENT,
    NON_INVITE_SERVER,
    compile_table,
)

FLOW = {
    "UDP": Flow("UDP", ("192.0.2.1", 5060), ("192.0.2.2", 5060)),
    "TCP": Flow("TCP", ("192.0.2.1", 5060), ("192.0.2.2", 5060), 1),
}


class Side:
    """One transaction, its clock and what it told its user."""

    def __init__(self, transport: str, method: str, *, server: bool, trying_s: float = 0.2) -> None:
        del trying_s
        self.context = Context(EndpointConfig(), entropy(1))
        self.now = 0.0
        self.told: list[str] = []
        self.ended: list[float] = []
        self.transaction: ServerTransaction | ClientTransaction
        if server:
            self.transaction = ServerTransaction(
                self.context,
                ("z9hG4bKx", "h", method),
                FLOW[transport],
                FLOW[transport],
                None,
                lambda t: self.ended.append(self.now),
            )
        else:
            self.transaction = ClientTransaction(
                self.context,
                ("z9hG4bKx", method),
                1,
                Destination(transport, "192.0.2.2", 5060),
                b"request",
                self,
                lambda t: self.ended.append(self.now),
                lambda response: b"ack",
            )

    def on_response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        self.told.append(str(response.status))

    def on_no_answer(self, transaction: ClientTransaction, transport: bool, now: float) -> None:
        self.told.append("error" if transport else "timeout")

    def feed(self, event: str) -> None:
        self.transaction.feed(event, self.now)

    def answer(self, status: int) -> None:
        if isinstance(self.transaction, ServerTransaction):
            self.transaction.answer(status, str(status).encode(), self.now)
        else:
            self.transaction.receive(Response(status, "", Headers()), FLOW["UDP"], self.now)

    def sent(self) -> list[bytes]:
        out = [item.data for item in self.context.out if isinstance(item, Transmit)]
        self.context.out.clear()
        return out

    def run(self, until: float) -> list[float]:
        """Times (3 digits) at which something was sent until then."""
        times: list[float] = []
        self.sent()
        while (due := self.context.timers.next_deadline()) is not None and due <= until:
            self.now = due
            self.context.timers.run(due)
            times += [round(due, 3)] * len(self.sent())
        self.now = until
        return times


def test_tables_name_real_actions_and_states() -> None:
    for table, machine in (
        (INVITE_SERVER, ServerTransaction),
        (NON_INVITE_SERVER, ServerTransaction),
        (INVITE_CLIENT, ClientTransaction),
        (NON_INVITE_CLIENT, ClientTransaction),
    ):
        compiled = compile_table(table, machine)
        for rows in compiled.values():
            assert all(target in table for target, _ in rows.values())
        assert table["terminated"] == {}


def test_17_1_1_2_timer_a_doubles_and_timer_b_gives_up_after_64_t1() -> None:
    side = Side("UDP", "INVITE", server=False)
    side.feed("start")
    assert side.sent() == [b"request"]
    assert side.run(40) == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert side.told == ["timeout"]
    assert side.ended == [32.0]


def test_17_1_1_2_invite_is_not_repeated_over_tcp_but_timer_b_runs() -> None:
    side = Side("TCP", "INVITE", server=False)
    side.feed("start")
    assert side.run(40) == []
    assert side.told == ["timeout"]


def test_17_1_1_2_provisional_answer_stops_retransmission_and_timer_c_bounds_the_wait() -> None:
    side = Side("UDP", "INVITE", server=False)
    side.feed("start")
    side.answer(180)
    assert side.run(184) == []
    assert side.told == ["180"]
    side.answer(183)
    side.run(184 + 184)
    assert side.told == ["180", "183"]
    side.run(184 + 186)
    assert side.told[-1] == "timeout"
    assert side.transaction.state == "proceeding"


@pytest.mark.parametrize(("transport", "lasts"), [("UDP", 32.0), ("TCP", 0.0)])
def test_17_1_1_2_each_failure_is_acknowledged_until_timer_d(transport: str, lasts: float) -> None:
    side = Side(transport, "INVITE", server=False)
    side.feed("start")
    side.sent()
    side.answer(486)
    assert side.sent() == [b"ack"]
    side.answer(486)
    assert side.sent() == [b"ack"]
    assert side.told == ["486"]
    side.run(100)
    assert side.ended == [lasts]


def test_rfc6026_every_2xx_reaches_the_user_until_timer_m() -> None:
    side = Side("UDP", "INVITE", server=False)
    side.feed("start")
    side.answer(200)
    side.answer(200)
    side.answer(486)
    assert side.told == ["200", "200"]
    side.run(100)
    assert side.ended == [32.0]


def test_17_1_2_2_timer_e_doubles_to_t2_and_timer_f_gives_up() -> None:
    side = Side("UDP", "OPTIONS", server=False)
    side.feed("start")
    assert side.run(40) == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert side.told == ["timeout"]


def test_17_1_2_2_after_a_provisional_answer_timer_e_is_t2() -> None:
    side = Side("UDP", "OPTIONS", server=False)
    side.feed("start")
    side.now = 0.2
    side.answer(100)
    assert side.run(12) == [0.5, 4.5, 8.5]


@pytest.mark.parametrize(("transport", "lasts"), [("UDP", 5.0), ("TCP", 0.0)])
def test_17_1_2_2_timer_k_absorbs_repeated_answers(transport: str, lasts: float) -> None:
    side = Side(transport, "BYE", server=False)
    side.feed("start")
    side.answer(200)
    side.answer(200)
    assert side.told == ["200"]
    side.run(10)
    assert side.ended == [lasts]


def test_17_1_4_transport_error_is_told_at_once() -> None:
    for method in ("INVITE", "BYE"):
        side = Side("TCP", method, server=False)
        side.feed("start")
        side.feed("error")
        assert side.told == ["error"]
        assert side.ended == [0.0]
        assert side.run(100) == []


def test_17_2_1_100_trying_after_200_ms_and_repeated_for_each_request() -> None:
    side = Side("UDP", "INVITE", server=True)
    assert isinstance(side.transaction, ServerTransaction)
    side.transaction.await_answer(lambda: b"100", 0.0)
    assert side.sent() == []
    assert side.run(1) == [0.2]
    side.feed("request")
    assert side.sent() == [b"100"]


def test_17_2_1_no_100_when_answered_in_time() -> None:
    side = Side("UDP", "INVITE", server=True)
    assert isinstance(side.transaction, ServerTransaction)
    side.transaction.await_answer(lambda: b"100", 0.0)
    side.answer(180)
    assert side.sent() == [b"180"]
    assert side.run(10) == []
    side.feed("request")
    assert side.sent() == [b"180"]


def test_13_3_1_1_a_ringing_answer_is_repeated_every_minute_until_the_final_one() -> None:
    side = Side("TCP", "INVITE", server=True)
    side.answer(180)
    assert side.run(130) == [60.0, 120.0]
    side.answer(486)
    assert side.run(160) == []


def test_17_2_1_timer_g_repeats_a_failure_until_ack_and_timer_h_gives_up() -> None:
    side = Side("UDP", "INVITE", server=True)
    side.answer(486)
    assert side.sent() == [b"486"]
    assert side.run(10) == [0.5, 1.5, 3.5, 7.5]
    side.feed("request")
    assert side.sent() == [b"486"]
    assert side.run(40) == [11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert side.ended == [32.0]


@pytest.mark.parametrize(("transport", "lasts"), [("UDP", 6.0), ("TCP", 1.0)])
def test_17_2_1_ack_confirms_and_timer_i_absorbs_more(transport: str, lasts: float) -> None:
    side = Side(transport, "INVITE", server=True)
    side.answer(486)
    side.run(1)
    side.feed("ack")
    side.feed("ack")
    side.feed("request")
    assert side.run(40) == []
    assert side.ended == [lasts]


def test_rfc6026_accepted_absorbs_repeated_invites_until_timer_l() -> None:
    side = Side("UDP", "INVITE", server=True)
    side.answer(200)
    assert side.sent() == [b"200"]
    side.feed("request")
    assert side.run(31) == []
    assert side.ended == []
    side.run(40)
    assert side.ended == [32.0]


@pytest.mark.parametrize(("transport", "lasts"), [("UDP", 32.0), ("TCP", 0.0)])
def test_17_2_2_timer_j_repeats_the_answer(transport: str, lasts: float) -> None:
    side = Side(transport, "BYE", server=True)
    side.feed("request")
    assert side.sent() == []
    side.answer(200)
    assert side.sent() == [b"200"]
    side.feed("request")
    assert side.sent() == ([b"200"] if transport == "UDP" else [])
    side.run(100)
    assert side.ended == [lasts]


def test_the_timer_heap_follows_the_live_timers() -> None:
    context = Context(EndpointConfig(), entropy(1))
    for _ in range(20_000):
        context.timers.cancel(context.timers.start(1e6, lambda now: None))
    assert len(context.timers) == 0
    assert len(context.timers._heap) < 10_000
    assert context.timers.next_deadline() is None
