"""SRTP into the media process, from a sender written for the tests (RFC 3711, RFC 7714; fault 15)."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

import pytest
from tests.media.media_process import MediaClient, MediaProcess, Sender, rtp, running
from tests.media.srtp_sender import SUITES, Protector

Running = tuple[MediaProcess, MediaClient]


@pytest.fixture(scope="module")
def media() -> Iterator[Running]:
    with running(ports=80) as both:
        yield both


@pytest.mark.parametrize("suite", SUITES)
def test_srtp_is_stored_decrypted_over_the_sequence_wrap(media: Running, suite: str) -> None:
    process, client = media
    phone, keys = Sender(), Protector(suite)
    track, port = client.open(remote=phone.remote, srtp=keys.crypto)
    packets = [rtp(65_530 + number, 160 * number) for number in range(20)]
    for number, packet in enumerate(packets):
        keys.rollover = (65_530 + number) >> 16
        phone.send(port, keys.rtp(packet))
    stats = client.wait_for(track, "packets", 20)
    assert (stats["bad_srtp"], stats["lost"]) == (0, 0)
    client.ask("close_track", track=track)
    assert [packet["payload"] for packet in process.extract(track).packets] == [packet[12:] for packet in packets]
    phone.close()


@pytest.mark.parametrize("suite", SUITES)
def test_fault_15_bad_tags_never_end_a_stream(media: Running, suite: str) -> None:
    process, client = media
    phone, keys, wrong = Sender(), Protector(suite), Protector(suite)
    track, port = client.open(remote=phone.remote, srtp=keys.crypto)
    phone.send(port, keys.rtp(rtp(0)))
    phone.send(port, *(wrong.rtp(rtp(number)) for number in range(1, 151)))
    phone.send(port, *(os.urandom(size) for size in range(0, 60, 3)), b"\x80\x08" + bytes(10), rtp(1))
    # A DTLS ClientHello of somebody who wants to negotiate with us.
    phone.send(port, b"\x16\xfe\xff" + bytes(60))
    phone.send(port, keys.rtp(rtp(1)), keys.rtp(rtp(1)))
    stats = client.wait_for(track, "packets", 2)
    assert stats["bad_srtp"] >= 152 and stats["malformed"] >= 1
    client.wait_for(track, "duplicate", 1)
    client.ask("close_track", track=track)
    assert process.extract(track).sequences == [0, 1]
    phone.close()


def test_fault_15_an_address_is_latched_only_after_its_packet_was_authenticated(media: Running) -> None:
    process, client = media
    phone, stranger, keys = Sender(), Sender(), Protector("AES_CM_128_HMAC_SHA1_80")
    track, port = client.open(remote=None, source_check="learn", srtp=keys.crypto)
    stranger.send(port, *(Protector("AES_CM_128_HMAC_SHA1_80").rtp(rtp(number)) for number in range(30)))
    phone.send(port, keys.rtp(rtp(0)))
    stranger.send(port, keys.rtp(rtp(1)))
    phone.send(port, keys.rtp(rtp(2)))
    stats = client.wait_for(track, "packets", 2)
    assert (stats["bad_srtp"], stats["stranger"]) == (30, 1)
    client.ask("close_track", track=track)
    assert process.extract(track).sequences == [0, 2]
    phone.close()
    stranger.close()


@pytest.mark.parametrize("suite", ["AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM"])
def test_rekeying_takes_stragglers_under_the_old_key(media: Running, suite: str) -> None:
    process, client = media
    phone, old, new = Sender(), Protector(suite), Protector(suite)
    track, port = client.open(remote=phone.remote, srtp=old.crypto)
    phone.send(port, *(old.rtp(rtp(number)) for number in range(5)))
    client.wait_for(track, "packets", 5)
    client.ask("update_track", track=track, srtp=new.crypto)
    phone.send(port, new.rtp(rtp(6)), old.rtp(rtp(5)), new.rtp(rtp(7)))
    stats = client.wait_for(track, "packets", 8)
    assert (stats["bad_srtp"], stats["lost"]) == (0, 0)
    client.ask("close_track", track=track)
    stored = process.extract(track)
    assert stored.sequences == [0, 1, 2, 3, 4, 6, 5, 7]
    assert len(stored.marks("rekey")) == 1
    phone.close()


@pytest.mark.parametrize("suite", ["AES_CM_128_HMAC_SHA1_32", "AEAD_AES_128_GCM"])
def test_srtcp_both_ways(media: Running, suite: str) -> None:
    _process, client = media
    phone, control, keys, ours = Sender(), Sender(), Protector(suite), Protector(suite)
    remote = {"rtp": phone.address, "rtcp": control.address}
    track, port = client.open(remote=remote, srtp=keys.crypto, srtp_send=ours.crypto)
    phone.send(port, keys.rtp(rtp(0)))
    client.wait_for(track, "packets", 1)
    description = struct.pack("!BBHL", 0x81, 202, 3, 0x1234) + b"\x01\x05a@b.c\0"
    description += b"\0" * (16 - len(description))
    wrong = Protector(suite, rtcp_index=5)
    control.send(port + 1, keys.rtcp(description), wrong.rtcp(description))
    stats = client.wait_for(track, "bad_srtp", 1)
    assert (stats["cname"], stats["rtcp_received"]) == ("a@b.c", 1)
    report = ours.open_rtcp(control.socket.recv(2000))
    assert report[:2] == bytes([0x81, 201]) and struct.unpack_from("!L", report, 8)[0] == 0x1234
    client.ask("close_track", track=track)
    phone.close()
    control.close()


def test_keys_never_reach_the_log_or_the_files_in_the_clear(media: Running) -> None:
    process, client = media
    keys = Protector("AES_CM_128_HMAC_SHA1_80")
    track, _ = client.open(srtp=keys.crypto)
    client.ask("update_track", track=track, meta={"label": "2"})
    secret = keys.crypto["key"].encode()
    for folder in ("audio", "keys"):
        for file in (process.folder / folder).rglob("*"):
            assert not file.is_file() or secret not in file.read_bytes()
    assert secret not in process.log.read_bytes()
    client.ask("close_track", track=track)
