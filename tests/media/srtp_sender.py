"""SRTP and SRTCP written from RFC 3711 and RFC 7714 for tests, independent of the program under test."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import struct
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SUITES = {
    "AES_CM_128_HMAC_SHA1_80": (16, 14, 10),
    "AES_CM_128_HMAC_SHA1_32": (16, 14, 4),
    "AES_256_CM_HMAC_SHA1_80": (32, 14, 10),
    "AEAD_AES_128_GCM": (16, 12, 16),
    "AEAD_AES_256_GCM": (32, 12, 16),
}


def _counter_mode(key: bytes, iv: int, data: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.CTR(iv.to_bytes(16, "big"))).encryptor()
    return encryptor.update(data) + encryptor.finalize()


@dataclass
class Protector:
    """One direction of one sender."""

    suite: str
    key: bytes = b""
    salt: bytes = b""
    rollover: int = 0
    rtcp_index: int = 0
    _session: dict[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        key_bytes, salt_bytes, _ = SUITES[self.suite]
        self.key = self.key or os.urandom(key_bytes)
        self.salt = self.salt or os.urandom(salt_bytes)

    @property
    def crypto(self) -> dict[str, str]:
        """As `srtp` of open_track wants it."""
        return {"suite": self.suite, "key": base64.b64encode(self.key + self.salt).decode()}

    @property
    def aead(self) -> bool:
        return self.suite.startswith("AEAD")

    def derived(self, label: int, length: int) -> bytes:
        """RFC 3711 section 4.3.1."""
        if label not in self._session:
            salt = int.from_bytes(self.salt.ljust(14, b"\0"), "big")
            self._session[label] = _counter_mode(self.key, (salt ^ (label << 48)) << 16, bytes(length))
        return self._session[label]

    def rtp(self, packet: bytes) -> bytes:
        """Protects a packet without CSRC list and extension."""
        head, body = packet[:12], packet[12:]
        sequence, ssrc = struct.unpack_from("!H", packet, 2)[0], struct.unpack_from("!L", packet, 8)[0]
        if self.aead:
            nonce = struct.pack("!HLLH", 0, ssrc, self.rollover, sequence)
            nonce = bytes(a ^ b for a, b in zip(nonce, self.derived(2, 12), strict=True))
            return head + AESGCM(self.derived(0, len(self.key))).encrypt(nonce, body, head)
        index = (self.rollover << 16) | sequence
        iv = (int.from_bytes(self.derived(2, 14), "big") << 16) ^ (ssrc << 64) ^ (index << 16)
        sealed = head + _counter_mode(self.derived(0, len(self.key)), iv, body)
        tag = hmac.new(self.derived(1, 20), sealed + struct.pack("!L", self.rollover), hashlib.sha1).digest()
        return sealed + tag[: SUITES[self.suite][2]]

    def rtcp(self, packet: bytes) -> bytes:
        self.rtcp_index += 1
        head, body = packet[:8], packet[8:]
        ssrc = struct.unpack_from("!L", packet, 4)[0]
        word = struct.pack("!L", 1 << 31 | self.rtcp_index)
        if self.aead:
            nonce = struct.pack("!HLHL", 0, ssrc, 0, self.rtcp_index)
            nonce = bytes(a ^ b for a, b in zip(nonce, self.derived(5, 12), strict=True))
            return head + AESGCM(self.derived(3, len(self.key))).encrypt(nonce, body, head + word) + word
        iv = (int.from_bytes(self.derived(5, 14), "big") << 16) ^ (ssrc << 64) ^ (self.rtcp_index << 16)
        sealed = head + _counter_mode(self.derived(3, len(self.key)), iv, body) + word
        return sealed + hmac.new(self.derived(4, 20), sealed, hashlib.sha1).digest()[:10]

    def open_rtcp(self, packet: bytes) -> bytes:
        """What somebody protected with this key."""
        ssrc = struct.unpack_from("!L", packet, 4)[0]
        if self.aead:
            word = packet[-4:]
            index = struct.unpack("!L", word)[0] & 0x7FFFFFFF
            nonce = struct.pack("!HLHL", 0, ssrc, 0, index)
            nonce = bytes(a ^ b for a, b in zip(nonce, self.derived(5, 12), strict=True))
            return packet[:8] + AESGCM(self.derived(3, len(self.key))).decrypt(nonce, packet[8:-4], packet[:8] + word)
        sealed, tag = packet[:-10], packet[-10:]
        assert hmac.new(self.derived(4, 20), sealed, hashlib.sha1).digest()[:10] == tag
        index = struct.unpack("!L", sealed[-4:])[0] & 0x7FFFFFFF
        iv = (int.from_bytes(self.derived(5, 14), "big") << 16) ^ (ssrc << 64) ^ (index << 16)
        return sealed[:8] + _counter_mode(self.derived(3, len(self.key)), iv, sealed[8:-4])
