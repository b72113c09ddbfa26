"""Faults 1, 2, 6, 7 and 8 on the real media process, and the mutants that the oracle must catch (reliability.md)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.media.media_process import MediaClient, Sender, binary, faulty_binary, new_id, opening, rtp
from tests.torture import power_loss
from tests.torture.media_torture import Torture, campaign, tortured

STREAMS = 20
ATTEMPTS = 10
"""A power loss may spare by chance what a mutant acknowledged too early."""


@pytest.fixture
def seed() -> int:
    """Printed when a test fails."""
    number = secrets.randbelow(1 << 32)
    print(f"seed {number}")
    return number


@pytest.fixture
def torture(seed: int) -> Iterator[Torture]:
    with tortured(STREAMS, seed) as one:
        yield one


def wait_for_status(client: MediaClient, able: bool, seconds: float = 10) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while True:
        status = client.ask("status")
        if status["able"] is able:
            return status
        assert time.monotonic() < deadline, status
        time.sleep(0.01)


def wait_for_abort(torture: Torture) -> int:
    code = torture.process.wait()
    torture.ended()
    return code


def test_faults_1_and_2_kills_and_power_losses_under_load_lose_nothing_acknowledged(torture: Torture) -> None:
    failures = campaign(torture, kills=4, run_s=(0.2, 0.5))
    assert not failures and torture.lost == 0 and torture.compared > 50_000
    # A batch of one stream's packets at most; the landing keeps what was received, the sockets what was not.
    assert max(torture.lost_per_kill) <= STREAMS
    # One sync interval of 20 ms, the sync itself, and the start; on a busy machine a little more.
    assert max(torture.lost_ms_per_power_loss) < 1_000


def test_fault_7_a_failed_sync_ends_the_process_and_nothing_acknowledged_is_lost(torture: Torture) -> None:
    torture.start("eio@25")
    torture.open_and_send()
    assert wait_for_abort(torture) == -6
    acked = torture.acked()
    # The kernel drops the pages that it could not write.
    power_loss.drop_failed(torture.power_log)
    torture.start()
    assert torture.verify(acked) == []
    assert torture.lost == 0 and torture.compared > 0
    # The landing outlived the process: what was not acknowledged is there too, but for the batch that was just being received.
    assert torture.lost_packets() <= STREAMS


def test_fault_6_a_full_disk_refuses_new_calls_keeps_the_running_ones_and_resumes_by_itself(torture: Torture) -> None:
    client = torture.start("enospc@60:40")
    torture.open_and_send()
    status = wait_for_status(client, able=False)
    assert "full" in status["why"]
    phone = Sender()
    code, message = client.refused("open_track", **opening(new_id(), remote=phone.remote))
    assert code == "no_space" and "full" in message
    wait_for_status(client, able=True)
    client.open(remote=phone.remote)
    assert torture.lost_packets() == 0
    assert client.ask("status")["packets_overflow"] == 0
    torture.kill()
    acked = torture.acked()
    torture.start()
    assert torture.verify(acked) == []
    phone.close()


def test_fault_8_a_slow_disk_costs_no_packet_and_is_told(torture: Torture) -> None:
    client = torture.start("slow_sync=400")
    torture.open_and_send()
    torture.run_for(1.2)
    # The ring buffer holds: it is slow, yet far from behind.
    status = client.ask("status")
    assert status["able"] and status["sync_ms_max"] >= 400 and status["buffered_ms"] >= 1
    assert torture.lost_packets() == 0
    text = client.ask("metrics")["text"]
    slowest = next(line for line in text.splitlines() if line.startswith("callward_media_journal_sync_max_seconds "))
    assert float(slowest.split()[1]) >= 0.4
    torture.kill()
    acked = torture.acked()
    torture.lose_power()
    torture.start()
    assert torture.verify(acked) == []


def test_fault_8_when_the_disk_falls_behind_new_calls_are_shed_and_taken_again(seed: int) -> None:
    with tortured(1, seed, buffer_bytes=8 << 20) as torture:
        client = torture.start("slow_sync=400")
        torture.open_and_send()
        phone = Sender()
        track, port = client.open(remote=phone.remote)
        burst, sent = 40, 0
        deadline = time.monotonic() + 10
        while client.ask("status")["able"]:
            assert time.monotonic() < deadline
            phone.send(port, *(rtp(sent + number, payload=bytes(1_400)) for number in range(burst)))
            sent += burst
            client.wait_for(track, "packets", sent)
        # Half of the buffer waits: calls are refused, and what runs goes on.
        code, message = client.refused("open_track", **opening(new_id(), remote=phone.remote))
        assert code == "overload" and "slow" in message
        wait_for_status(client, able=True)
        client.open(remote=phone.remote)
        stats = client.stats(track)
        assert (stats["packets"], stats["lost"], stats["overflow"]) == (sent, 0, 0)
        phone.close()


def caught(mutant: str, seed: int) -> str:
    """What the oracle says about this broken build; empty when it was not noticed."""
    with tortured(STREAMS, seed) as torture:
        during, after = {
            "ack_before_sync": ("ack_before_sync,slow_sync=60", ""),
            "skip_crc": (f"kill@sync.before:{torture.random.randrange(25, 40)}", "skip_crc"),
            "retry_fsync": ("retry_fsync,eio@25", ""),
        }[mutant]
        torture.start(during)
        torture.open_and_send()
        if mutant == "skip_crc":
            assert wait_for_abort(torture) == -9
        else:
            torture.run_for(1.0)
            torture.kill()
        acked = torture.acked()
        torture.lose_power()
        try:
            torture.start(after)
        except (AssertionError, EOFError, ConnectionError) as error:
            torture.ended()
            return f"it does not start: {error}"
        return "; ".join(torture.verify(acked)[:3])


@pytest.mark.parametrize("mutant", ["ack_before_sync", "skip_crc", "retry_fsync"])
def test_the_same_oracle_catches_a_build_that_is_broken_on_purpose(mutant: str, seed: int) -> None:
    for attempt in range(ATTEMPTS):
        if why := caught(mutant, seed + attempt):
            print(f"{mutant}: caught at attempt {attempt + 1}: {why}")
            return
    pytest.fail(f"{mutant} was not noticed in {ATTEMPTS} attempts")


def test_the_fault_build_is_not_what_is_installed() -> None:
    assert b"CALLWARD_FAULT" in Path(faulty_binary()).read_bytes()
    assert b"CALLWARD_FAULT" not in Path(binary()).read_bytes()
