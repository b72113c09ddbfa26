"""TLS and mutual TLS of the driver (RFC 3261 26, RFC 5922; fault 25): who is let in is decided by the certificate only."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from certificates import CLIENT, SERVER, Authority
from sip_app import App, sipp
from sipp_scenario import ack, answer, invite, receive, receive_request, request, sdp, write

from callward.sip.events import Answered, InviteReceived, Terminated
from callward.sip.flow import Admission, Destination, Flow, Verdict
from callward.sip.tls import TlsPeerError, TlsSettings, TlsSettingsError, identify, server_context

OPTIONS = (
    "OPTIONS sip:rec@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1;branch=z9hG4bK{n}\r\n"
    "From: <sip:somebody-else@bank.example>;tag=1\r\nTo: <sip:rec@127.0.0.1>\r\nCall-ID: {n}\r\nCSeq: 1 OPTIONS\r\n"
    "Content-Length: 0\r\n\r\n"
)


@asynccontextmanager
async def listening(tls: TlsSettings, **config: Any) -> AsyncIterator[tuple[App, tuple[str, int]]]:
    app = App(**config)
    address = await app.driver.listen_tls("127.0.0.1", 0, tls)
    try:
        yield app, address
    finally:
        await app.driver.close()


def client(authority: Authority, pem: Path | None, most: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.file))
    if pem is not None:
        context.load_cert_chain(pem)
    if most is not None:
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = most
        context.set_ciphers("ALL:@SECLEVEL=0")
    return context


async def options(address: tuple[str, int], context: ssl.SSLContext) -> str:
    """The answer's first line, or nothing when the connection was refused."""
    writer = None
    try:
        reader, writer = await asyncio.open_connection(*address, ssl=context)
        writer.write(OPTIONS.format(n=1).encode())
        line = await asyncio.wait_for(reader.readline(), 5)
        return line.decode().strip()
    except (ssl.SSLError, ConnectionError):
        return ""
    finally:
        if writer is not None:
            writer.close()
            try:
                await writer.wait_closed()
            except (ssl.SSLError, ConnectionError):
                pass


async def test_mutual_tls_lets_a_good_certificate_in_and_the_peer_comes_from_it(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server, _ = authority.issue("server.pem", names=("127.0.0.1",), usage=(SERVER,))
    good, serial = authority.issue("good.pem", names=("sbc.example", "sip:sbc.example"), usage=(CLIENT,))
    _, other = authority.issue("other.pem")
    seen: list[Flow] = []

    def admit(flow: Flow, request: Any) -> Admission:
        seen.append(flow)
        names = flow.certificate.subject_names if flow.certificate is not None else ()
        return Admission(Verdict.ACCEPT if "sbc.example" in names else Verdict.REFUSE, "sbc")

    tls = TlsSettings(server, server, authority.file, authority.revoke(other), ("sbc.example",))
    async with listening(tls, admit=admit) as (app, address):
        assert await options(address, client(authority, good)) == "SIP/2.0 200 OK"
        certificate = seen[-1].certificate
        assert certificate is not None
        assert certificate.subject_names == ("sbc.example", "sip:sbc.example")
        assert len(certificate.fingerprint_sha256) == 64
        assert app.events[0].peer == "sbc"
    assert serial != other


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    "fault", ["expired", "usage", "name", "common name only", "revoked", "stranger", "none", "tls 1.1"]
)
async def test_25_bad_client_certificates_are_refused_with_a_log(fault: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server, _ = authority.issue("server.pem", names=("127.0.0.1",), usage=(SERVER,))
    most = None
    revoked = 1
    pem: Path | None = None
    match fault:
        case "expired":
            pem, _ = authority.issue("c.pem", names=("sbc.example",), expired=True)
        case "usage":
            pem, _ = authority.issue("c.pem", names=("sbc.example",), usage=(SERVER,))
        case "name":
            pem, _ = authority.issue("c.pem", names=("evil.example",))
        case "common name only":
            pem, _ = authority.issue("c.pem", names=())
        case "revoked":
            pem, revoked = authority.issue("c.pem", names=("sbc.example",))
        case "stranger":
            pem, _ = Authority(tmp_path, "stranger").issue("c.pem", names=("sbc.example",))
        case "tls 1.1":
            pem, _ = authority.issue("c.pem", names=("sbc.example",))
            most = ssl.TLSVersion.TLSv1_1
    tls = TlsSettings(server, server, authority.file, authority.revoke(revoked), ("sbc.example",))
    with structlog.testing.capture_logs() as logs:
        async with listening(tls) as (app, address):
            assert await options(address, client(authority, pem, most)) == ""
            await app.until(lambda: any(entry["event"] == "sip_tls_peer_refused" for entry in logs))
            assert app.events == []
            assert app.driver.sizes["connections"] == 0
    assert all(entry.get("reason") for entry in logs if entry["event"] == "sip_tls_peer_refused")


async def test_a_new_revocation_list_counts_for_the_next_connection(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server, _ = authority.issue("server.pem", names=("127.0.0.1",), usage=(SERVER,))
    pem, serial = authority.issue("c.pem")
    async with listening(TlsSettings(server, server, authority.file, authority.revoke(1))) as (app, address):
        assert await options(address, client(authority, pem)) == "SIP/2.0 200 OK"
        app.driver.reload_tls(TlsSettings(server, server, authority.file, authority.revoke(serial)))
        assert await options(address, client(authority, pem)) == ""


async def test_a_client_that_never_finishes_its_handshake_is_dropped(tmp_path: Path) -> None:
    from callward.sip.driver import DriverSettings

    authority = Authority(tmp_path)
    server, _ = authority.issue("server.pem", names=("127.0.0.1",))
    settings = DriverSettings(handshake_timeout_s=0.2)
    async with listening(TlsSettings(server, server), settings=settings) as (app, address):
        reader, writer = await asyncio.open_connection(*address)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        assert await options(address, client(authority, None)) == "SIP/2.0 200 OK"
        del app


def test_unusable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(TlsSettingsError, match="certificate"):
        server_context(TlsSettings())
    with pytest.raises(TlsSettingsError, match=r"missing\.pem"):
        server_context(TlsSettings(tmp_path / "missing.pem"))
    with pytest.raises(TlsPeerError):
        identify(b"no certificate", TlsSettings(), server=True)


@asynccontextmanager
async def socat(left: str, right: str, port: int) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec("socat", left, right, stderr=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(5):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionError:
                    await asyncio.sleep(0.02)
                    continue
                writer.close()
                break
        yield
    finally:
        process.terminate()
        await process.wait()


async def test_sipp_behind_a_tls_tunnel_records_and_gets_our_bye_on_the_same_connection(
    tmp_path: Path, unused_tcp_port_factory: Any
) -> None:
    authority = Authority(tmp_path)
    server, _ = authority.issue("server.pem", names=("127.0.0.1",))
    sbc, _ = authority.issue("sbc.pem", names=("sbc.example",))
    port = unused_tcp_port_factory()
    async with listening(TlsSettings(server, server, authority.file)) as (app, address):
        tunnel = f"OPENSSL:127.0.0.1:{address[1]},cert={sbc},cafile={authority.file},commonname=127.0.0.1"
        async with socat(f"TCP-LISTEN:{port},fork,reuseaddr,bind=127.0.0.1", tunnel, port):
            scenario = write(
                tmp_path,
                invite("Require: siprec"),
                receive(100, optional=True),
                receive(200, checks={"Contact": "transport=tls"}),
                ack(),
                request("UPDATE", cseq=2, body=sdp("inactive", 2)),
                receive(200),
                receive_request("BYE"),
                answer("200 OK"),
            )
            running = asyncio.create_task(sipp(scenario, ("127.0.0.1", port), tmp_path, "-t", "t1"))
            await app.until(lambda: len(app.of(InviteReceived)) == 1 and len(app.events) >= 3)
            app.endpoint.bye(app.of(InviteReceived)[0].dialog, app.driver.now())
            app.driver.flush()
            await running
            await app.until(lambda: app.of(Terminated))


async def test_we_call_a_tls_peer_and_check_its_name(tmp_path: Path, unused_tcp_port_factory: Any) -> None:
    authority = Authority(tmp_path)
    server, _ = authority.issue("server.pem", names=("recorder.example",))
    ours, _ = authority.issue("ours.pem", names=("callward.example",))
    port, plain = unused_tcp_port_factory(), unused_tcp_port_factory()
    scenario = write(
        tmp_path,
        receive_request("INVITE"),
        answer("180 Ringing").replace("[last_To:]", "[last_To:];tag=s1"),
        answer("200 OK", body=sdp("recvonly")).replace("[last_To:]", "[last_To:];tag=s1"),
        receive_request("ACK"),
        receive_request("BYE"),
        answer("200 OK"),
    )
    running = asyncio.create_task(sipp(scenario, ("127.0.0.1", 9), tmp_path, "-t", "t1", "-p", str(plain)))
    app = App()
    await app.driver.listen_tcp("127.0.0.1", 0)
    app.driver.connect_with(TlsSettings(ours, ours, authority.file))
    listen = f"OPENSSL-LISTEN:{port},fork,reuseaddr,bind=127.0.0.1,cert={server},cafile={authority.file},verify=1"
    async with socat(listen, f"TCP:127.0.0.1:{plain}", port):
        uri = f"sip:rec@127.0.0.1:{port};transport=tls"
        for name, reached in (("other.example", False), ("recorder.example", True)):
            app.endpoint.invite(
                uri,
                Destination("TLS", "127.0.0.1", port, server_name=name),
                app.driver.now(),
                from_="<sip:us@callward.example>",
                body=sdp().encode(),
            )
            app.driver.flush()
            await app.until(lambda: app.events)
            assert (type(app.events[-1]).__name__ == "Failed") is not reached
            if not reached:
                app.events.clear()
        await app.until(lambda: app.of(Answered))
        app.endpoint.bye(app.of(Answered)[0].dialog, app.driver.now())
        app.driver.flush()
        await running
    await app.driver.close()
