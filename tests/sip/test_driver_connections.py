"""Sockets that misbehave, and sockets that were inherited (faults 3, 18, 20)."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop
from sip_app import App

from callward.sip.driver import DriverSettings
from callward.sip.events import Failed, InviteReceived, RequestReceived
from callward.sip.flow import Admission, Destination, Verdict


def options(n: int = 1, *, via: str = "TCP 127.0.0.1", call: str = "c", extra: str = "") -> bytes:
    return (
        f"OPTIONS sip:rec@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/{via};branch=z9hG4bK{call}{n};rport\r\n"
        f"From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:rec@127.0.0.1>\r\nCall-ID: {call}{n}\r\nCSeq: 1 OPTIONS\r\n"
        f"{extra}Content-Length: 0\r\n\r\n"
    ).encode()


@asynccontextmanager
async def tcp(**settings: Any) -> AsyncIterator[tuple[App, tuple[str, int]]]:
    config = settings.pop("config", {})
    app = App(settings=DriverSettings(**settings), **config)
    address = await app.driver.listen_tcp("127.0.0.1", 0)
    try:
        yield app, address
    finally:
        await app.driver.close()


async def answer(reader: asyncio.StreamReader) -> str:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    return head.decode()


async def closed(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(), 5) == b""
    except ConnectionError:
        return True


async def test_18_3_messages_in_pieces_and_several_in_one_piece_are_answered_in_order() -> None:
    async with tcp() as (_, address):
        reader, writer = await asyncio.open_connection(*address)
        data = b"".join(options(n) for n in range(20))
        for at in range(0, len(data), 333):
            writer.write(data[at : at + 333])
            await writer.drain()
        calls = [(await answer(reader)).split("Call-ID: ")[1].split("\r\n")[0] for _ in range(20)]
        assert calls == [f"c{n}" for n in range(20)]
        writer.close()


async def test_rfc5626_a_ping_gets_a_pong() -> None:
    async with tcp() as (_, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"\r\n\r\n")
        assert await asyncio.wait_for(reader.readexactly(2), 5) == b"\r\n"
        writer.write(options())
        assert (await answer(reader)).startswith("SIP/2.0 200")
        writer.close()


async def test_rfc5626_our_own_connections_send_pings_when_idle() -> None:
    async with tcp(keep_alive_s=0.1) as (app, _):
        pings: asyncio.Queue[bytes] = asyncio.Queue()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await pings.put(await reader.readexactly(4))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        app.endpoint.request(
            "OPTIONS", "sip:x@127.0.0.1", Destination("TCP", "127.0.0.1", port), app.driver.now(), from_="<sip:us@h>"
        )
        app.driver.flush()
        assert await asyncio.wait_for(pings.get(), 5) == b"\r\n\r\n"
        server.close()


async def test_20_slow_senders_are_cut_off_and_others_notice_nothing() -> None:
    async with tcp(message_deadline_s=0.3, first_message_deadline_s=0.3) as (app, address):
        slow_reader, slow_writer = await asyncio.open_connection(*address)
        slow_writer.write(options()[:50])
        silent_reader, silent_writer = await asyncio.open_connection(*address)
        good_reader, good_writer = await asyncio.open_connection(*address)
        good_writer.write(options())
        assert (await answer(good_reader)).startswith("SIP/2.0 200")
        assert await closed(slow_reader)
        assert await closed(silent_reader)
        good_writer.write(options(2))
        assert (await answer(good_reader)).startswith("SIP/2.0 200")
        assert app.endpoint.counters["connections_overdue"] == 2
        for writer in (slow_writer, silent_writer, good_writer):
            writer.close()


async def test_20_idle_connections_are_closed() -> None:
    async with tcp(idle_timeout_s=0.2) as (_, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(options())
        await answer(reader)
        assert await closed(reader)
        writer.close()


async def test_20_connections_are_capped_for_each_address_and_in_total() -> None:
    async with tcp(max_connections_per_address=3) as (app, address):
        opened = [await asyncio.open_connection(*address) for _ in range(6)]
        kept = 0
        for reader, writer in opened:
            try:
                writer.write(options())
                kept += (await answer(reader)).startswith("SIP/2.0 200")
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
        assert kept == 3
        assert app.endpoint.counters["connections_over_cap"] == 3
        for _, writer in opened:
            writer.close()
        await app.until(lambda: app.driver.sizes["connections"] == 0)
        reader, writer = await asyncio.open_connection(*address)
        writer.write(options())
        assert (await answer(reader)).startswith("SIP/2.0 200")
        writer.close()


async def test_20_invite_then_reset_leaves_a_call_that_ends_by_itself() -> None:
    async with tcp() as (app, address):
        with socket.create_connection(address) as sock:
            invite = (
                options().replace(b"OPTIONS", b"INVITE").replace(b"From:", b"Contact: <sip:a@127.0.0.1:9>\r\nFrom:")
            )
            sock.sendall(invite)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await app.until(lambda: app.of(InviteReceived))
        await app.until(lambda: app.driver.sizes["connections"] == 0)
        reader, writer = await asyncio.open_connection(*address)
        writer.write(options(5))
        assert (await answer(reader)).startswith("SIP/2.0 200")
        writer.close()


async def test_strangers_are_not_even_accepted() -> None:
    async with tcp(config={"admit": lambda flow, request: Admission(Verdict.REFUSE)}) as (app, address):
        reader, writer = await asyncio.open_connection(*address)
        assert await closed(reader)
        writer.close()
        assert app.endpoint.counters["connections_refused"] == 1


async def test_18_lost_framing_is_answered_and_the_connection_closed() -> None:
    async with tcp() as (app, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(options().replace(b"Content-Length: 0", b"Content-Length: -5"))
        assert (await answer(reader)).startswith("SIP/2.0 400")
        assert await closed(reader)
        writer.close()
        assert app.endpoint.counters["garbage"] == 1


async def test_18_an_endless_header_is_cut_off_at_the_limit() -> None:
    async with tcp() as (app, address):
        reader, writer = await asyncio.open_connection(*address)

        async def pour() -> None:
            writer.write(options()[:-4])
            for _ in range(100_000):
                writer.write(b"\r\nX-Filler: " + b"x" * 1000)
                await writer.drain()

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(pour(), 10)
        assert app.driver.sizes["waiting"] == 0
        writer.close()
        del reader


async def test_a_peer_that_does_not_read_its_answers_is_disconnected() -> None:
    async with tcp(write_buffer_bytes=20_000) as (app, address):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, address)
        try:
            async with asyncio.timeout(8):
                for n in range(100_000):
                    await loop.sock_sendall(sock, b"".join(options(n * 50 + k) for k in range(50)))
        except (ConnectionError, TimeoutError):
            pass
        await app.until(lambda: app.driver.sizes["connections"] == 0)
        sock.close()


async def test_a_refused_connection_is_told_at_once(unused_tcp_port: int) -> None:
    async with tcp() as (app, _):
        app.endpoint.invite(
            "sip:x@127.0.0.1", Destination("TCP", "127.0.0.1", unused_tcp_port), app.driver.now(), from_="<sip:us@h>"
        )
        app.driver.flush()
        await app.until(lambda: app.of(Failed))


async def test_an_unknown_host_name_is_told() -> None:
    async with tcp() as (app, _):
        for transport in ("TCP", "UDP"):
            app.endpoint.invite(
                "sip:x@h.invalid", Destination(transport, "h.invalid", 5060), app.driver.now(), from_="<sip:us@h>"
            )
        app.driver.flush()
        await app.until(lambda: len(app.of(Failed)) == 2, 15)


async def test_3_an_inherited_listening_socket_is_used_and_stays_open() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagram.bind(("127.0.0.1", 0))
    for _ in range(2):
        app = App()
        assert await app.driver.listen_tcp("", 0, sock=listener) == listener.getsockname()
        assert await app.driver.listen_udp("", 0, sock=datagram) == datagram.getsockname()
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(options())
        assert (await answer(reader)).startswith("SIP/2.0 200")
        writer.close()
        await app.driver.close()
    listener.close()
    datagram.close()


async def test_udp_over_ipv6() -> None:
    app = App()
    try:
        address = await app.driver.listen_udp("::1", 0)
    except OSError:
        address = None
    if address is not None:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect(address)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(sock, options(via="UDP [::1]:5099"))
            data = await asyncio.wait_for(loop.sock_recv(sock, 65535), 5)
        assert data.startswith(b"SIP/2.0 200")
        assert b"received=::1" in data
    await app.driver.close()


async def test_an_event_handler_that_fails_does_not_stop_the_others() -> None:
    async with tcp() as (app, address):
        original: Callable[..., None] = app.driver._on_event
        failures = iter([True])

        def fail_once(event: Any) -> None:
            if next(failures, False):
                raise RuntimeError("a bug in the application")
            original(event)

        app.driver._on_event = fail_once
        reader, writer = await asyncio.open_connection(*address)
        writer.write(options(1) + options(2))
        assert "c2" in await answer(reader)
        writer.close()


def test_the_driver_works_on_uvloop() -> None:
    async def scene() -> None:
        async with tcp() as (app, address):
            udp = await app.driver.listen_udp("127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*address)
            writer.write(options())
            assert (await answer(reader)).startswith("SIP/2.0 200")
            writer.close()
            peer = App()
            await peer.driver.listen_udp("127.0.0.1", 0)
            peer.endpoint.request(
                "OPTIONS", "sip:x@127.0.0.1", Destination("UDP", *udp), peer.driver.now(), from_="<sip:us@h>"
            )
            peer.driver.flush()
            await peer.until(lambda: peer.events)
            assert len(app.of(RequestReceived)) == 2
            await peer.driver.close(grace_s=1)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene())


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
async def test_bound_to_every_address_the_contact_names_the_one_that_the_peer_uses(transport: str) -> None:
    app = App()
    listen = app.driver.listen_udp if transport == "UDP" else app.driver.listen_tcp
    address = ("127.0.0.1", (await listen("0.0.0.0", 0))[1])
    if transport == "UDP":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect(address)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(sock, options(via="UDP 127.0.0.1:5099"))
            data = (await asyncio.wait_for(loop.sock_recv(sock, 65535), 5)).decode()
    else:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(options())
        data = await answer(reader)
        writer.close()
    assert f"Contact: <sip:127.0.0.1:{address[1]}" in data
    await app.driver.close()
