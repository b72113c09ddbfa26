"""TLS of SIP connections (RFC 3261 26, RFC 5922): contexts, and what a peer's certificate proves.

OpenSSL checks chain, validity, revocation and purpose during the handshake; `identify` then asks for what SIP needs: a subject
alternative name (the common name proves nothing), an extended key usage that fits, and one of the allowed names where such are set.
"""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from .flow import PeerCertificate

_SIP_DOMAIN = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.20")
"""id-kp-sipDomain (RFC 5924)."""
_MOST_NAMES = 64


class TlsPeerError(Exception):
    """The peer's certificate is valid but proves no identity that is accepted here."""


class TlsSettingsError(Exception):
    """A TLS file is missing or unusable; the message names it."""


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Files of one TLS side. TLS 1.2 is the least that is spoken."""

    certificate: Path | None = None
    """PEM chain of our own; a listener needs one."""
    key: Path | None = None
    peer_ca: Path | None = None
    """PEM of the authorities that may sign peers. On a listener this makes the peer's certificate required (mutual TLS)."""
    crl: Path | None = None
    """PEM revocation list(s) of these authorities; a peer whose issuer has none in it is refused."""
    allowed_names: tuple[str, ...] = ()
    """If given, a peer certificate must have one of these subject alternative names."""


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """For a listener. Raises `TlsSettingsError`."""
    if settings.certificate is None:
        raise TlsSettingsError("a TLS listener needs a certificate; set its file")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, settings)
    if settings.peer_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(settings: TlsSettings) -> ssl.SSLContext:
    """For connections that we open: the peer is always verified, its name against the subject alternative names only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.hostname_checks_common_name = False
    if settings.peer_ca is None:
        context.load_default_certs()
    _load(context, settings)
    return context


def _load(context: ssl.SSLContext, settings: TlsSettings) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    reading = settings.certificate
    try:
        if settings.certificate is not None:
            context.load_cert_chain(settings.certificate, settings.key)
        reading = settings.peer_ca
        if settings.peer_ca is not None:
            context.load_verify_locations(settings.peer_ca)
        reading = settings.crl
        if settings.crl is not None:
            context.load_verify_locations(settings.crl)
            context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    except (OSError, ValueError) as error:
        raise TlsSettingsError(f"cannot use the TLS file {reading}: {error}") from error


def identify(der: bytes, settings: TlsSettings, *, server: bool) -> PeerCertificate:
    """What a verified certificate proves. `server`: we are the listener, so the peer must be allowed to be a client.

    Raises `TlsPeerError` for a certificate without subject alternative name, with an unfit key usage or none of the allowed names.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        names = _names(certificate)
        usage = _usage(certificate)
        subject = certificate.subject.rfc4514_string()
    except ValueError as error:
        raise TlsPeerError(f"the certificate cannot be read: {error}") from error
    if not names:
        raise TlsPeerError("the certificate has no subject alternative name (a common name alone proves nothing)")
    wanted = ExtendedKeyUsageOID.CLIENT_AUTH if server else ExtendedKeyUsageOID.SERVER_AUTH
    if usage and not usage & {wanted, _SIP_DOMAIN, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}:
        raise TlsPeerError("the certificate's extended key usage does not allow this")
    allowed = {name.lower() for name in settings.allowed_names}
    if allowed and not allowed & set(names):
        raise TlsPeerError(f"none of the certificate's names is allowed: {', '.join(names[:5])}")
    return PeerCertificate(names, hashlib.sha256(der).hexdigest(), subject[:255])


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    names: list[str] = []
    for name in extension:
        if isinstance(name, x509.DNSName | x509.UniformResourceIdentifier):
            names.append(name.value.lower())
        elif isinstance(name, x509.IPAddress):
            names.append(str(name.value))
        if len(names) >= _MOST_NAMES:
            break
    return tuple(names)


def _usage(certificate: x509.Certificate) -> set[x509.ObjectIdentifier]:
    try:
        return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return set()
