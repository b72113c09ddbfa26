"""Who may record, and whose calls they are: addresses, certificates, group ids and numbers; never what a From header says."""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.machine import Browser, Machine, wait_until
from tests.end_to_end.recording_session import recorded_session
from tests.end_to_end.test_recorded_calls import ready
from tests.peers.sip_client import SipClient, offer
from tests.sip.certificates import SERVER, Authority

pytestmark = pytest.mark.end_to_end

CARRIER = "127.0.3.1"
STRANGER = "127.200.0.1"
ACME_NUMBER = "+3225559100"
BELL_SBC = "sbc.example"


@pytest.fixture(scope="module")
def known(machine: Machine) -> Iterator[dict[str, str]]:
    """Two more organisations, a carrier that sends calls of both, and addresses that are not on the list; ids by code."""
    machine.provision(
        f"organisation add acme 'Acme Bank' --group-id Acme-Group --number {ACME_NUMBER}",
        "organisation add bell 'Bell and Co' --group-id bell-group",
        f"peer add operator --address {CARRIER}",
        "peer add near --organisation main --address 127.0.0.0/9",
    )
    machine.provision(f"peer add sbc-by-tls --organisation bell --certificate {BELL_SBC}", "peer remove loopback")
    found = json.loads(machine.command("organisation", "list", "--json"))
    yield {one["code"]: one["id"] for one in found}
    machine.provision("peer add loopback --organisation main --address 127.0.0.0/8 --address ::1/128")
    machine.provision("peer remove operator", "peer remove near", "peer remove sbc-by-tls")


async def test_f8_a_carriers_calls_go_to_the_organisation_that_group_id_or_number_selects(
    machine: Machine, browser: Browser, known: dict[str, str]
) -> None:

    async def one(**what: Any) -> str:
        async with recorded_session(machine, source=CARRIER, **what) as session:
            await session.speak(0.5)
            await session.hang_up()
            return str(session.extra["caller"])

    by_group, by_number, by_both, by_none = await asyncio.gather(
        one(group_id="bell-group"),
        one(called=ACME_NUMBER),
        one(group_id="acme-group", called="+3225550000"),
        one(group_id="somebody-else", called="+3225550000"),
    )
    expected = {by_group: known["bell"], by_number: known["acme"], by_both: known["acme"], by_none: None}
    for caller, organisation in expected.items():
        call = await asyncio.to_thread(ready, browser, caller)
        assert call["peer"] == "operator"
        assert call["organisation_id"] == organisation, "what matches none is the provider's alone"


async def test_a_from_header_makes_nobody_a_peer(machine: Machine, browser: Browser, known: dict[str, str]) -> None:
    """Fault 23: what an outsider writes into our own or a proxy's headers is data and nothing else."""
    claims = [
        "X-Internal : callward",
        "X-Callward-Organisation: " + known["acme"],
        "X-Callward-Peer: sbc-by-tls\r\n\t, operator",
        "P-Asserted-Identity: <sip:sbc.example>",
    ]
    client = SipClient("127.0.0.1", machine.sip_port, "TCP")
    await client.connect()
    assert (await client.ask("INVITE", sdp=offer([4000]), extra=["\u0421ontact: <sip:e@h>"])).status == 400
    await client.close()
    async with recorded_session(machine, extra=claims) as session:
        await session.speak(0.5)
        await session.hang_up()
    call = await asyncio.to_thread(ready, browser, session.extra["caller"])
    assert (call["peer"], call["organisation_id"]) == ("near", known["main"])


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
async def test_a_stranger_is_refused_counted_and_told_of(
    machine: Machine, browser: Browser, known: dict[str, str], transport: str
) -> None:
    before = machine.metric("callward_recorder_unknown_peers_total")
    conversations = len(browser.conversations(limit="500"))
    client = SipClient("127.0.0.1", machine.sip_port, transport, source=STRANGER)
    if transport == "UDP":
        await client.connect()
        answer = await client.ask("INVITE", sdp=offer([4000, 4002]), extra=["User-Agent: near", "P-Peer: loopback"])
        assert answer.status == 403
        await client.close()
    else:
        reader, writer = await asyncio.open_connection("127.0.0.1", machine.sip_port, local_addr=(STRANGER, 0))
        async with asyncio.timeout(10):
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.readexactly(1)
        writer.close()
    assert machine.metric("callward_recorder_unknown_peers_total") > before
    wait_until(
        lambda: any(STRANGER in event["detail"] for event in browser.system_events("unknown_peer")),
        "the administrator is told of the stranger",
    )
    assert len(browser.conversations(limit="500")) == conversations


def client_tls(certificate: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(certificate)
    return context


async def test_a_peer_is_known_by_its_certificate(
    machine: Machine, browser: Browser, known: dict[str, str], authority: Authority
) -> None:
    certificate, _ = authority.issue("sbc.pem", names=(BELL_SBC,))
    async with recorded_session(
        machine, transport="TLS", port=machine.tls_port, tls=client_tls(certificate), source=STRANGER
    ) as session:
        await session.speak(0.5)
        await session.hang_up()
    call = await asyncio.to_thread(ready, browser, session.extra["caller"])
    assert (call["peer"], call["organisation_id"]) == ("sbc-by-tls", known["bell"])


FAULTS = ("none", "expired", "server only", "another name", "common name only", "another authority", "revoked")


@pytest.mark.parametrize("fault", FAULTS)
async def test_fault_25_a_bad_client_certificate_records_nothing(
    machine: Machine,
    known: dict[str, str],
    authority: Authority,
    revoked_certificate: Path,
    tmp_path: Path,
    fault: str,
) -> None:
    file = f"bad-{secrets.token_hex(4)}.pem"
    certificates: dict[str, Callable[[], Path | None]] = {
        "none": lambda: None,
        "expired": lambda: authority.issue(file, names=(BELL_SBC,), expired=True)[0],
        "server only": lambda: authority.issue(file, names=(BELL_SBC,), usage=(SERVER,))[0],
        "another name": lambda: authority.issue(file, names=("else.example",))[0],
        "common name only": lambda: authority.issue(file, names=())[0],
        "another authority": lambda: Authority(tmp_path, "stranger").issue(file, names=(BELL_SBC,))[0],
        "revoked": lambda: revoked_certificate,
    }
    assert await _first_line(machine, certificates[fault]()) in ("", "SIP/2.0 403 Forbidden")


async def _first_line(machine: Machine, certificate: Path | None) -> str:
    """What a client with this certificate gets for an INVITE; empty when it is cut off."""
    client = SipClient("127.0.0.1", machine.tls_port, "TLS")
    client._local = (STRANGER, 5061)
    request = client.request("INVITE", sdp=offer([4000, 4002]))
    async with asyncio.timeout(10):
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", machine.tls_port, ssl=client_tls(certificate), local_addr=(STRANGER, 0)
            )
            writer.write(request.encode())
            return (await reader.readline()).decode().strip()
        except OSError:
            return ""
