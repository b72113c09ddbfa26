"""Timeline of a track: faults 12 and 13, clocks, gaps, pauses. The sender is simulated, the result compared sample by sample."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callward.media import g711
from callward.media.codec_process import CodecPool
from callward.media.track_file import read_track
from callward.recorder.sealing.track import LaidOutTrack, lay_out
from tests.sealing.track_writer import BASE_NS, Packet, TrackBuilder, announced, g711_packets, level, tone

MS = 8
"""Samples in a millisecond."""


def laid_out(folder: Path, codecs: CodecPool, packets: list[Packet], **builder: object) -> LaidOutTrack:
    track = TrackBuilder("01KT0000000000000000000001", packets=packets, **builder)  # type: ignore[arg-type]
    return lay_out(read_track(track.write(folder / "track")), folder / "pcm", codecs)


def speech(seconds: float, seed: int = 1) -> np.ndarray:
    """Noise: no two packets are equal."""
    noise = np.random.default_rng(seed).integers(-8000, 8000, round(seconds * 8000))
    return g711.A_LAW[g711.encode(noise.astype(np.int16), "PCMA")]


def test_a_clean_stream_over_both_wraps_is_the_same_samples(tmp_path: Path, codecs: CodecPool) -> None:
    sent = speech(5)
    found = laid_out(tmp_path, codecs, g711_packets(sent))
    assert np.array_equal(found.samples, sent)
    assert found.start_ns == BASE_NS + 20_000_000 and not found.gaps


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 30), loss=st.floats(0, 0.3), jitter_ms=st.floats(0, 200), copies=st.floats(0, 0.3))
def test_fault_12_loss_reorder_duplicates_jitter_equal_the_reference_outside_lost_packets(
    tmp_path: Path, codecs: CodecPool, seed: int, loss: float, jitter_ms: float, copies: float
) -> None:
    chance = random.Random(seed)
    sent = speech(8, seed)
    packets = g711_packets(sent)
    kept, reference, lost = [], np.zeros(len(sent), np.int16), 0
    for index, packet in enumerate(packets):
        if 0 < index < len(packets) - 1 and chance.random() < loss:
            lost += 1
            continue
        delay = chance.random() * jitter_ms if index else 0.0
        kept.append(replace(packet, at_ms=packet.at_ms + delay))
        if chance.random() < copies:
            kept.append(replace(packet, at_ms=packet.at_ms + delay + chance.random() * jitter_ms))
        reference[index * 160 : index * 160 + 160] = sent[index * 160 : index * 160 + 160]
    found = laid_out(tmp_path, codecs, kept)
    assert np.array_equal(found.samples, reference)
    assert sum(gap.packets for gap in found.gaps) == lost
    assert sum(gap.length_ms for gap in found.gaps) == lost * 20
    assert found.counts["duplicate"] == len(kept) - (len(packets) - lost)


def test_fault_13_ssrc_change_continues_in_the_same_track(tmp_path: Path, codecs: CodecPool) -> None:
    sent = speech(4)
    packets = g711_packets(sent[:16000], ssrc=1) + g711_packets(
        sent[16000:], ssrc=2, start_ms=2000, sequence=7, timestamp=99
    )
    found = laid_out(tmp_path, codecs, packets)
    assert np.array_equal(found.samples, sent) and found.counts["ssrcs"] == [1, 2]


@pytest.mark.parametrize(("sequence", "timestamp"), [(0, 0), (40_000, 5_000_000), (65_500, (1 << 32) - 4000)])
def test_fault_13_restart_of_a_sender_with_the_same_ssrc_loses_nothing(
    tmp_path: Path, codecs: CodecPool, sequence: int, timestamp: int
) -> None:
    sent = speech(4)
    packets = g711_packets(sent[:16000]) + g711_packets(
        sent[16000:], start_ms=2000, sequence=sequence, timestamp=timestamp
    )
    found = laid_out(tmp_path, codecs, packets)
    assert np.array_equal(found.samples, sent)
    assert not [gap for gap in found.gaps if gap.packets]


@pytest.mark.parametrize("jump", [8000 * 3600, -8000 * 3600, 1 << 31, 40_000])
def test_fault_13_timestamp_jump_keeps_the_place_by_arrival(tmp_path: Path, codecs: CodecPool, jump: int) -> None:
    sent = speech(4)
    packets = g711_packets(sent)
    packets = packets[:100] + [replace(p, timestamp=p.timestamp + jump) for p in packets[100:]]
    assert np.array_equal(laid_out(tmp_path, codecs, packets).samples, sent)


def test_fault_13_codec_change_goes_on_in_the_same_track(tmp_path: Path, codecs: CodecPool) -> None:
    sent = tone(440, 4)
    packets = g711_packets(sent[:16000], sequence=0, timestamp=0) + g711_packets(
        sent[16000:], codec="PCMU", start_ms=2000, sequence=100, timestamp=16000
    )
    found = laid_out(tmp_path, codecs, packets, payload_types=[announced(8, "PCMA"), announced(0, "PCMU")])
    assert len(found.samples) == len(sent) and found.codec == "PCMA+PCMU"
    assert np.abs(found.samples.astype(int) - sent).max() < 300


def test_a_sender_that_stops_its_clock_on_hold_keeps_the_true_length(tmp_path: Path, codecs: CodecPool) -> None:
    sent = speech(6)
    packets = g711_packets(sent, sequence=0, timestamp=0)
    held = packets[:150] + [replace(p, at_ms=p.at_ms + 4000) for p in packets[150:]]
    found = laid_out(tmp_path, codecs, held)
    assert len(found.samples) == len(sent) + 32_000
    assert np.array_equal(found.samples[56_000:], sent[24_000:])
    assert not found.samples[24_000:56_000].any() and not found.gaps


def test_silence_suppression_is_silence_of_true_length_and_no_gap(tmp_path: Path, codecs: CodecPool) -> None:
    sent = speech(6)
    packets = g711_packets(sent, sequence=0, timestamp=0)
    quiet = packets[:100] + [replace(p, sequence=p.sequence - 100) for p in packets[200:]]
    found = laid_out(tmp_path, codecs, quiet)
    sent[16_000:32_000] = 0
    assert np.array_equal(found.samples, sent) and not found.gaps


def test_s23_pause_is_silence_of_true_length(tmp_path: Path, codecs: CodecPool) -> None:
    packets = g711_packets(speech(6), sequence=0, timestamp=0)
    marks = [{"at_ns": BASE_NS + 2_000_000_000, "kind": "pause"}, {"at_ns": BASE_NS + 4_000_000_000, "kind": "resume"}]
    found = laid_out(tmp_path, codecs, packets[:100] + packets[200:], marks=marks)
    assert len(found.samples) == 48_000
    assert [(gap.why, gap.length_ms, gap.is_fault) for gap in found.gaps] == [("paused", 2000, False)]


@pytest.mark.parametrize("kind", ["restart", "overflow"])
def test_fault_1_a_gap_of_our_own_making_says_so(tmp_path: Path, codecs: CodecPool, kind: str) -> None:
    packets = g711_packets(speech(4), sequence=0, timestamp=0)
    marks = [{"at_ns": BASE_NS + 2_010_000_000, "kind": kind}]
    found = laid_out(tmp_path, codecs, packets[:100] + packets[103:], marks=marks)
    assert [(gap.why, gap.length_ms, gap.packets) for gap in found.gaps] == [(kind, 60, 3)]


@pytest.mark.parametrize("ppm", [-200, 200])
def test_a_drifting_sender_stays_aligned_for_ten_minutes(tmp_path: Path, codecs: CodecPool, ppm: int) -> None:
    chance = random.Random(ppm)
    packets = g711_packets(np.tile(speech(10), 60), sequence=0, timestamp=0)
    late = [replace(p, at_ms=p.at_ms * (1 + ppm / 1e6) + chance.random() * 30) for p in packets]
    found = laid_out(tmp_path, codecs, late)
    assert abs(len(found.samples) / 8 - 600_000 * (1 + ppm / 1e6)) < 20
    assert found.counts["drift_corrected"] and not found.gaps


def test_a_wrong_clock_rate_in_the_sdp_is_found_out(tmp_path: Path, codecs: CodecPool) -> None:
    packets = [replace(p, timestamp=2 * (i * 160)) for i, p in enumerate(g711_packets(speech(20), sequence=0))]
    types = [announced(8, "PCMA", 8000)]
    found = laid_out(tmp_path, codecs, packets, payload_types=types)
    assert len(found.samples) == 160_000 and found.counts["clock_corrected"]


def test_two_senders_at_the_same_time_are_added_up(tmp_path: Path, codecs: CodecPool) -> None:
    packets = g711_packets(tone(440, 3), ssrc=1) + g711_packets(tone(1000, 3), ssrc=2, sequence=1, timestamp=1)
    found = laid_out(tmp_path, codecs, packets)
    assert found.counts["simultaneous_sources"]
    assert level(found.samples, 440, 8000) > -16 and level(found.samples, 1000, 8000) > -16


def test_s39_telephone_events_are_listed_apart_from_the_audio(tmp_path: Path, codecs: CodecPool) -> None:
    packets = g711_packets(speech(2), sequence=0, timestamp=0)
    events = [
        Packet(
            1000 + 20 * i, 50 + i, 8000, bytes([5, 10 | (i == 4) << 7, (i + 1) * 160 >> 8, (i + 1) * 160 & 255]), 101
        )
        for i in range(5)
    ]
    types = [announced(8, "PCMA"), announced(101, "telephone-event")]
    found = laid_out(tmp_path, codecs, packets[:50] + events + packets[55:], payload_types=types)
    assert [(event.digit, event.at_ms, event.length_ms) for event in found.events] == [("5", 980, 100)]
    assert len(found.samples) == 16_000 and not found.gaps


def test_comfort_noise_is_quiet_and_lasts_until_the_next_packet(tmp_path: Path, codecs: CodecPool) -> None:
    packets = g711_packets(speech(4), sequence=0, timestamp=0)
    noise = Packet(2020, 100, 16_000, b"\x28", 13)
    later = [replace(p, sequence=p.sequence - 49) for p in packets[150:]]
    found = laid_out(tmp_path, codecs, [*packets[:100], noise, *later])
    quiet = found.samples[16_000:24_000]
    assert quiet.any() and np.abs(quiet).max() < 400 and len(found.samples) == 32_000 and not found.gaps


def test_an_unannounced_payload_type_keeps_the_packets_and_says_so(tmp_path: Path, codecs: CodecPool) -> None:
    packets = [replace(p, payload_type=97) for p in g711_packets(speech(1))]
    found = laid_out(tmp_path, codecs, packets, payload_types=[announced(97, "EVS", 16000)])
    assert found.unknown == ["EVS"] and found.keeps_raw and not len(found.samples)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.builds(
            Packet,
            at_ms=st.floats(0, 20_000),
            sequence=st.integers(0, 65535),
            timestamp=st.integers(0, (1 << 32) - 1),
            payload=st.binary(max_size=200),
            payload_type=st.sampled_from([0, 8, 13, 101, 97]),
            ssrc=st.integers(0, 3),
        ),
        max_size=60,
    )
)
def test_hostile_packets_never_break_it_and_never_make_it_long(
    tmp_path: Path, codecs: CodecPool, packets: list[Packet]
) -> None:
    found = laid_out(tmp_path, codecs, packets, payload_types=[announced(101, "telephone-event")])
    assert len(found.samples) <= 8000 * 60
