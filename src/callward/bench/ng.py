"""rtpengine as a peer: start it, and speak its control protocol (bencoded dictionaries over UDP)."""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from callward.bench.report import PeerMissingError

START_TIMEOUT_S = 10.0


def encode(value: Any) -> bytes:
    """Bencode a dictionary, list, string or integer."""
    if isinstance(value, dict):
        return b"d" + b"".join(encode(k) + encode(v) for k, v in sorted(value.items())) + b"e"
    if isinstance(value, list):
        return b"l" + b"".join(encode(v) for v in value) + b"e"
    if isinstance(value, int):
        return b"i%de" % value
    data = value if isinstance(value, bytes) else str(value).encode()
    return b"%d:%s" % (len(data), data)


def decode(data: bytes) -> Any:
    """The value of a bencoded message; strings as text."""
    return _decode(data, 0)[0]


def _decode(data: bytes, at: int) -> tuple[Any, int]:
    kind = data[at : at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1 : end]), end + 1
    if kind in (b"l", b"d"):
        items, at = [], at + 1
        while data[at : at + 1] != b"e":
            item, at = _decode(data, at)
            items.append(item)
        return (items if kind == b"l" else dict(zip(items[::2], items[1::2], strict=True))), at + 1
    colon = data.index(b":", at)
    end = colon + 1 + int(data[at:colon])
    return data[colon + 1 : end].decode("utf-8", "replace"), end


class Rtpengine:
    """A running rtpengine on loopback, user space only."""

    def __init__(self, folder: Path, *, port_min: int, port_max: int, recording: bool = True) -> None:
        program = shutil.which("rtpengine")
        if program is None:
            raise PeerMissingError("rtpengine is not installed: apt-get install rtpengine-daemon")
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(3)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.recordings = folder
        arguments = [
            *(program, "--foreground", "--table=-1", "--interface=127.0.0.1"),
            *(f"--listen-ng=127.0.0.1:{self._port}", f"--port-min={port_min}", f"--port-max={port_max}"),
            *("--num-threads=1", "--log-level=2", "--log-stderr", "--timeout=3600", "--silent-timeout=3600"),
        ]
        if recording:
            arguments += ["--recording-method=pcap", f"--recording-dir={folder}"]
        self._process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pid = self._process.pid

    def __enter__(self) -> Rtpengine:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                self.command("ping")
                return self
            except (TimeoutError, ConnectionRefusedError):
                if time.monotonic() > deadline or self._process.poll() is not None:
                    self.__exit__(None, None, None)
                    raise PeerMissingError("rtpengine does not start") from None
                time.sleep(0.1)

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._socket.close()

    def command(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Send one command and return its answer.

        Raises:
            RuntimeError: rtpengine answered with an error.
        """
        cookie = secrets.token_hex(8).encode()
        message = {"command": name, **{key.replace("_", "-"): value for key, value in arguments.items()}}
        self._socket.sendto(cookie + b" " + encode(message), ("127.0.0.1", self._port))
        while True:
            found, _, body = self._socket.recv(65_536).partition(b" ")
            if found == cookie:
                break
        answer: dict[str, Any] = decode(body)
        if answer.get("result") == "error":
            raise RuntimeError(f"rtpengine {name}: {answer.get('error-reason')}")
        return answer

    def call(self, number: int, caller_port: int, called_port: int, *, record: bool) -> tuple[int, int]:
        """Set a G.711 call up; returns the ports to which the caller and the called send."""
        call_id = f"bench-{number}"
        flags: dict[str, Any] = {"call_id": call_id, "from_tag": "a", "flags": ["trust-address"]}
        if record:
            flags["record_call"] = "yes"
        offer = self.command("offer", sdp=_sdp(caller_port), **flags)
        answer = self.command("answer", sdp=_sdp(called_port), to_tag="b", **flags)
        return _media_port(answer["sdp"]), _media_port(offer["sdp"])


def _sdp(port: int) -> str:
    return (
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
    )


def _media_port(sdp: str) -> int:
    line = next(line for line in sdp.splitlines() if line.startswith("m=audio "))
    return int(line.split()[1])
