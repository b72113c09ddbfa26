"""The parent's side of codec workers: start, use, replace after a crash or a hang. Blocking: call it from a thread."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
from prometheus_client import Counter

from callward.media import codec_pipe
from callward.media.codec_pipe import Kind, PipeClosedError

ANSWER_TIMEOUT_S = 60.0
"""A worker that says nothing for so long hangs: one message never is more than some seconds of work."""
_FAILURES = Counter("callward_codec_worker_failures_total", "Codec jobs that failed", ["why"])

Samples = npt.NDArray[np.int16]


class CodecError(Exception):
    """A codec job failed: the worker crashed, hung, or refused the data."""


@dataclass(frozen=True, slots=True)
class DecodedPackets:
    """Answer to one batch of packets: `results` has one row a packet, `samples` all their audio in a row."""

    results: npt.NDArray[np.void]
    samples: Samples


class CodecProcess:
    """One worker child. Jobs run one after the other; after an error that leaves it unusable it is started anew."""

    def __init__(self, command: Sequence[str] | None = None, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self._command = list(command or (sys.executable, "-m", "callward.media.codec_worker"))
        self._answer_timeout_s = answer_timeout_s
        self._child: subprocess.Popen[bytes] | None = None
        self._timed_out = False
        self._deadline: float | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the child while there is one."""
        return self._child.pid if self._child is not None else None

    def decode(
        self, codec: str, rate_hz: int, channels: int, fmtp: str, batches: Iterable[Sequence[bytes]]
    ) -> Iterator[DecodedPackets]:
        """Decode batches of RTP payloads in order. Raises CodecError."""
        job = {"op": "decode", "codec": codec, "rate_hz": rate_hz, "channels": channels, "fmtp": fmtp}
        with self._job(job) as (to_child, from_child):
            for batch in batches:
                lengths = np.array([len(payload) for payload in batch], "<u2").tobytes()
                codec_pipe.send(to_child, Kind.PACKETS, struct.pack("<I", len(batch)) + lengths + b"".join(batch))
                answer = self._expect(from_child, Kind.PCM)
                (count,) = struct.unpack_from("<I", answer)
                results = np.frombuffer(answer, codec_pipe.RESULT, count, 4)
                samples = np.frombuffer(answer, np.int16, offset=4 + results.nbytes)
                if count != len(batch) or int(results["samples"].sum()) != len(samples):
                    raise PipeClosedError("the codec worker's answer does not fit")
                yield DecodedPackets(results, samples)
            codec_pipe.send(to_child, Kind.END)
            self._expect(from_child, Kind.DONE)

    def encode(self, job: dict[str, Any], blocks: Iterable[Samples], output: BinaryIO) -> dict[str, Any]:
        """Encode interleaved blocks of samples into `output` (seekable). Raises CodecError, and OSError of `output`."""
        with self._job({**job, "op": "encode"}) as (to_child, from_child):
            waiting = False
            for block in blocks:
                # The next block was prepared while the child encoded; it is sent only when the child reads again.
                if waiting:
                    self._write_until(from_child, Kind.MORE, output)
                codec_pipe.send(to_child, Kind.PCM, np.ascontiguousarray(block).tobytes())
                waiting = True
            if waiting:
                self._write_until(from_child, Kind.MORE, output)
            codec_pipe.send(to_child, Kind.END)
            return dict(json.loads(self._write_until(from_child, Kind.DONE, output)))

    def transcode(self, job: dict[str, Any], read: Callable[[int, int], bytes]) -> Iterator[bytes]:
        """Encode anew what `read(position, length)` gives; yields the output as it comes. Raises CodecError."""
        with self._job({**job, "op": "transcode"}) as (to_child, from_child):
            while True:
                kind, payload = self._receive(from_child)
                if kind is Kind.READ:
                    position, length = struct.unpack("<QI", payload)
                    codec_pipe.send(to_child, Kind.DATA, read(position, min(length, 1 << 20)))
                elif kind is Kind.OUTPUT:
                    yield payload
                    codec_pipe.send(to_child, Kind.MORE)
                elif kind is Kind.DONE:
                    return
                else:
                    raise PipeClosedError(f"a message of kind {kind} has no place here")

    def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    @contextmanager
    def _job(self, job: dict[str, Any]) -> Iterator[tuple[BinaryIO, BinaryIO]]:
        child = self._start()
        pipes = cast("tuple[BinaryIO, BinaryIO]", (child.stdin, child.stdout))
        finished = False
        try:
            codec_pipe.send(pipes[0], Kind.JOB, json.dumps(job).encode())
            yield pipes
            finished = True
        except PipeClosedError as error:
            why = "hang" if self._timed_out else "crash"
            _FAILURES.labels(why).inc()
            raise CodecError(f"the codec worker failed ({why}) on a job for {job.get('codec')}") from error
        except CodecError:
            _FAILURES.labels("refused").inc()
            raise
        finally:
            if not finished:  # also when the caller gave up in the middle: the child still waits for messages
                self.close()

    def _start(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        self.close()
        self._timed_out = False
        environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ}
        environment["OPENBLAS_NUM_THREADS"] = "1"
        self._child = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            bufsize=1 << 16,
            cwd="/",
        )
        threading.Thread(target=self._watch, args=(self._child,), name="codec-watch", daemon=True).start()
        return self._child

    def _receive(self, pipe: BinaryIO) -> tuple[Kind, bytes]:
        self._deadline = time.monotonic() + self._answer_timeout_s
        try:
            kind, payload = codec_pipe.receive(pipe)
        finally:
            self._deadline = None
        if kind is Kind.FAILED:
            raise CodecError(payload.decode(errors="replace"))
        return kind, payload

    def _watch(self, child: subprocess.Popen[bytes]) -> None:
        """Kill a child that owes an answer for too long: the reader then sees the end of the pipe."""
        while child.poll() is None:
            deadline = self._deadline
            if deadline is not None and time.monotonic() > deadline:
                self._timed_out = True
                child.kill()
                return
            time.sleep(min(1.0, self._answer_timeout_s / 4))

    def _expect(self, pipe: BinaryIO, wanted: Kind) -> bytes:
        kind, payload = self._receive(pipe)
        if kind is not wanted:
            raise PipeClosedError(f"a message of kind {kind} has no place here")
        return payload

    def _write_until(self, pipe: BinaryIO, wanted: Kind, output: BinaryIO) -> bytes:
        while True:
            kind, payload = self._receive(pipe)
            if kind is wanted:
                return payload
            if kind is not Kind.WRITE:
                raise PipeClosedError(f"a message of kind {kind} has no place here")
            (position,) = struct.unpack_from("<Q", payload)
            output.seek(position)
            output.write(memoryview(payload)[8:])


class CodecPool:
    """At most `size` workers, started when first needed and used again."""

    def __init__(self, size: int, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self._free: queue.LifoQueue[CodecProcess] = queue.LifoQueue()
        self._all = [CodecProcess(answer_timeout_s=answer_timeout_s) for _ in range(size)]
        for process in self._all:
            self._free.put(process)

    @contextmanager
    def worker(self, timeout_s: float | None = None) -> Iterator[CodecProcess]:
        """Borrow a worker; raises CodecError when all are busy for `timeout_s`."""
        try:
            process = self._free.get(timeout=timeout_s)
        except queue.Empty:
            raise CodecError("all codec workers are busy: try again later") from None
        try:
            yield process
        finally:
            self._free.put(process)

    def close(self) -> None:
        """End all workers."""
        for process in self._all:
            process.close()
