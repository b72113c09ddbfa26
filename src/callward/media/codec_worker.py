"""The codec worker: the only process that runs the FFmpeg libraries on bytes from strangers.

    python -m callward.media.codec_worker

It reads jobs from stdin and answers on stdout (`codec_pipe`). After its imports it may open no file, write no file and use bounded
memory; each job has a bounded processor time. A crash or a hang costs the job, never the process that asked.
"""

from __future__ import annotations

import contextlib
import ctypes
import fractions
import io
import json
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import av
import av.error
import numpy as np
import numpy.typing as npt

from callward.media import amr_payload, codec_pipe
from callward.media.codec_pipe import Decoded, Kind
from callward.media.codecs import CODECS, parameters

MEMORY_BYTES = 3 << 30
"""Address space, not use: the libraries alone map half a gigabyte."""
PACKET_SAMPLES_MAX = 48_000
"""More than a second out of one packet is no telephone audio."""


class JobError(Exception):
    """The job cannot be done; the message goes to the parent."""


class Worker:
    """Jobs from one pipe, one after the other."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source = source
        self._sink = sink

    def run(self) -> None:
        """Work until the parent closes the pipe."""
        jobs: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "decode": self._decode,
            "encode": self._encode,
            "transcode": self._transcode,
        }
        with contextlib.suppress(codec_pipe.PipeClosedError):
            while True:
                kind, payload = codec_pipe.receive(self._source)
                if kind is not Kind.JOB:
                    continue  # what was under way when the last job failed
                job = json.loads(payload)
                _allow_processor_time(float(job.get("cpu_s", 600)))
                try:
                    result = jobs[job["op"]](job)
                except (JobError, av.error.FFmpegError, ValueError, OSError, MemoryError) as error:
                    codec_pipe.send(self._sink, Kind.FAILED, f"{type(error).__name__}: {error}".encode()[:500])
                else:
                    codec_pipe.send(self._sink, Kind.DONE, json.dumps(result).encode())

    def _messages(self, wanted: Kind) -> Iterator[bytes]:
        while True:
            kind, payload = codec_pipe.receive(self._source)
            if kind is Kind.END:
                return
            if kind is not wanted:
                raise JobError(f"a message of kind {kind} has no place here")
            yield payload

    def _decode(self, job: dict[str, Any]) -> dict[str, Any]:
        decoder = PacketDecoder(job["codec"], job["rate_hz"], job["channels"], job["fmtp"])
        for message in self._messages(Kind.PACKETS):
            (count,) = struct.unpack_from("<I", message)
            lengths = np.frombuffer(message, "<u2", count, 4)
            results = np.zeros(count, codec_pipe.RESULT)
            audio: list[npt.NDArray[np.int16]] = []
            position = 4 + 2 * count
            for index, length in enumerate(lengths.tolist()):
                decoded, samples = decoder.decode(message[position : position + length])
                position += length
                results[index] = (len(samples), decoded)
                if len(samples):
                    audio.append(samples)
            pcm = np.concatenate(audio).tobytes() if audio else b""
            codec_pipe.send(self._sink, Kind.PCM, struct.pack("<I", count) + results.tobytes() + pcm)
        return {}

    def _encode(self, job: dict[str, Any]) -> dict[str, Any]:
        output = _Output(self._sink)
        channels, rate = int(job["channels"]), int(job["rate_hz"])
        layout = _layout(channels)
        position = 0
        with av.open(output, "w", format=job["container"], options={"fflags": "+bitexact"}) as container:
            stream = container.add_stream(job["codec"], rate=rate, options=job["options"])
            stream.codec_context.layout = layout
            stream.codec_context.format = "s16"
            if job.get("bit_rate"):
                stream.codec_context.bit_rate = int(job["bit_rate"])
            for message in self._messages(Kind.PCM):
                samples = np.frombuffer(message, np.int16).reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
                frame.sample_rate, frame.pts, frame.time_base = rate, position, fractions.Fraction(1, rate)
                position += samples.shape[1] // channels
                container.mux(stream.encode(frame))
                codec_pipe.send(self._sink, Kind.MORE)
            container.mux(stream.encode(None))
        output.flush()
        return {"size_bytes": output.size, "samples": position}

    def _transcode(self, job: dict[str, Any]) -> dict[str, Any]:
        source = _Input(self._source, self._sink, int(job["input_bytes"]))
        rate, channels = int(job["rate_hz"]), int(job["channels"])
        output = _Stream(self._source, self._sink)
        with contextlib.ExitStack() as stack:
            container = stack.enter_context(av.open(source, "r", format=job["input_format"]))
            audio = container.streams.audio[0]
            write, finish = _sink_for(job, output, rate, channels, stack)
            skip = int(job["offset_ms"]) * rate // 1000
            left = int(job["samples"])
            resampler: av.AudioResampler | None = None
            for frame in container.decode(audio):
                if resampler is None:
                    resampler = av.AudioResampler(format="s16p", layout=frame.layout, rate=rate)
                for piece in resampler.resample(frame):
                    skip, left = _pass_on(piece, skip, left, channels, write)
                if left <= 0:
                    break
            if resampler is not None and left > 0:
                for piece in resampler.resample(None):
                    skip, left = _pass_on(piece, skip, left, channels, write)
            while left > 0:  # the file's last frame may be a sample short after resampling: the length is a promise
                silence = np.zeros((channels, min(left, rate)), np.int16)
                write(silence)
                left -= silence.shape[1]
            finish()
        return {}


class PacketDecoder:
    """Decodes the payloads of one codec, in order, to mono 16-bit samples."""

    def __init__(self, name: str, rate_hz: int, channels: int, fmtp: str) -> None:
        codec = CODECS.get(name)
        if codec is None or codec.decoder is None:
            raise JobError(f"there is no decoder for {name}")
        self._name, self._codec, self._rate = name, codec, rate_hz
        self._parameters = parameters(fmtp)
        self._channels = channels if name in ("L16", "OPUS") else 1
        self._amr = amr_payload.AmrFormat.of(wide=name == "AMR-WB", parameters=self._parameters, channels=channels)
        self._context = self._open()

    def _open(self) -> Any:
        context: Any = av.CodecContext.create(self._codec.decoder or "", "r")
        if self._name.startswith("G726"):
            context.options = {"bits_per_coded_sample": str(int(self._name[5:]) // 8)}
        if self._name == "ILBC":
            # The decoder takes the frame length from the bit rate: 20 ms frames have 15,200, 30 ms ones 13,330 bit/s.
            context.bit_rate = 15_200 if self._frame_bytes(b"") == 38 else 13_330
        context.sample_rate = self._rate
        context.layout = _layout(self._channels)
        return context

    def decode(self, payload: bytes) -> tuple[Decoded, npt.NDArray[np.int16]]:
        """Samples of one RTP payload. A payload that the decoder refuses gives none, and a fresh decoder."""
        frames = self._frames(payload)
        if frames is None:
            return Decoded.UNDECODABLE, _NOTHING
        if not frames:
            return Decoded.COMFORT_NOISE, _NOTHING
        pieces: list[npt.NDArray[np.int16]] = []
        try:
            for frame in frames:
                pieces += [_mono(piece) for piece in self._context.decode(av.Packet(frame))]
        except av.error.FFmpegError:
            self._context = self._open()
            return Decoded.UNDECODABLE, _NOTHING
        if not pieces:
            return Decoded.AUDIO, _NOTHING
        samples = np.concatenate(pieces)
        return (Decoded.AUDIO, samples) if len(samples) <= PACKET_SAMPLES_MAX else (Decoded.UNDECODABLE, _NOTHING)

    def _frame_bytes(self, payload: bytes) -> int:
        """Length of a frame; 0: the payload is one unit."""
        if self._name != "ILBC":
            return self._codec.frame_bytes
        return 38 if self._parameters.get("mode") == "20" or len(payload) % 50 else 50

    def _frames(self, payload: bytes) -> list[bytes] | None:
        """The decoder's frames in a payload; None: malformed, empty: comfort noise only."""
        if not payload:
            return None
        if self._name in ("AMR", "AMR-WB"):
            return amr_payload.unpack(payload, self._amr)
        if self._name == "G729":
            # RFC 3551 4.5.6: frames of 10 bytes, at the end perhaps a SID frame of 2 (Annex B).
            whole = len(payload) // 10 * 10
            if len(payload) - whole not in (0, 2):
                return None
            return [payload[i : i + 10] for i in range(0, whole, 10)]
        size = self._frame_bytes(payload)
        if not size:
            return [payload]
        if len(payload) % size:
            return None
        return [payload[i : i + size] for i in range(0, len(payload), size)]


_NOTHING: npt.NDArray[np.int16] = np.zeros(0, np.int16)


def _layout(channels: int) -> str:
    return {1: "mono", 2: "stereo"}.get(channels, f"{channels} channels")


def _planes(frame: av.AudioFrame) -> npt.NDArray[np.int16]:
    """Samples as int16, one row a channel."""
    samples: Any = frame.to_ndarray()
    channels = frame.layout.nb_channels
    if not frame.format.is_planar:
        samples = samples.reshape(-1, channels).T
    if samples.dtype == np.int16:
        return _as_samples(samples)
    if samples.dtype.kind == "f":
        return _as_samples(np.clip(np.rint(samples * 32768.0), -32768, 32767))
    if samples.dtype == np.int32:
        return _as_samples(samples >> 16)
    raise JobError(f"samples of type {samples.dtype} are not expected")


def _as_samples(values: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
    return values.astype(np.int16, copy=False)


def _mono(frame: av.AudioFrame) -> npt.NDArray[np.int16]:
    planes = _planes(frame)
    return planes[0] if len(planes) == 1 else _as_samples(planes.astype(np.int32).mean(axis=0))


def _pass_on(
    frame: av.AudioFrame, skip: int, left: int, channels: int, write: Callable[[npt.NDArray[np.int16]], None]
) -> tuple[int, int]:
    """Write the part of a frame that is wanted; returns what is still to be skipped and to be written."""
    planes = _planes(frame)
    taken = planes[:, min(skip, planes.shape[1]) :][:, : max(left, 0)]
    skip -= min(skip, planes.shape[1])
    if taken.shape[1]:
        write(_fold(taken, channels))
    return skip, left - taken.shape[1]


def _fold(planes: npt.NDArray[np.int16], channels: int) -> npt.NDArray[np.int16]:
    """Fewer channels: the first stays, the others are added up into the last (nobody is lost)."""
    if planes.shape[0] <= channels:
        return planes
    wide = planes.astype(np.int32)
    if channels == 1:
        folded = wide.sum(axis=0, keepdims=True)
    else:
        folded = np.concatenate([wide[: channels - 1], wide[channels - 1 :].sum(axis=0, keepdims=True)])
    return _as_samples(np.clip(folded, -32768, 32767))


def _sink_for(
    job: dict[str, Any], output: _Stream, rate: int, channels: int, stack: contextlib.ExitStack
) -> tuple[Callable[[npt.NDArray[np.int16]], None], Callable[[], None]]:
    """Where samples go: raw PCM, or an encoder with its container."""
    if job["container"] == "pcm":

        def write_raw(planes: npt.NDArray[np.int16]) -> None:
            output.write(np.ascontiguousarray(planes.T).tobytes())

        return write_raw, output.flush
    container = stack.enter_context(av.open(output, "w", format=job["container"], options=job["container_options"]))
    stream = container.add_stream(job["codec"], rate=rate, options=job["options"])
    layout = _layout(channels)
    stream.codec_context.layout = layout
    if job.get("bit_rate"):
        stream.codec_context.bit_rate = int(job["bit_rate"])
    position = 0

    def write(planes: npt.NDArray[np.int16]) -> None:
        nonlocal position
        packed = np.ascontiguousarray(planes.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, position, fractions.Fraction(1, rate)
        position += planes.shape[1]
        container.mux(stream.encode(frame))

    def finish() -> None:
        container.mux(stream.encode(None))
        container.close()
        output.flush()

    return write, finish


class _Output:
    """A file that the parent writes: the muxer may seek back in it. Small writes in a row are sent as one."""

    PIECE_BYTES = 256 << 10

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink
        self._held = bytearray()
        self._held_at = 0
        self._position = 0
        self.size = 0

    def write(self, data: bytes) -> int:
        if self._position != self._held_at + len(self._held) or len(self._held) >= self.PIECE_BYTES:
            self.flush()
            self._held_at = self._position
        self._held += data
        self._position += len(data)
        self.size = max(self.size, self._position)
        return len(data)

    def flush(self) -> None:
        if self._held:
            codec_pipe.send(self._sink, Kind.WRITE, struct.pack("<Q", self._held_at) + bytes(self._held))
            self._held.clear()

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = max(0, offset + (0, self._position, self.size)[whence])
        return self._position

    def tell(self) -> int:
        return self._position


class _Input:
    """A file that the parent reads piece by piece."""

    def __init__(self, source: BinaryIO, sink: BinaryIO, size: int) -> None:
        self._source, self._sink, self._size, self._position = source, sink, size, 0

    def read(self, count: int) -> bytes:
        count = min(count, self._size - self._position)
        if count <= 0:
            return b""
        codec_pipe.send(self._sink, Kind.READ, struct.pack("<QI", self._position, count))
        kind, data = codec_pipe.receive(self._source)
        if kind is not Kind.DATA:
            raise JobError("the parent gave up")
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == 0x10000:  # AVSEEK_SIZE
            return self._size
        self._position = max(0, offset + (0, self._position, self._size)[whence])
        return self._position

    def tell(self) -> int:
        return self._position


class _Stream:
    """Output that is sent on at once, in pieces that a listener can take."""

    PIECE_BYTES = 64 << 10

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source, self._sink, self._held = source, sink, bytearray()

    def write(self, data: bytes) -> int:
        self._held += data
        if len(self._held) >= self.PIECE_BYTES:
            self.flush()
        return len(data)

    def flush(self) -> None:
        if not self._held:
            return
        codec_pipe.send(self._sink, Kind.OUTPUT, bytes(self._held))
        self._held.clear()
        kind, _ = codec_pipe.receive(self._source)
        if kind is not Kind.MORE:
            raise JobError("the parent gave up")


def _allow_processor_time(seconds: float) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _rehearse() -> None:
    """Use every library once, in memory: what is loaded late could not be loaded after `confine`."""
    for codec in CODECS.values():
        if codec.decoder:
            av.Codec(codec.decoder, "r")
    file = io.BytesIO()
    with av.open(file, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=8000)
        stream.codec_context.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 8000, 0, fractions.Fraction(1, 8000)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r", format="flac") as container:
        for frame in container.decode(container.streams.audio[0]):
            _planes(av.AudioResampler(format="s16p", layout="mono", rate=16000).resample(frame)[0])
    with contextlib.suppress(av.error.FFmpegError):
        g729: Any = av.CodecContext.create("g729", "r")
        g729.decode(av.Packet(b"\0" * 3))


def confine() -> None:
    """Give up what a codec does not need: files, more memory, a life after the parent's."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
        libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    with contextlib.suppress(OSError):
        os.nice(5)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))


def main() -> None:
    """Serve jobs on stdin and stdout; whatever a library prints goes nowhere near the pipe."""
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    av.logging.set_level(av.logging.PANIC)
    _rehearse()
    confine()
    Worker(source, sink).run()


if __name__ == "__main__":
    main()
