"""Odd but legal descriptions: what the media process could not take is put right, and the stream is recorded."""

from __future__ import annotations

from callward.media.protocol import TrackSettings
from callward.recorder import negotiation
from callward.recorder.actions import MediaLine
from callward.records.events import RecordingEnded
from callward.sip.sdp import SessionDescription
from tests.recorder.recorded_dialog import World


def read(formats: str, *lines: str, address: str = "IP4 192.0.2.10") -> MediaLine:
    text = f"v=0\r\no=s 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN {address}\r\nt=0 0\r\nm=audio 40000 RTP/AVP {formats}\r\n"
    description = negotiation.parse((text + "".join(f"a={line}\r\n" for line in lines)).encode())
    assert isinstance(description, SessionDescription)
    [line] = negotiation.read_lines(description, "192.0.2.10")
    return line


def types(settings: TrackSettings) -> list[int]:
    return [item.payload_type for item in settings.payload_types]


def test_of_too_many_payload_types_the_named_ones_and_dtmf_are_told() -> None:
    line = read(
        " ".join(map(str, range(128))),
        *[f"rtpmap:{number} x{number}/8000" for number in range(60, 127)],
        "rtpmap:127 telephone-event/8000",
    )
    assert len(line.settings.payload_types) == 64
    assert 127 in types(line.settings)
    assert "128 payload types" in line.problem
    few = read("8 101", "rtpmap:8 PCMA/8000", "rtpmap:101 telephone-event/8000")
    assert (types(few.settings), few.problem) == ([8, 101], "")


def test_a_clock_out_of_range_is_taken_as_8000() -> None:
    line = read("96 97", "rtpmap:96 x/1000001", "rtpmap:97 y/48000")
    assert [item.clock_hz for item in line.settings.payload_types] == [8000, 48000]
    assert "payload type 96" in line.problem


def test_names_and_parameters_are_cut_by_octets() -> None:
    line = read("96", "rtpmap:96 " + "ü" * 64 + "/8000", "fmtp:96 " + "ü" * 900)
    [item] = line.settings.payload_types
    assert len(item.codec.encode()) <= 64
    assert len(item.fmtp.encode()) <= 1024
    assert line.problem


def test_the_zone_of_an_ipv6_address_stays_with_the_client() -> None:
    remote = read("8", address="IP6 fe80::1%eth0").settings.remote
    assert remote is not None
    assert remote.rtp == "[fe80::1]:40000"


def test_what_was_put_right_is_flagged_on_the_recording() -> None:
    world = World()
    text = "v=0\r\no=s 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n"
    world.offer("INVITE", text + "m=audio 40000 RTP/AVP 96\r\na=rtpmap:96 x/2000000\r\na=label:1\r\na=sendonly\r\n")
    world.bye()
    [ended] = world.of(RecordingEnded)
    assert len(ended.tracks) == 1
    assert "odd_signalling" in {problem.code for problem in ended.problems}
