"""Messages of a stream and keep-alives between them: RFC 3261 18.3, RFC 5626 3.5.1 and 4.4.1."""

from __future__ import annotations

import pytest
from torture_messages import request

from callward.sip.framing import KeepAlive, StreamFramer
from callward.sip.limits import Limits
from callward.sip.message import ParseFailure, Request

OPTIONS = request("OPTIONS sip:a@b SIP/2.0")
INVITE = request("INVITE sip:a@b SIP/2.0", body="v=0\r\n")


def test_messages_come_out_whole_and_in_order() -> None:
    framer = StreamFramer()
    assert framer.feed(INVITE[:-1]) == []
    assert framer.buffered_bytes == len(INVITE) - 1
    first, second = framer.feed(INVITE[-1:] + OPTIONS)
    assert isinstance(first, Request)
    assert isinstance(second, Request)
    assert (first.body, second.method, framer.buffered_bytes) == (b"v=0\r\n", "OPTIONS", 0)
    assert first.raw == INVITE


def test_octet_by_octet() -> None:
    framer = StreamFramer()
    framed = [item for octet in INVITE + OPTIONS for item in framer.feed(bytes([octet]))]
    assert [item.method for item in framed if isinstance(item, Request)] == ["INVITE", "OPTIONS"]


def test_rfc5626_double_crlf_is_a_ping_single_a_pong() -> None:
    framer = StreamFramer()
    assert framer.feed(b"\r\n\r\n") == [KeepAlive(ping=True)]
    assert framer.feed(b"\r\n") == [KeepAlive(ping=False)]
    assert framer.feed(b"\r\n") == [KeepAlive(ping=True)]  # a ping that came in two segments
    assert framer.feed(b"\r") == []
    assert framer.feed(b"\n" + OPTIONS)[0] == KeepAlive(ping=False)


def test_a_flood_of_keep_alives_is_answered_once_per_read() -> None:
    assert StreamFramer().feed(b"\r\n" * 30_000) == [KeepAlive(ping=True)]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request("INVITE sip:a@b SIP/2.0", length=False), 400),
        (request("INVITE sip:a@b SIP/2.0", "Content-Length: x", length=False), 400),
        (request("INVITE sip:a@b SIP/2.0", "Content-Length: 3", "l: 4", length=False), 400),
        (request("INVITE sip:a@b SIP/2.0", "Content-Length: 2000000", length=False), 413),
        (request("INVITE sip:a@b SIP/2.0", *["X: y"] * 10_000), 513),
        (b"x" * 70_000, 513),
    ],
)
def test_18_3_lost_framing_is_fatal(data: bytes, status: int) -> None:
    framer = StreamFramer()
    (failure,) = framer.feed(data + OPTIONS)
    assert isinstance(failure, ParseFailure)
    assert failure.fatal
    assert framer.broken
    assert framer.feed(OPTIONS) == []
    if data.startswith(b"INVITE"):
        assert (failure.status, failure.answerable) == (status, True)


def test_a_bad_message_with_good_framing_does_not_end_the_connection() -> None:
    framer = StreamFramer()
    failure, options = framer.feed(request("INVITE sip:a@b SIP/2.0", "CSeq: x", body="abc") + OPTIONS)
    assert isinstance(failure, ParseFailure)
    assert not failure.fatal
    assert failure.answerable
    assert isinstance(options, Request)


def test_the_buffer_is_bounded() -> None:
    framer = StreamFramer(Limits(head_bytes=1_000, body_bytes=1_000))
    for _ in range(100):
        framer.feed(b"INVITE sip:a@b SIP/2.0")
        assert framer.buffered_bytes <= 1_100
    assert framer.broken
