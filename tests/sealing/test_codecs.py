"""Every codec from RTP payloads to samples, by the codec worker; hostile payloads; crashes and hangs of a worker."""

from __future__ import annotations

import sys
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callward.media import amr_payload, g711
from callward.media.amr_payload import NARROW_BITS, WIDE_BITS, AmrFormat
from callward.media.codec_process import CodecError, CodecPool, CodecProcess
from callward.media.track_file import read_track
from callward.recorder.sealing.resample import resample
from callward.recorder.sealing.track import LaidOutTrack, lay_out
from tests.sealing.track_writer import Packet, TrackBuilder, announced, level, tone


def encode(codec: str, rate: int, samples: np.ndarray, **attributes: object) -> list[bytes]:
    """Packets of FFmpeg's encoder; mono."""
    context = av.CodecContext.create(codec, "w")
    context.sample_rate, context.layout = rate, "mono"
    for name, value in attributes.items():
        setattr(context, name, value)
    context.format = context.codec.audio_formats[0].name
    context.open()
    size = context.frame_size or rate // 50
    resampler = av.AudioResampler(format=context.format, layout="mono", rate=rate, frame_size=size)
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = rate
    packets = []
    for piece in [*resampler.resample(frame), *resampler.resample(None)]:
        packets += context.encode(piece)
    return [bytes(packet) for packet in [*packets, *context.encode(None)]]


def received(
    folder: Path,
    codecs: CodecPool,
    payloads: list[bytes],
    codec: str,
    clock: int,
    *,
    step: int | None = None,
    channels: int = 1,
    fmtp: str = "",
) -> LaidOutTrack:
    step = step or clock // 50
    packets = [Packet((i + 1) * step * 1000 / clock, i, i * step, payload, 96) for i, payload in enumerate(payloads)]
    types = [announced(96, codec, clock, channels, fmtp)]
    track = TrackBuilder("01KT0000000000000000000001", payload_types=types, packets=packets)
    return lay_out(read_track(track.write(folder / "track")), folder / "pcm", codecs)


def heard(found: LaidOutTrack, hz: float) -> float:
    return level(found.samples[found.rate_hz // 4 :], hz, found.rate_hz)


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_g711_tables_are_those_of_ffmpeg(codec: str) -> None:
    context = av.CodecContext.create("pcm_mulaw" if codec == "PCMU" else "pcm_alaw", "r")
    context.sample_rate, context.layout = 8000, "mono"
    reference = context.decode(av.Packet(bytes(range(256))))[0].to_ndarray().reshape(-1)
    assert np.array_equal(g711.TABLES[codec], reference)
    back = g711.TABLES[codec][g711.encode(reference, codec)]
    assert np.array_equal(back, reference)


def test_g722_counts_by_8_khz_and_plays_at_16(tmp_path: Path, codecs: CodecPool) -> None:
    data = b"".join(encode("g722", 16000, tone(3000, 2, 16000)))
    found = received(tmp_path, codecs, [data[i : i + 160] for i in range(0, 16000, 160)], "G722", 8000)
    assert found.rate_hz == 16000 and len(found.samples) == 32_000 and heard(found, 3000) > -16


def test_opus_at_48_khz(tmp_path: Path, codecs: CodecPool) -> None:
    packets = encode("libopus", 48000, tone(1000, 2, 48000))
    found = received(tmp_path, codecs, packets[:100], "opus", 48000, channels=2)
    assert found.rate_hz == 48000 and len(found.samples) == 96_000 and heard(found, 1000) > -16


def test_l16_at_44100_hz_stereo_becomes_mono(tmp_path: Path, codecs: CodecPool) -> None:
    wide = np.repeat(tone(1000, 1, 44100), 2).astype(">i2").tobytes()
    found = received(
        tmp_path, codecs, [wide[i : i + 1764] for i in range(0, len(wide), 1764)], "L16", 44100, step=441, channels=2
    )
    assert found.rate_hz == 44100 and len(found.samples) == 44_100 and heard(found, 1000) > -16
    raised = resample(found.samples, 44100, 48000)
    assert abs(len(raised) - 48_000) <= 1 and level(raised[4800:], 1000, 48000) > -16


def test_g726_32(tmp_path: Path, codecs: CodecPool) -> None:
    data = b"".join(encode("g726le", 8000, tone(440, 2), options={"code_size": "4"}))
    found = received(tmp_path, codecs, [data[i : i + 80] for i in range(0, 8000, 80)], "G726-32", 8000)
    assert len(found.samples) == 16_000 and heard(found, 440) > -17


def test_g729_with_a_sid_frame_of_two_bytes(tmp_path: Path, codecs: CodecPool) -> None:
    speech = [bytes(range(i, i + 20)) for i in range(40)]
    found = received(tmp_path, codecs, [*speech, b"\x12" * 12, b"\x12\x10", *speech], "G729", 8000)
    assert found.undecodable == 0 and not found.decoder_failed
    assert len(found.samples) == 82 * 160
    assert found.samples[41 * 160 + 40 : 42 * 160].any()


def pack(frames: list[bytes], bits: tuple[int, ...], *, aligned: bool) -> bytes:
    """An RTP payload of storage frames (RFC 4867 4.3, 4.4): the other direction of what is tested."""
    if aligned:
        entries = bytes(frame[0] | (0x80 if i < len(frames) - 1 else 0) for i, frame in enumerate(frames))
        return b"\xf0" + entries + b"".join(frame[1:] for frame in frames)
    text = "1111"
    for index, frame in enumerate(frames):
        text += f"{int(index < len(frames) - 1)}{frame[0] >> 3 & 15:04b}{frame[0] >> 2 & 1}"
    for frame in frames:
        kind = frame[0] >> 3 & 15
        size = bits[kind] if kind < len(bits) else 0
        text += "".join(f"{byte:08b}" for byte in frame[1:])[:size]
    text += "0" * (-len(text) % 8)
    return bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("wide", [True, False])
@settings(max_examples=60)
@given(data=st.data())
def test_rfc_4867_payloads_come_apart_as_they_were_packed(data: st.DataObject, wide: bool, aligned: bool) -> None:
    bits = WIDE_BITS if wide else NARROW_BITS
    frames = []
    for kind in data.draw(st.lists(st.sampled_from([*range(len(bits)), 15]), min_size=1, max_size=6)):
        size = bits[kind] if kind < len(bits) else 0
        value = data.draw(st.integers(0, (1 << size) - 1)) if size else 0
        octets = (size + 7) // 8
        frames.append(bytes([kind << 3 | 4]) + (value << (octets * 8 - size)).to_bytes(octets, "big"))
    layout = AmrFormat(wide, octet_aligned=aligned)
    assert amr_payload.unpack(pack(frames, bits, aligned=aligned), layout) == frames


@given(st.binary(max_size=80), st.booleans(), st.booleans(), st.booleans())
def test_rfc_4867_garbage_is_refused_or_bounded(payload: bytes, wide: bool, aligned: bool, crc: bool) -> None:
    frames = amr_payload.unpack(payload, AmrFormat(wide, aligned or crc, crc))
    assert frames is None or len(frames) <= 64


@pytest.mark.parametrize("aligned", [True, False])
def test_amr_narrow_band(tmp_path: Path, codecs: CodecPool, aligned: bool) -> None:
    frames = encode("libopencore_amrnb", 8000, tone(440, 2), bit_rate=12200)[:100]
    frames[50] = b"\x7c"  # NO_DATA, as a sender with DTX has it
    payloads = [pack([frame], NARROW_BITS, aligned=aligned) for frame in frames]
    fmtp = "octet-align=1" if aligned else ""
    found = received(tmp_path, codecs, payloads, "AMR", 8000, fmtp=fmtp)
    assert len(found.samples) == 16_000 and not found.undecodable and heard(found, 440) > -20


def test_amr_wide_band_frames_decode_to_16_khz(tmp_path: Path, codecs: CodecPool) -> None:
    frame = bytes([2 << 3 | 4]) + bytes(range(32))
    sid = bytes([9 << 3 | 4]) + bytes(5)
    payloads = [pack([frame, frame], WIDE_BITS, aligned=False)] * 20 + [pack([sid], WIDE_BITS, aligned=False)]
    found = received(tmp_path, codecs, payloads, "AMR-WB", 16000, step=640)
    assert found.rate_hz == 16000 and len(found.samples) == 41 * 320 and not found.undecodable


@pytest.mark.parametrize(("codec", "clock", "size"), [("GSM", 8000, 33), ("iLBC", 8000, 38), ("iLBC", 8000, 50)])
def test_frame_codecs_have_the_right_length(
    tmp_path: Path, codecs: CodecPool, codec: str, clock: int, size: int
) -> None:
    step = 240 if size == 50 else 160
    first = b"\xd2" if codec == "GSM" else b"\x21"
    payloads = [first + bytes((i * 7 + j) % 251 for j in range(size - 1)) for i in range(20)]
    fmtp = "mode=20" if size == 38 else ""
    found = received(tmp_path, codecs, payloads, codec, clock, step=step, fmtp=fmtp)
    assert len(found.samples) == 20 * step and not found.decoder_failed


def test_an_undecodable_packet_costs_itself_only(tmp_path: Path, codecs: CodecPool) -> None:
    packets = encode("libopus", 48000, tone(1000, 2, 48000))[:100]
    packets[30] = b"\xff"
    found = received(tmp_path, codecs, packets, "opus", 48000)
    assert found.undecodable == 1 and len(found.samples) == 96_000 and heard(found, 1000) > -17


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["G722", "G729", "OPUS", "AMR", "AMR-WB", "GSM", "ILBC", "SPEEX", "G726-32", "L16"]),
    st.lists(st.binary(max_size=300), max_size=20),
)
def test_hostile_payloads_never_cost_more_than_the_job(codecs: CodecPool, codec: str, payloads: list[bytes]) -> None:
    with codecs.worker() as worker:
        try:
            answers = list(worker.decode(codec, 16000, 1, "", [payloads]))
        except CodecError:
            return
        assert len(answers[0].results) == len(payloads)


def test_a_worker_that_crashes_is_replaced(codecs: CodecPool) -> None:
    worker = CodecProcess([sys.executable, "-c", "import os; os.read(0, 9); os._exit(3)"])
    with pytest.raises(CodecError, match="crash"):
        list(worker.decode("OPUS", 48000, 1, "", [[b"x"]]))
    assert worker.pid is None


def test_a_worker_that_hangs_is_killed() -> None:
    worker = CodecProcess([sys.executable, "-c", "import time; time.sleep(60)"], answer_timeout_s=0.3)
    with pytest.raises(CodecError, match="hang"):
        list(worker.decode("OPUS", 48000, 1, "", [[b"x"]]))
    assert worker.pid is None


def test_a_worker_may_not_open_files() -> None:
    worker = CodecProcess([
        sys.executable, "-c",
        "from callward.media import codec_worker as w\n"
        "w._rehearse(); w.confine()\n"
        "try: open('/etc/passwd')\n"
        "except OSError: raise SystemExit(0)\n"
        "import time; time.sleep(60)",
    ], answer_timeout_s=20)  # fmt: skip
    with pytest.raises(CodecError, match="crash"):
        list(worker.decode("OPUS", 48000, 1, "", [[b"x"]]))
