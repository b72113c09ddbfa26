"""SRTP of a sender (RFC 3711 with AES_CM_128_HMAC_SHA1_80), written from the RFC for the tests."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

SUITE = "AES_CM_128_HMAC_SHA1_80"
TAG_BYTES = 10


def _key_stream(key: bytes, counter: int, length: int) -> bytes:
    """AES in counter mode (section 4.1.1)."""
    encryptor = Cipher(algorithms.AES(key), modes.CTR(counter.to_bytes(16, "big"))).encryptor()
    return encryptor.update(bytes(length)) + encryptor.finalize()


class SrtpSender:
    """Protects the RTP packets of one stream, in order."""

    def __init__(self) -> None:
        self._master = secrets.token_bytes(30)
        self._key = self._derive(0, 16)
        self._auth = self._derive(1, 20)
        self._salt = int.from_bytes(self._derive(2, 14), "big")
        self._roll_over = 0
        self._last = -1

    @property
    def crypto(self) -> str:
        """The `a=crypto` line of this key (RFC 4568)."""
        return f"a=crypto:1 {SUITE} inline:{base64.b64encode(self._master).decode()}"

    def protect(self, packet: bytes) -> bytes:
        """Encrypt and sign an RTP packet without extension or CSRC list (section 3.3)."""
        sequence, _, ssrc = struct.unpack_from(">HII", packet, 2)
        if self._last > sequence + 0x8000:
            self._roll_over += 1
        self._last = sequence
        counter = self._salt << 16 ^ ssrc << 64 ^ (self._roll_over << 16 | sequence) << 16
        stream = _key_stream(self._key, counter, len(packet) - 12)
        protected = packet[:12] + bytes(a ^ b for a, b in zip(packet[12:], stream, strict=True))
        signed = protected + struct.pack(">I", self._roll_over)
        return protected + hmac.digest(self._auth, signed, hashlib.sha1)[:TAG_BYTES]

    def _derive(self, label: int, length: int) -> bytes:
        """Key derivation (section 4.3) with rate 0."""
        key, salt = self._master[:16], int.from_bytes(self._master[16:], "big")
        return _key_stream(key, (salt ^ label << 48) << 16, length)
