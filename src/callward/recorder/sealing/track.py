"""One track: its packets sorted by what they are, decoded, and laid out as samples of one channel in a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from callward.media import g711
from callward.media.codec_pipe import Decoded
from callward.media.codec_process import CodecError, CodecPool
from callward.media.codecs import (
    CODECS,
    COMFORT_NOISE,
    STATIC_TYPES,
    TELEPHONE_EVENT,
    Codec,
    clock_rate,
    codec_name,
    samples_rate,
)
from callward.media.track_file import PayloadType, TrackFile
from callward.recorder.sealing import placement, timeline
from callward.recorder.sealing.comfort_noise import comfort_noise, noise_level
from callward.recorder.sealing.gaps import Gap, find_gaps
from callward.recorder.sealing.placement import Layer
from callward.recorder.sealing.resample import resample
from callward.recorder.sealing.telephone_events import TelephoneEvent, telephone_events
from callward.recorder.sealing.timeline import Ints, Timeline

Samples = npt.NDArray[np.int16]

BATCH_PACKETS = 500
SAMPLES_MAX = 7 * 24 * 3600 * 48_000
"""A week of the highest rate: no recording is longer."""
NOISE_MS = 20


class TrackTooLongError(Exception):
    """The track's packets spread over more than a week: its times cannot be right."""


@dataclass(slots=True)
class LaidOutTrack:
    """A track as samples of one channel: `samples` (mapped from `path`) begin at `start_ns`."""

    track: str
    path: Path | None
    rate_hz: int
    start_ns: int
    """Instant of the first sample (UTC)."""
    samples: Samples
    codec: str
    """SDP names of the codecs that were heard, joined by `+`."""
    gaps: list[Gap] = field(default_factory=list)
    events: list[TelephoneEvent] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    """Codecs that nobody here can decode."""
    undecodable: int = 0
    decoder_failed: list[str] = field(default_factory=list)
    counts: dict[str, Any] = field(default_factory=dict)

    @property
    def duration_ns(self) -> int:
        return len(self.samples) * 1_000_000_000 // self.rate_hz

    @property
    def end_ns(self) -> int:
        return self.start_ns + self.duration_ns

    @property
    def keeps_raw(self) -> bool:
        """The packets themselves must be stored: some could not be decoded."""
        return bool(self.unknown or self.decoder_failed)


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a payload type of this track is."""

    announced: PayloadType
    name: str
    codec: Codec | None


def lay_out(track: TrackFile, path: Path, codecs: CodecPool) -> LaidOutTrack:
    """Decode a track into `path` (16-bit samples, silence where nothing was received).

    A decoder that crashes or hangs costs the packets of its codec, which are then kept raw. Raises TrackTooLongError, OSError.
    """
    kinds = _kinds(track)
    packets = track.packets
    payload_type = packets["payload_type"]
    audio = np.zeros(256, bool)
    noise = np.zeros(256, bool)
    for number, kind in kinds.items():
        audio[number] = kind.codec is not None
        noise[number] = kind.name == COMFORT_NOISE
    placed_rows = np.flatnonzero((audio | noise)[payload_type])
    rate = max((samples_rate(k.codec, k.announced) for k in kinds.values() if k.codec is not None), default=8000)
    found = LaidOutTrack(
        track.header.track,
        None,
        rate,
        int(packets["arrival_ns"][0]) if len(packets) else track.header.started_at_ns,
        np.zeros(0, np.int16),
        "+".join(sorted({kind.name for kind in kinds.values() if kind.codec is not None})),
        unknown=sorted(
            {k.name for k in kinds.values() if k.codec is None and k.name not in (COMFORT_NOISE, TELEPHONE_EVENT)}
        ),
    )
    _find_events(track, kinds, found)
    if not len(placed_rows):
        return found
    line = _timeline(track, placed_rows, kinds)
    decoded = _Decoder(track, kinds, rate, codecs, found, path)
    counts = decoded.counts(line)
    layers = placement.layers(line.segments, counts, rate)
    found.counts = {
        "packets": len(packets),
        "audio_packets": len(placed_rows),
        "duplicate": line.duplicates,
        "reordered": line.reordered,
        "ssrcs": line.sources[:16],
        "drift_corrected": any(segment.drift_corrected for segment in line.segments),
        "clock_corrected": any(segment.clock_corrected for segment in line.segments),
        "simultaneous_sources": len(layers) > 1,
    }
    if layers:
        _write(track, layers, decoded, noise, int(packets["arrival_ns"][placed_rows[0]]), path, found)
        found.gaps = find_gaps(track, layers[0], found.start_ns, rate)
    decoded.close()
    return found


def _kinds(track: TrackFile) -> dict[int, _Kind]:
    """The payload types that occur. What was never announced is known by RFC 3551, or unknown."""
    announced = dict(STATIC_TYPES)
    for entry in track.header.payload_types:
        if entry.codec:
            announced[entry.payload_type] = entry
    kinds = {}
    for number in np.unique(track.packets["payload_type"]).tolist():
        entry = announced.get(number) or PayloadType(payload_type=number & 127, codec=f"payload type {number}")
        name = codec_name(entry.codec)
        kinds[number] = _Kind(entry, name, CODECS.get(name))
    return kinds


def _find_events(track: TrackFile, kinds: dict[int, _Kind], found: LaidOutTrack) -> None:
    for number, kind in kinds.items():
        if kind.name == TELEPHONE_EVENT:
            rows = np.flatnonzero(track.packets["payload_type"] == number)
            found.events += telephone_events(track, rows, kind.announced.clock_hz or 8000)


def _timeline(track: TrackFile, rows: Ints, kinds: dict[int, _Kind]) -> Timeline:
    """The timeline of audio and comfort noise; its rows index the whole packet table."""
    packets = track.packets[rows] if len(rows) < len(track.packets) else track.packets
    clocks = np.full(256, 8000, np.int64)
    for number, kind in kinds.items():
        clocks[number] = clock_rate(kind.announced)
    audio_clocks = {int(clocks[n]) for n, k in kinds.items() if k.codec is not None}
    if len(audio_clocks) == 1:  # comfort noise counts by the clock of the audio that it stands for
        clocks[:] = audio_clocks.pop()
    # Copies have the same length and the same first, middle and last byte: enough to tell them from a restarted sender's packets.
    offset, length = packets["offset"].astype(np.int64), packets["length"].astype(np.int64)
    content = length.copy()
    if len(track.payload):
        edge = len(track.payload) - 1
        for position in (offset, offset + length // 2, offset + np.maximum(length - 1, 0)):
            content = content * 257 + track.payload[np.minimum(position, edge)]
    line = timeline.build(
        packets["arrival_ns"].astype(np.int64),
        packets["timestamp"],
        packets["ssrc"],
        packets["sequence"],
        clocks[packets["payload_type"]],
        content,
    )
    if len(rows) == len(track.packets):
        return line
    segments = [
        timeline.Segment(s.ssrc, rows[s.rows], s.sequence, s.starts_s, s.epoch, s.drift_corrected, s.clock_corrected)
        for s in line.segments
    ]
    return Timeline(segments, line.duplicates, line.reordered, line.sources)


class _Decoder:
    """Samples of the packets of one track, by row: from a table (G.711) or from a file of decoded samples."""

    def __init__(
        self,
        track: TrackFile,
        kinds: dict[int, _Kind],
        rate_hz: int,
        codecs: CodecPool,
        found: LaidOutTrack,
        path: Path,
    ) -> None:
        self._track, self._kinds, self._rate, self._codecs, self._found = track, kinds, rate_hz, codecs, found
        self._path = path.with_suffix(".decoded")
        self.offset = track.packets["offset"].astype(np.int64)
        """Where a row's samples begin: in the payload area, or in the decoded file."""
        self.factor = np.ones(256, np.int64)
        self.table: dict[int, Samples] = {}
        self.noise_rows: list[int] = []
        self.decoded: Samples = np.zeros(0, np.int16)

    def counts(self, line: Timeline) -> Ints:
        """Decode everything; samples of each row at the track's rate."""
        packets = self._track.packets
        counts = np.zeros(len(packets), np.int64)
        order = np.concatenate([segment.rows for segment in line.segments]) if line.segments else np.zeros(0, np.int64)
        types = packets["payload_type"][order]
        position = 0
        for number, kind in self._kinds.items():
            rows = order[types == number]
            if kind.name == COMFORT_NOISE:
                counts[rows] = self._rate * NOISE_MS // 1000
                self.noise_rows += rows.tolist()
            elif kind.codec is not None and kind.codec.decoder is None:
                self.factor[number] = self._rate // kind.codec.rate_hz
                self.table[number] = g711.TABLES[kind.name]
                counts[rows] = packets["length"][rows].astype(np.int64) * self.factor[number]
            elif kind.codec is not None and len(rows):
                position = self._decode(number, kind, rows, counts, position)
        if position:
            self.decoded = np.memmap(self._path, np.int16, "r", shape=(position,))
        return counts

    def _decode(self, number: int, kind: _Kind, rows: Ints, counts: Ints, position: int) -> int:
        """Append the samples of one payload type to the decoded file; returns its new length in samples."""
        if kind.codec is None:
            return position
        own_rate = samples_rate(kind.codec, kind.announced)
        done = 0
        try:
            with self._path.open("ab") as file, self._codecs.worker() as worker:
                batches = self._batches(rows)
                answers = worker.decode(
                    kind.name, own_rate, max(kind.announced.channels, 1), kind.announced.fmtp, batches
                )
                for answer in answers:
                    batch = rows[done : done + len(answer.results)]
                    samples, lengths = answer.samples, answer.results["samples"].astype(np.int64)
                    if own_rate != self._rate:
                        edges = np.append(0, np.cumsum(lengths)) * self._rate // own_rate
                        samples = resample(samples, own_rate, self._rate, 0, int(edges[-1]))
                        lengths = np.diff(edges)
                    file.write(samples.tobytes())
                    counts[batch] = lengths
                    self.offset[batch] = position + np.cumsum(lengths) - lengths
                    position += len(samples)
                    done += len(batch)
                    self._found.undecodable += int(np.count_nonzero(answer.results["decoded"] == Decoded.UNDECODABLE))
                    quiet = batch[answer.results["decoded"] == Decoded.COMFORT_NOISE]
                    counts[quiet] = self._rate // 100
                    self.noise_rows += quiet.tolist()
        except CodecError:
            self._found.decoder_failed.append(kind.name)
        return position

    def _batches(self, rows: Ints) -> Iterator[Sequence[bytes]]:
        packets, payload = self._track.packets, self._track.payload
        for start in range(0, len(rows), BATCH_PACKETS):
            part = packets[rows[start : start + BATCH_PACKETS]]
            yield [
                payload[offset : offset + length].tobytes()
                for offset, length in zip(part["offset"].tolist(), part["length"].tolist(), strict=True)
            ]

    def close(self) -> None:
        """Remove the file of decoded samples."""
        self.decoded = np.zeros(0, np.int16)
        self._path.unlink(missing_ok=True)


def _write(
    track: TrackFile,
    layers: list[Layer],
    decoder: _Decoder,
    noise: npt.NDArray[np.bool_],
    base_ns: int,
    path: Path,
    found: LaidOutTrack,
) -> None:
    """Write the layers into the channel's file, in runs of packets that touch each other in the source and in time."""
    first = min(int(layer.starts[0]) for layer in layers)
    total = max(int(layer.ends.max()) for layer in layers) - first
    if total > SAMPLES_MAX:
        raise TrackTooLongError(f"track {found.track} would last {total // found.rate_hz} s")
    with path.open("wb") as file:
        file.truncate(total * 2)
    samples: Samples = np.memmap(path, np.int16, "r+", shape=(total,))
    found.path, found.samples = path, samples
    found.start_ns = base_ns + first * 1_000_000_000 // found.rate_hz
    types = track.packets["payload_type"]
    quiet = np.zeros(len(track.packets), bool)
    quiet[decoder.noise_rows] = True
    for number, layer in enumerate(layers):
        rows, starts, counts = layer.rows, layer.starts - first, layer.counts
        kind, source = types[rows].astype(np.int64), decoder.offset[rows]
        factor = decoder.factor[kind]
        breaks = (
            (np.diff(starts) != counts[:-1])
            | (np.diff(source) * factor[:-1] != counts[:-1])
            | (np.diff(kind) != 0)
            | quiet[rows[1:]]
            | quiet[rows[:-1]]
        )
        lows = np.append(0, np.flatnonzero(breaks) + 1)
        highs = np.append(lows[1:], len(rows))
        added = placement.slips(layer)
        for low, high in zip(lows.tolist(), highs.tolist(), strict=True):
            start, end = int(starts[low]), int(starts[high - 1] + counts[high - 1])
            if quiet[rows[low]]:
                if number == 0:
                    _add_noise(track, int(rows[low]), start, _noise_end(layer, low, first), samples, found.rate_hz)
                continue
            audio = _run(track, decoder, int(kind[low]), int(source[low]), end - start)
            if number:
                total_ = samples[start:end].astype(np.int32) + audio
                audio = np.clip(total_, -32768, 32767).astype(np.int16)
            samples[start:end] = audio
            if added[high - 1] and len(audio):
                samples[end : end + int(added[high - 1])] = audio[-1]


def _run(track: TrackFile, decoder: _Decoder, kind: int, source: int, length: int) -> Samples:
    table = decoder.table.get(kind)
    if table is None:
        return decoder.decoded[source : source + length]
    factor = int(decoder.factor[kind])
    codes = track.payload[source : source + -(-length // factor)]
    audio = table[codes]
    return audio if factor == 1 else resample(audio, 8000, 8000 * factor, 0, length)


def _noise_end(layer: Layer, index: int, first: int) -> int:
    """Comfort noise lasts until the sender's next packet, if nothing was lost between."""
    end = int(layer.starts[index] + layer.counts[index])
    following = index + 1
    if (
        following < len(layer.rows)
        and layer.epoch[index] == layer.epoch[following]
        and layer.sequence[following] == layer.sequence[index] + 1
    ):
        end = int(layer.starts[following])
    return end - first


def _add_noise(track: TrackFile, row: int, start: int, end: int, samples: Samples, rate_hz: int) -> None:
    offset, length = int(track.packets["offset"][row]), int(track.packets["length"][row])
    level = noise_level(track.payload[offset : offset + length].tobytes())
    for low in range(start, end, rate_hz * 60):
        high = min(end, low + rate_hz * 60)
        samples[low:high] = comfort_noise(high - low, level, seed=row)
