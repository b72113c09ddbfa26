"""The media process killed and started again: tracks go on by themselves (faults 1 and 3)."""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.media.media_process import MediaClient, MediaProcess, Sender, ServiceManager, rtp, running
from tests.media.srtp_sender import Protector


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cw-media-") as name:
        yield Path(name)


def wait_until_acknowledged(client: MediaClient, track: str, packets: int) -> int:
    deadline = time.monotonic() + 5
    while True:
        acked: int = client.ask("track_stats", track=track)["acked_bytes"]
        if acked >= packets * 184:
            return acked
        assert time.monotonic() < deadline, acked
        time.sleep(0.005)


def bind_patiently(squatter: socket.socket, port: int) -> None:
    """The kernel lets go of an io_uring's sockets a moment after the process is gone."""
    deadline = time.monotonic() + 5
    while True:
        try:
            return squatter.bind(("127.0.0.1", port))
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.005)


@pytest.mark.parametrize("receive", ["io_uring", "recvmmsg"])
def test_fault_1_after_sigkill_a_track_goes_on_with_its_sockets_keys_and_counters(folder: Path, receive: str) -> None:
    manager = ServiceManager(folder)
    process = MediaProcess(folder, receive)
    client = process.start(manager)
    assert manager.ready.wait(5)
    phone, keys, plain_phone = Sender(), Protector("AES_CM_128_HMAC_SHA1_80"), Sender()
    track, port = client.open(remote=phone.remote, srtp=keys.crypto, meta={"label": "srtp"})
    plain, plain_port = client.open(remote=plain_phone.remote, meta={"label": "plain"})
    for number in range(65_500, 65_600):
        keys.rollover = number >> 16
        phone.send(port, keys.rtp(rtp(number, number * 160)))
        plain_phone.send(plain_port, rtp(number, number * 160))
    client.wait_for(track, "packets", 100)
    client.wait_for(plain, "packets", 100)
    acked = wait_until_acknowledged(client, track, 100)
    wait_until_acknowledged(client, plain, 100)
    boot = client.hello["boot"]
    process.kill()
    client.close()
    # While nobody listens, the sockets that the service manager holds take the packets.
    for number in range(65_600, 65_650):
        keys.rollover = number >> 16
        phone.send(port, keys.rtp(rtp(number, number * 160)))
        plain_phone.send(plain_port, rtp(number, number * 160))
    client = process.start(manager)
    assert client.hello["boot"] != boot
    listed = {one["track"]: one for one in client.ask("list_tracks")["tracks"]}
    assert listed[track]["state"] == "open" and listed[track]["recovered"] and listed[track]["rtp_port"] == port
    assert listed[track]["acked_bytes"] >= acked
    for number in range(65_650, 65_700):
        keys.rollover = number >> 16
        phone.send(port, keys.rtp(rtp(number, number * 160)))
        plain_phone.send(plain_port, rtp(number, number * 160))
    for name in (track, plain):
        stats = client.wait_for(name, "packets", 200)
        assert (stats["packets"], stats["bad_srtp"], stats["lost"]) == (200, 0, 0)
        client.ask("close_track", track=name)
        stored = process.extract(name)
        assert [number & 0xFFFF for number in range(65_500, 65_700)] == stored.sequences
        assert len(stored.marks("restart")) == 1
        arrivals = [packet["arrival_ns"] for packet in stored.packets]
        assert arrivals == sorted(arrivals)
    assert process.stop() == 0
    manager.close()
    phone.close()
    plain_phone.close()


def test_fault_1_sigkill_loses_at_most_a_batch_of_what_was_received(folder: Path) -> None:
    # A long sync interval: what was received and not yet handed to the journal must survive all the same.
    manager = ServiceManager(folder)
    process = MediaProcess(folder, sync_interval_ms=2_000)
    client = process.start(manager)
    phone = Sender()
    track, port = client.open(remote=phone.remote)
    phone.send(port, *map(rtp, range(100)))
    client.wait_for(track, "packets", 100)
    process.kill()
    client.close()
    client = process.start(manager)
    phone.send(port, rtp(100))
    stats = client.wait_for(track, "packets", 101)
    assert stats["lost"] == 0
    client.ask("close_track", track=track)
    assert process.extract(track).sequences == list(range(101))
    process.stop()
    manager.close()
    phone.close()


def test_sigterm_keeps_tracks_open_and_stores_everything(folder: Path) -> None:
    manager = ServiceManager(folder)
    process = MediaProcess(folder)
    client = process.start(manager)
    phone = Sender()
    track, port = client.open(remote=phone.remote)
    client.ask("update_track", track=track, state="paused")
    client.ask("update_track", track=track, state="recording")
    phone.send(port, *map(rtp, range(10)))
    client.wait_for(track, "packets", 10)
    assert process.stop() == 0
    client.close()
    phone.send(port, rtp(10))
    client = process.start(manager)
    stats = client.wait_for(track, "packets", 11)
    assert (stats["lost"], stats["ssrcs"]) == (0, [0x1234])
    client.ask("close_track", track=track)
    stored = process.extract(track)
    assert stored.sequences == list(range(11))
    assert [mark["kind"] for mark in stored.header["marks"]] == ["pause", "resume", "restart"]
    process.stop()
    manager.close()
    phone.close()


def test_without_its_sockets_a_track_goes_on_at_the_same_port() -> None:
    with running() as (process, client):
        phone = Sender()
        track, port = client.open(remote=phone.remote)
        phone.send(port, rtp(0))
        client.wait_for(track, "packets", 1)
        wait_until_acknowledged(client, track, 1)
        process.kill()
        again = process.start()
        phone.send(port, rtp(1))
        again.wait_for(track, "packets", 2)
        again.ask("close_track", track=track)
        assert process.extract(track).sequences == [0, 1]
        again.close()
        phone.close()


def test_a_track_whose_port_is_taken_ends_and_is_told() -> None:
    with running() as (process, client):
        phone = Sender()
        track, port = client.open(remote=phone.remote)
        phone.send(port, rtp(0))
        client.wait_for(track, "packets", 1)
        wait_until_acknowledged(client, track, 1)
        process.kill()
        squatter = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bind_patiently(squatter, port)
        again = process.start()
        ended = again.event("track_ended")
        assert ended["track"] == track and ended["why"]
        assert again.ask("track_stats", track=track)["state"] == "closed"
        assert process.extract(track).sequences == [0]
        squatter.close()
        again.close()
        phone.close()


def test_a_stale_socket_file_is_replaced() -> None:
    with running() as (process, _):
        process.kill()
        assert process.control.exists()
        client = process.start()
        client.ask("status")
        client.close()
