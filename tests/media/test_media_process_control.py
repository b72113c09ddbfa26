"""The control socket of the media process: several clients, bad input, bounds, one owner."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.media.media_process import MediaClient, MediaProcess, Sender, binary, new_id, rtp, running

Running = tuple[MediaProcess, MediaClient]


@pytest.fixture(scope="module")
def media() -> Iterator[Running]:
    with running() as both:
        yield both


def test_hello_names_protocol_and_boot(media: Running) -> None:
    process, client = media
    hello = client.hello
    assert hello["protocol"] == 1 and hello["pid"] == process.pid
    assert len(hello["boot"]) == 26
    other = MediaClient(process.control)
    assert other.hello["boot"] == hello["boot"]
    other.close()


def test_the_socket_is_the_owners_only(media: Running) -> None:
    process, _ = media
    assert stat.S_IMODE(process.control.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("line", "code", "word"),
    [
        (b"nonsense", "bad_request", "JSON"),
        (b"[]", "bad_request", "id"),
        (b'{"id": 1}', "bad_request", "op"),
        (b'{"id": 1, "op": "fly"}', "unknown_op", "fly"),
        (b'{"id": 1, "op": "close_track", "track": "../../etc/passwd"}', "bad_request", "track"),
        (b'{"id": 1, "op": "watch_acks", "on": "yes"}', "bad_request", "on"),
        (
            b'{"id": 1, "op": "open_track", "track": "01M80EBV3W0000002Z7C000001", "session": 5}',
            "bad_request",
            "address",
        ),
    ],
)
def test_bad_input_is_answered_with_the_fields_name(media: Running, line: bytes, code: str, word: str) -> None:
    process, _ = media
    client = MediaClient(process.control)
    client.socket.sendall(line + b"\n")
    reply = client.read()
    assert not reply["ok"] and reply["error"]["code"] == code
    assert word in reply["error"]["message"]
    client.close()


def test_too_long_a_line_ends_the_connection_only(media: Running) -> None:
    process, client = media
    other = MediaClient(process.control)
    other.socket.sendall(b"x" * 300_000)
    assert other.read()["error"]["code"] == "bad_request"
    with pytest.raises((EOFError, ConnectionError)):
        other.read()
    other.close()
    client.ask("status")


def test_a_client_that_does_not_read_is_disconnected_and_blocks_nobody(media: Running) -> None:
    process, client = media
    lazy = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    lazy.connect(str(process.control))
    lazy.settimeout(5)
    line = json.dumps({"id": 1, "op": "metrics"}).encode() + b"\n"
    lines = line * 20_000
    with pytest.raises((ConnectionError, TimeoutError)):
        lazy.sendall(lines)
    client.ask("status")
    lazy.close()


def test_unknown_and_ended_tracks_are_told_apart(media: Running) -> None:
    _, client = media
    for op in ("update_track", "close_track", "track_stats"):
        assert client.refused(op, track=new_id())[0] == "unknown_track"
    for op in ("release_track", "shred_track"):
        client.ask(op, track=new_id())
    track, _ = client.open()
    client.ask("close_track", track=track)
    assert client.refused("update_track", track=track, meta={})[0] == "closed"
    assert client.ask("track_stats", track=track)["state"] == "closed"


def test_each_operation_may_be_repeated(media: Running) -> None:
    _, client = media
    phone = Sender()
    track, port = client.open(remote=phone.remote)
    assert client.open(track=track, remote=phone.remote) == (track, port)
    phone.send(port, rtp(0))
    client.wait_for(track, "packets", 1)
    first = client.ask("close_track", track=track)
    again = client.ask("close_track", track=track)
    assert {**first, "id": 0} == {**again, "id": 0}
    code, _ = client.refused("open_track", track=track, session=new_id(), address="127.0.0.1")
    assert code == "closed"
    phone.close()


def test_an_address_that_is_not_configured_is_refused(media: Running) -> None:
    _, client = media
    code, message = client.refused("open_track", track=new_id(), session=new_id(), address="192.0.2.1")
    assert code == "bad_request" and message.startswith("address:")


def test_meta_and_session_come_back_in_pages(media: Running) -> None:
    _, client = media
    track, port = client.open(meta={"label": "7", "note": "a" * 3000})
    listed = {one["track"]: one for one in client.ask("list_tracks")["tracks"]}
    assert listed[track]["state"] == "open" and listed[track]["rtp_port"] == port
    assert listed[track]["meta"]["label"] == "7" and listed[track]["recovered"] is False
    assert client.ask("list_tracks", after=track)["tracks"] == []
    assert client.refused("update_track", track=track, meta={"x": "a" * 5000})[0] == "bad_request"
    client.ask("close_track", track=track)


def test_metrics_are_prometheus_text(media: Running) -> None:
    _, client = media
    text = client.ask("metrics")["text"]
    assert "# TYPE callward_media_packets_total counter" in text
    assert "callward_media_able 1" in text


def test_a_second_process_leaves_the_first_alone(media: Running) -> None:
    process, client = media
    config = process.folder / "media.json"
    result = subprocess.run([binary(), "serve", "--config", str(config)], capture_output=True, text=True, timeout=10)
    assert result.returncode == 1 and "another callward-media is running" in result.stderr
    client.ask("status")


def test_a_bad_config_names_its_key(tmp_path: Path) -> None:
    config = tmp_path / "media.json"
    config.write_text(json.dumps({"runtime_dir": str(tmp_path), "colour": 1}))
    result = subprocess.run([binary(), "serve", "--config", str(config)], capture_output=True, text=True, timeout=10)
    assert result.returncode == 1 and "colour" in result.stderr


def test_the_log_is_json_lines(media: Running) -> None:
    process, _ = media
    lines = [json.loads(line) for line in process.log.read_text().splitlines()]
    assert any(line["event"] == "ready" for line in lines)


def test_disk_watermark_refuses_new_tracks_and_keeps_running_ones() -> None:
    with running(journal_max_bytes=3 << 20, segment_bytes=1 << 20) as (_process, client):
        phone = Sender()
        track, port = client.open(remote=phone.remote)
        sent = 0
        while client.ask("status")["able"]:
            for _ in range(100):
                phone.send(port, rtp(sent, payload=b"a" * 1400))
                sent += 1
            client.wait_for(track, "packets", sent)
            assert sent < 20_000
        assert client.event("able")["able"] is False
        code, message = client.refused("open_track", track=new_id(), session=new_id(), address="127.0.0.1")
        assert code == "no_space" and message
        phone.send(port, rtp(sent))
        client.wait_for(track, "packets", sent + 1)
        stats = client.ask("close_track", track=track)["stats"]
        assert stats["packets"] == sent + 1 and stats["lost"] == 0
        phone.close()


def test_silence_is_told_once_until_packets_come_again() -> None:
    with running(silent_after_ms=300) as (_, client):
        phone = Sender()
        track, port = client.open(remote=phone.remote)
        silent = client.event("media_silent")
        assert silent["track"] == track and silent["since_ns"] > 0
        phone.send(port, rtp(0))
        assert client.event("media_started")["track"] == track
        again = client.event("media_silent")
        assert again["since_ns"] > silent["since_ns"]
        client.ask("update_track", track=track, state="paused")
        client.ask("close_track", track=track)
        assert all(event["event"] != "media_silent" for event in client.events)
        phone.close()


def test_what_the_journal_cannot_take_is_told_and_marked() -> None:
    # A long interval and a small buffer stand for a disk that does not keep up.
    with running(buffer_bytes=1 << 20, sync_interval_ms=400) as (process, client):
        phone = Sender()
        track, port = client.open(remote=phone.remote)
        sent = 0
        while not any(event["event"] == "overflow" for event in client.events):
            for _ in range(200):
                phone.send(port, rtp(sent, payload=b"a" * 1400))
                sent += 1
            client.wait_for(track, "packets", sent)
            assert sent < 100_000
        lost = client.event("overflow")
        assert lost["track"] == track and lost["packets"] > 0
        deadline = time.monotonic() + 10
        while "callward_media_journal_buffered_bytes 0\n" not in client.ask("metrics")["text"]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        phone.send(port, rtp(sent))
        client.wait_for(track, "packets", sent + 1)
        stats = client.ask("close_track", track=track)["stats"]
        stored = process.extract(track)
        assert stats["overflow"] + len(stored.packets) == sent + 1
        assert sum(mark["packets"] for mark in stored.marks("overflow")) + len(stored.packets) == sent + 1
        assert client.ask("status")["packets_overflow"] == sent + 1 - len(stored.packets)
        phone.close()
