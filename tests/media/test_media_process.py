"""The media process over its socket: what is received is stored, counted and handed back (docs/reference/media-protocol.md)."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator

import pytest
from tests.media.media_process import HOME, MediaClient, MediaProcess, Sender, new_id, rtp, running

Running = tuple[MediaProcess, MediaClient]


@pytest.fixture(scope="module", params=["io_uring", "recvmmsg"])
def media(request: pytest.FixtureRequest) -> Iterator[Running]:
    with running(request.param) as (process, client):
        assert client.hello["receive"] == request.param
        yield process, client


@pytest.fixture
def phone() -> Iterator[Sender]:
    sender = Sender()
    yield sender
    sender.close()


def test_every_packet_is_stored_in_order_of_arrival(media: Running, phone: Sender) -> None:
    process, client = media
    before = time.time_ns()
    track, port = client.open(remote=phone.remote)
    phone.send(port, *(rtp(number, marker=number == 0) for number in range(50)))
    client.wait_for(track, "packets", 50)
    closed = client.ask("close_track", track=track)
    assert closed["stats"]["lost"] == closed["stats"]["duplicate"] == closed["stats"]["stranger"] == 0
    assert closed["acked_bytes"] >= 50 * 172
    stored = process.extract(track)
    assert stored.header["complete"] and stored.header["meta"] == {"label": "1"}
    assert stored.sequences == list(range(50))
    assert [packet["payload"] for packet in stored.packets] == [rtp(number)[12:] for number in range(50)]
    assert stored.packets[0]["marker"] and not stored.packets[1]["marker"]
    arrivals = [packet["arrival_ns"] for packet in stored.packets]
    assert arrivals == sorted(arrivals) and before < arrivals[0] and arrivals[-1] < time.time_ns()
    assert stored.header["stats"]["packets"] == 50


def test_fault_12_loss_reorder_and_duplicates_are_counted_and_gaps_placed(media: Running, phone: Sender) -> None:
    process, client = media
    track, port = client.open(remote=phone.remote)
    order = [0, 1, 2, 5, 4, 6, 6, 7, 10, 11, 7]
    phone.send(port, *map(rtp, order))
    client.wait_for(track, "packets", 9)
    client.wait_for(track, "duplicate", 2)
    stats = client.ask("close_track", track=track)["stats"]
    assert (stats["packets"], stats["lost"], stats["reordered"], stats["duplicate"]) == (9, 3, 1, 2)
    assert [(gap["ms"], gap["packets"]) for gap in stats["gaps"]] == [(20.0, 1), (40.0, 2)]
    assert stats["first_at_ns"] <= stats["gaps"][0]["at_ns"]
    assert process.extract(track).sequences == [0, 1, 2, 5, 4, 6, 7, 10, 11]


def test_fault_13_source_payload_type_and_sequence_changes_make_one_track(media: Running, phone: Sender) -> None:
    process, client = media
    track, port = client.open(remote=phone.remote)
    packets = [rtp(65_534 + number, 160 * number + 0xFFFF_FF00) for number in range(5)]
    packets += [rtp(9, 0x8000_0000, ssrc=77), rtp(10, 0x8000_00A0, ssrc=77, payload_type=0)]
    # The same source begins anew at a number it had before: no duplicate, no loss.
    packets += [rtp(9, 0x1000_0000, ssrc=77), rtp(10, 0x1000_00A0, ssrc=77)]
    phone.send(port, *packets)
    stats = client.wait_for(track, "packets", len(packets))
    assert (stats["lost"], stats["duplicate"], stats["unknown_payload_type"]) == (0, 0, 1)
    assert stats["ssrcs"] == [0x1234, 77]
    client.ask("close_track", track=track)
    stored = process.extract(track)
    assert [packet["payload_type"] for packet in stored.packets] == [8] * 6 + [0] + [8] * 2
    assert stored.sequences == [65_534, 65_535, 0, 1, 2, 9, 10, 9, 10]


def test_rfc4733_events_are_stored_and_counted_once_each(media: Running, phone: Sender) -> None:
    process, client = media
    track, port = client.open(remote=phone.remote)
    packets = [rtp(number, 4000, payload_type=101, payload=b"\x05\x0a\x00\xa0") for number in range(4)]
    packets += [rtp(4 + number, 8000, payload_type=101, payload=b"\x06\x0a\x00\xa0") for number in range(3)]
    phone.send(port, *packets)
    assert client.wait_for(track, "packets", 7)["events"] == 2
    client.ask("close_track", track=track)
    assert [packet["payload_type"] for packet in process.extract(track).packets] == [101] * 7


def test_header_extension_csrc_and_padding_are_understood(media: Running, phone: Sender) -> None:
    process, client = media
    track, port = client.open(remote=phone.remote)
    extended = bytes([0x90]) + rtp(0)[1:12] + bytes.fromhex("bede000110ff0000") + b"speech"
    mixed = bytes([0x82]) + rtp(1)[1:12] + struct.pack("!LL", 5, 6) + b"mixed"
    padded = bytes([0xA0]) + rtp(2)[1:12] + b"padded" + b"\0\0\x03"
    phone.send(port, extended, mixed, padded)
    client.wait_for(track, "packets", 3)
    client.ask("close_track", track=track)
    stored = process.extract(track)
    assert [packet["payload"] for packet in stored.packets] == [b"speech", b"mixed", b"padded"]
    assert [mark["csrc"] for mark in stored.marks("csrc")] == [[5, 6], []]


def test_s23_nothing_is_stored_while_paused(media: Running, phone: Sender) -> None:
    process, client = media
    track, port = client.open(remote=phone.remote)
    phone.send(port, *map(rtp, range(5)))
    client.wait_for(track, "packets", 5)
    before = time.time_ns()
    client.ask("update_track", track=track, state="paused")
    phone.send(port, *map(rtp, range(5, 15)))
    client.wait_for(track, "while_paused", 10)
    client.ask("update_track", track=track, state="recording")
    after = time.time_ns()
    phone.send(port, *map(rtp, range(15, 20)))
    client.wait_for(track, "packets", 10)
    stats = client.ask("close_track", track=track)["stats"]
    assert (stats["lost"], stats["while_paused"]) == (0, 10)
    stored = process.extract(track)
    assert stored.sequences == [*range(5), *range(15, 20)]
    (paused,), (resumed,) = stored.marks("pause"), stored.marks("resume")
    assert before < paused["at_ns"] < resumed["at_ns"] < after


def test_a_track_opened_paused_stores_nothing_until_it_is_resumed(media: Running, phone: Sender) -> None:
    process, client = media
    track, port = client.open(remote=phone.remote, state="paused")
    phone.send(port, rtp(0))
    client.wait_for(track, "while_paused", 1)
    assert client.ask("track_stats", track=track)["state"] == "paused"
    client.ask("close_track", track=track)
    assert process.extract(track).packets == []


def test_rotation_loses_no_packet(media: Running, phone: Sender) -> None:
    process, client = media
    track, port = client.open(remote=phone.remote)
    following = new_id()
    session = new_id()
    for number in range(200):
        phone.send(port, rtp(number))
        if number == 100:
            waiting = client.send("rotate_track", track=track, next=following, session=session, meta={"label": "2"})
    reply = client.reply(waiting)
    assert reply["ok"], reply
    first = reply["stats"]["packets"]
    client.wait_for(following, "packets", 200 - first)
    # Asked again after a lost connection: the same answer, nothing is opened twice.
    again = client.ask("rotate_track", track=track, next=following, session=session, meta={"label": "2"})
    assert again["stats"]["packets"] == first and again["acked_bytes"] == reply["acked_bytes"]
    stats = client.ask("close_track", track=following)["stats"]
    assert stats["lost"] == 0
    one, two = process.extract(track), process.extract(following)
    assert one.sequences + two.sequences == list(range(200))
    assert two.header["session"] == session and two.header["meta"] == {"label": "2"}


def test_fault_14_es2025_01_strangers_are_dropped_and_counted(media: Running, phone: Sender) -> None:
    process, client = media
    strangers = [Sender() for _ in range(10)]
    track, port = client.open(remote=phone.remote)
    for number in range(10):
        for stranger in strangers:
            stranger.send(port, rtp(number, payload=b"injected"))
        phone.send(port, rtp(number))
    client.wait_for(track, "stranger", 100)
    stats = client.wait_for(track, "packets", 10)
    assert (stats["stranger"], stats["packets"]) == (100, 10)
    client.ask("close_track", track=track)
    assert all(packet["payload"] != b"injected" for packet in process.extract(track).packets)
    for stranger in strangers:
        stranger.close()


@pytest.mark.parametrize("source_check", ["symmetric", "learn"])
def test_fault_14_a_latched_source_is_never_retargeted(media: Running, phone: Sender, source_check: str) -> None:
    process, client = media
    behind_translator, stranger = Sender(), Sender()
    track, port = client.open(remote=phone.remote if source_check == "symmetric" else None, source_check=source_check)
    behind_translator.send(port, *map(rtp, range(5)))
    client.wait_for(track, "packets", 5)
    stranger.send(port, *(rtp(number, payload=b"injected") for number in range(5, 40)))
    behind_translator.send(port, *map(rtp, range(5, 10)))
    stats = client.wait_for(track, "packets", 10)
    assert stats["stranger"] == 35
    client.ask("close_track", track=track)
    stored = process.extract(track)
    assert stored.sequences == list(range(10))
    assert [mark["rtp"] for mark in stored.marks("source")] == [behind_translator.address]
    behind_translator.close()
    stranger.close()


def test_s38_media_before_the_negotiation_is_kept(media: Running, phone: Sender) -> None:
    process, client = media
    stranger = Sender()
    track, port = client.open(remote=None)
    phone.send(port, rtp(0), rtp(1))
    stranger.send(port, rtp(1, payload=b"injected"))
    deadline = time.monotonic() + 5
    while client.ask("status")["packets"] < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    client.ask("update_track", track=track, remote=phone.remote)
    phone.send(port, rtp(2))
    client.wait_for(track, "packets", 3)
    stats = client.ask("close_track", track=track)["stats"]
    assert stats["stranger"] == 1
    assert process.extract(track).sequences == [0, 1, 2]
    stranger.close()


def test_garbage_is_counted_and_costs_nothing(media: Running, phone: Sender) -> None:
    process, client = media
    track, port = client.open(remote=phone.remote)
    garbage = [b"", b"x", b"\x80" * 11, b"\x00" * 40, b"\x8f" + rtp(0)[1:14], b"\x80\x08" + b"z" * 5000]
    garbage.append(bytes([0xA0]) + rtp(0)[1:12] + b"\xff")
    phone.send(port, *garbage)
    phone.send(port, rtp(0))
    stats = client.wait_for(track, "packets", 1)
    # An empty datagram keeps an address translator's binding open and means nothing.
    assert stats["malformed"] == len(garbage) - 1
    client.ask("close_track", track=track)
    assert process.extract(track).sequences == [0]


def test_ports_of_an_ended_track_are_drained_before_they_are_used_again(media: Running, phone: Sender) -> None:
    _process, client = media
    track, port = client.open(remote=phone.remote)
    client.ask("close_track", track=track)
    before = client.ask("status")["packets_stale"]
    phone.send(port, rtp(0), rtp(1))
    deadline = time.monotonic() + 5
    while client.ask("status")["packets_stale"] < before + 2:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    following, other = client.open(remote=phone.remote)
    assert other != port
    client.ask("close_track", track=following)


def test_ipv6(media: Running) -> None:
    process, client = media
    phone = Sender("::1")
    track, port = client.open(address="::1", remote=phone.remote)
    phone.send(port, rtp(0), rtp(1))
    client.wait_for(track, "packets", 2)
    client.ask("close_track", track=track)
    assert process.extract(track).sequences == [0, 1]
    phone.close()


def sender_report(ssrc: int, cname: bytes = b"phone@example.org") -> bytes:
    report = struct.pack("!BBHL", 0x80, 200, 6, ssrc) + struct.pack("!LLLLL", 0xAABBCCDD, 0x11223344, 0, 10, 1600)
    item = b"\x01" + bytes([len(cname)]) + cname + b"\0"
    item += b"\0" * (-len(item) % 4)
    return report + struct.pack("!BBHL", 0x81, 202, 1 + len(item) // 4, ssrc) + item


def test_rtcp_is_read_and_answered_with_receiver_reports(media: Running) -> None:
    _process, client = media
    phone, control = Sender(), Sender()
    track, port = client.open(remote={"rtp": phone.address, "rtcp": control.address})
    phone.send(port, *map(rtp, [0, 1, 2, 5]))
    client.wait_for(track, "packets", 4)
    control.send(port + 1, sender_report(0x1234), b"\x81\xc9\x00")
    stats = client.wait_for(track, "rtcp_received", 1)
    assert stats["cname"] == "phone@example.org"
    # Reports are due each 5 s, spread by half, the first one sooner.
    report = control.socket.recv(2000)
    assert report[:2] == bytes([0x81, 201])
    ssrc, lost, highest, _, last, delay = struct.unpack_from("!LLLLLL", report, 8)
    assert (ssrc, lost & 0xFFFFFF, highest & 0xFFFF, last) == (0x1234, 2, 5, 0xCCDD1122)
    assert lost >> 24 == 2 * 256 // 6
    assert 0 < delay < 8 * 65_536
    assert client.ask("close_track", track=track)["stats"]["rtcp_sent"] >= 1
    phone.close()
    control.close()


def test_rtcp_on_the_rtp_port_is_told_apart(media: Running, phone: Sender) -> None:
    process, client = media
    track, port = client.open(remote=phone.remote, rtcp_mux=True)
    phone.send(port, rtp(0), sender_report(0x1234), rtp(1))
    stats = client.wait_for(track, "rtcp_received", 1)
    client.wait_for(track, "packets", 2)
    assert stats["malformed"] == 0
    client.ask("close_track", track=track)
    assert process.extract(track).sequences == [0, 1]


def test_media_started_is_told_once_per_track(media: Running, phone: Sender) -> None:
    _, client = media
    client.events.clear()
    track, port = client.open(remote=phone.remote)
    phone.send(port, rtp(0), rtp(1))
    started = client.event("media_started")
    assert started["track"] == track and abs(started["at_ns"] - time.time_ns()) < 10_000_000_000
    client.ask("close_track", track=track)
    assert all(event["event"] != "media_started" for event in client.events)


def test_acknowledged_bytes_are_told_to_who_watches(media: Running, phone: Sender) -> None:
    _, client = media
    client.ask("watch_acks", on=True)
    track, port = client.open(remote=phone.remote)
    phone.send(port, rtp(0))
    while True:
        acked = client.event("acked")["tracks"]
        if acked.get(track, 0) > 0:
            break
    assert acked[track] == client.ask("track_stats", track=track)["acked_bytes"]
    client.ask("watch_acks", on=False)
    client.ask("close_track", track=track)


def test_a_shredded_track_cannot_be_read(media: Running, phone: Sender) -> None:
    process, client = media
    track, port = client.open(remote=phone.remote)
    phone.send(port, rtp(0))
    client.wait_for(track, "packets", 1)
    client.ask("shred_track", track=track)
    client.ask("shred_track", track=track)
    assert client.refused("track_stats", track=track)[0] == "unknown_track"
    result = process.command(
        "extract", "--journal", process.config["journal_dir"], "--keys", process.config["keys_dir"],
        "--track", track, "--output", str(process.folder / "shredded"), "--partial",
    )  # fmt: skip
    assert result.returncode == 1 and track in result.stderr
    assert all(one["track"] != track for one in client.ask("list_tracks")["tracks"])


def test_a_released_track_is_gone_and_an_open_one_is_not_released(media: Running, phone: Sender) -> None:
    _, client = media
    track, _port = client.open(remote=phone.remote)
    assert client.refused("release_track", track=track)[0] == "bad_request"
    client.ask("close_track", track=track)
    client.ask("release_track", track=track)
    client.ask("release_track", track=track)
    assert client.refused("close_track", track=track)[0] == "unknown_track"


def test_an_open_track_is_readable_in_part_and_by_the_files_alone(media: Running, phone: Sender) -> None:
    process, client = media
    track, port = client.open(remote=phone.remote)
    phone.send(port, *map(rtp, range(20)))
    client.wait_for(track, "packets", 20)
    deadline = time.monotonic() + 5
    while client.ask("track_stats", track=track)["acked_bytes"] < 20 * 172:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    stored = process.extract(track, partial=True)
    assert stored.sequences == list(range(20)) and not stored.header["complete"]
    folders = ("--journal", process.config["journal_dir"], "--keys", process.config["keys_dir"])
    listed = process.command("list", *folders)
    assert track in listed.stdout
    checked = process.command("check", *folders[:2])
    assert checked.returncode == 0, checked.stdout
    client.ask("close_track", track=track)


def test_no_port_is_left(phone: Sender) -> None:
    with running(ports=4, quarantine_ms=60_000) as (_, client):
        client.open()
        client.open()
        code, message = client.refused(
            "open_track", track=new_id(), session=new_id(), address=HOME, payload_types=[], remote=None
        )
        assert code == "no_port" and "media.port" in message
