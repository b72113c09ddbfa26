"""Digest authentication (RFC 7616, RFC 3261 22, RFC 8760), both sides; entropy and time are arguments.

Client: answers only the realm and hosts of its account, so that nobody else can collect responses to crack. Server: nonces carry
their time and an HMAC, so that none is stored before it is used; each nonce count of a nonce is accepted once.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from callward.sip.auth_headers import Challenge, Credentials
from callward.sip.uri import Uri, parse_uri

ALGORITHMS = ("SHA-256", "MD5")
"""What we offer as a server and take as a client, best first; each also in its `-sess` form as a client."""

_HASHES = {"MD5": "md5", "SHA-256": "sha256"}
_REPLAY_WINDOW = 128
"""Nonce counts below the highest one that may still arrive late (UDP reorders)."""


def _hash(algorithm: str, text: str) -> str:
    name = _HASHES[algorithm.upper().removesuffix("-SESS")]
    return hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()


def is_supported(algorithm: str | None) -> bool:
    """True for MD5, MD5-sess, SHA-256, SHA-256-sess in any case, and for None, which means MD5."""
    return algorithm is None or algorithm.upper().removesuffix("-SESS") in _HASHES


def ha1(username: str, realm: str, password: str, algorithm: str = "MD5") -> str:
    """H(username:realm:password) in hex: what a server stores instead of the password (RFC 7616 3.4.2)."""
    return _hash(algorithm, f"{username}:{realm}:{password}")


def response_of(secret_ha1: str, credentials: Credentials, method: str, body: bytes = b"") -> str | None:
    """The response that fits the credentials' own parameters; None where they do not fit together (RFC 7616 3.4.1)."""
    algorithm = credentials.algorithm or "MD5"
    if not is_supported(algorithm):
        return None
    secret = secret_ha1
    if algorithm.upper().endswith("-SESS"):
        if credentials.cnonce is None:
            return None
        secret = _hash(algorithm, f"{secret}:{credentials.nonce}:{credentials.cnonce}")
    request = f"{method}:{credentials.uri}"
    if credentials.qop == "auth-int":
        name = _HASHES[algorithm.upper().removesuffix("-SESS")]
        request += ":" + hashlib.new(name, body, usedforsecurity=False).hexdigest()
    digest = _hash(algorithm, request)
    if credentials.qop is None:
        return _hash(algorithm, f"{secret}:{credentials.nonce}:{digest}")
    if credentials.qop not in ("auth", "auth-int") or credentials.cnonce is None or credentials.nonce_count is None:
        return None
    count = f"{credentials.nonce_count:08x}"
    return _hash(algorithm, f"{secret}:{credentials.nonce}:{count}:{credentials.cnonce}:{credentials.qop}:{digest}")


@dataclass(frozen=True, slots=True)
class Account:
    """Who we are at one realm of named hosts; `hosts` in lower case."""

    username: str
    password: str = field(repr=False)
    realm: str
    hosts: frozenset[str]


class DigestClient:
    """Answers challenges for one account, and counts how often each nonce was used."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._challenge: Challenge | None = None
        self._count = 0

    def answer(
        self,
        challenges: Sequence[Challenge],
        method: str,
        uri: Uri,
        host: str,
        cnonce: str,
        body: bytes = b"",
        refused: Credentials | None = None,
    ) -> Credentials | None:
        """Credentials for the first challenge that we may and can answer (RFC 8760 2.4: the server's order is its preference).

        `host` is where the request goes. `refused` are the credentials that the challenged request carried: the same account is
        not tried twice, unless the server says that only the nonce was stale. None: give up, the challenge is final.
        """
        if host.lower() not in self._account.hosts:
            return None
        for challenge in challenges:
            if challenge.realm != self._account.realm or not is_supported(challenge.algorithm):
                continue
            if challenge.qop and not {"auth", "auth-int"} & set(challenge.qop):
                continue
            if refused is not None and refused.realm == challenge.realm and not challenge.stale:
                return None
            if self._challenge is None or self._challenge.nonce != challenge.nonce:
                self._count = 0
            self._challenge = challenge
            return self.authorize(method, uri, host, cnonce, body)
        return None

    def authorize(self, method: str, uri: Uri, host: str, cnonce: str, body: bytes = b"") -> Credentials | None:
        """Credentials for a further request with the last challenge's nonce (RFC 3261 22.3); None before the first challenge."""
        challenge = self._challenge
        if challenge is None or host.lower() not in self._account.hosts:
            return None
        session = (challenge.algorithm or "").upper().endswith("-SESS")
        qop = "auth" if "auth" in challenge.qop else "auth-int" if challenge.qop else None
        self._count += 1
        blank = Credentials(
            self._account.username,
            challenge.realm,
            challenge.nonce,
            str(uri),
            "",
            challenge.algorithm,
            qop,
            cnonce if qop is not None or session else None,
            self._count if qop is not None else None,
            challenge.opaque,
        )
        secret = ha1(self._account.username, challenge.realm, self._account.password, challenge.algorithm or "MD5")
        response = response_of(secret, blank, method, body) or ""
        return replace(blank, response=response)


class Verdict(Enum):
    """What a server makes of credentials."""

    ACCEPTED = "accepted"
    STALE = "stale"
    """Right or not, the nonce is too old: challenge again with `stale=true`."""
    REFUSED = "refused"
    """Wrong user, password, realm, URI, nonce or algorithm; which of them is not told."""
    REPLAYED = "replayed"
    """This nonce count was used before."""


class DigestServer:
    """Challenges and verifies for one realm. `secret` (32 octets) signs the nonces; two servers that share it accept each other's
    nonces, but each tracks the nonce counts that it saw itself."""

    def __init__(
        self,
        realm: str,
        secret: bytes,
        algorithms: Sequence[str] = ALGORITHMS,
        nonce_lifetime_s: float = 300.0,
        max_nonces: int = 100_000,
    ) -> None:
        self.realm = realm
        self._secret = secret
        self._algorithms = tuple(algorithms)
        self._lifetime_s = nonce_lifetime_s
        self._max_nonces = max_nonces
        self._seen: dict[str, tuple[int, int]] = {}
        self._floor_ms = 0

    def challenges(self, now: float, entropy: bytes, stale: bool = False) -> tuple[Challenge, ...]:
        """One challenge per algorithm, best first (RFC 8760 2.3), one header line each. `entropy`: at least 8 octets."""
        nonce = self._nonce(int(now * 1000), entropy[:12])
        return tuple(Challenge(self.realm, nonce, name, ("auth",), None, stale) for name in self._algorithms)

    def verify(
        self,
        credentials: Credentials,
        method: str,
        uri: Uri,
        secret_of: Callable[[str, str], str | None],
        now: float,
    ) -> Verdict:
        """Judges credentials of a request. `secret_of(username, algorithm)` gives the stored HA1 (`ha1`), None for an unknown user."""
        algorithm = (credentials.algorithm or "MD5").upper()
        issued_ms = self._issued_at(credentials.nonce)
        if issued_ms is None or credentials.realm != self.realm or credentials.qop != "auth":
            return Verdict.REFUSED
        if algorithm not in self._algorithms or not _same_target(credentials.uri, uri):
            return Verdict.REFUSED
        secret = secret_of(credentials.username, algorithm)
        # An unknown user costs the same time as a wrong password.
        expected = response_of(secret or "0" * 32, credentials, method)
        right = expected is not None and hmac.compare_digest(expected.encode(), credentials.response.encode())
        if secret is None or not right:
            return Verdict.REFUSED
        age_ms = int(now * 1000) - issued_ms
        if age_ms > self._lifetime_s * 1000 or age_ms < -60_000 or issued_ms < self._floor_ms:
            return Verdict.STALE
        return self._count(credentials.nonce, credentials.nonce_count or 0, issued_ms)

    def _nonce(self, issued_ms: int, entropy: bytes) -> str:
        head = issued_ms.to_bytes(8, "big") + entropy.ljust(12, b"\0")
        return base64.urlsafe_b64encode(head + self._signature(head)).decode("ascii")

    def _signature(self, head: bytes) -> bytes:
        return hmac.digest(self._secret, head + self.realm.encode(), "sha256")[:16]

    def _issued_at(self, nonce: str) -> int | None:
        """When we issued a nonce, in milliseconds of `now`; None when it is not ours."""
        if len(nonce) != 48:
            return None
        try:
            octets = base64.b64decode(nonce.encode("ascii"), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        if not hmac.compare_digest(self._signature(octets[:20]), octets[20:]):
            return None
        return int.from_bytes(octets[:8], "big")

    def _count(self, nonce: str, count: int, issued_ms: int) -> Verdict:
        highest, mask = self._seen.get(nonce, (0, 0))
        if count < 1 or count <= highest - _REPLAY_WINDOW:
            return Verdict.REPLAYED
        if count > highest:
            shift = count - highest
            mask = (mask << shift if shift < _REPLAY_WINDOW else 0) & ((1 << _REPLAY_WINDOW) - 1) | 1
            highest = count
        elif mask >> (highest - count) & 1:
            return Verdict.REPLAYED
        else:
            mask |= 1 << (highest - count)
        if nonce not in self._seen and len(self._seen) >= self._max_nonces:
            oldest = next(iter(self._seen))
            del self._seen[oldest]
            # What was forgotten must not count as unused: every nonce of its time and before is stale from now on.
            self._floor_ms = max(self._floor_ms, (self._issued_at(oldest) or 0) + 1)
            if issued_ms < self._floor_ms:
                return Verdict.STALE
        self._seen[nonce] = (highest, mask)
        return Verdict.ACCEPTED


def _same_target(text: str, uri: Uri) -> bool:
    """The digest's URI must be the request's (RFC 7616 3.4.6); parameters that a proxy adds or drops do not count."""
    if text == str(uri):
        return True
    other = parse_uri(text)
    if other is None or other.user != uri.user:
        return False
    return getattr(other, "host", "").lower() == getattr(uri, "host", "").lower()
