"""Organisations and peers: make, list, change, and publish as the snapshot that the call path runs on."""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime

from sqlalchemy import delete, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from callward.platform.database import Database, Scope
from callward.platform.ids import Ulid, new_ulid
from callward.platform.paths import DataPaths
from callward.provisioning import snapshot
from callward.provisioning.model import Organisation, Peer
from callward.siprec.peer import PROFILES

LOOPBACK = ("127.0.0.0/8", "::1/128")
DIALECTS = ("auto", *sorted(PROFILES))
_CODE = re.compile(r"^[a-z0-9][a-z0-9-]{0,30}$")
_FINGERPRINT = re.compile(r"^[0-9a-f]{64}$")


class ProvisioningError(Exception):
    """What was asked for cannot be; the sentence names the field and the remedy."""


async def ensure_first_organisation(database: Database, name: str) -> None:
    """Make the first organisation, with loopback as its peer, when there is none yet."""
    async with database.begin(Scope.provider()) as session:
        await session.execute(text("SELECT pg_advisory_xact_lock(7305)"))
        if (await session.execute(select(Organisation.id).limit(1))).first() is not None:
            return
        now = datetime.now(UTC)
        first = Organisation(id=new_ulid(), name=name, code="main", group_ids=[], numbers=[], created_at=now)
        session.add(first)
        await session.flush()
        session.add(
            Peer(
                id=new_ulid(),
                organisation_id=first.id,
                name="loopback",
                carrier=False,
                addresses=list(LOOPBACK),
                certificates=[],
                dialect="auto",
                created_at=now,
            )
        )


async def create_organisation(
    database: Database, name: str, code: str, group_ids: list[str], numbers: list[str]
) -> Organisation:
    """Make an organisation; `group_ids` and `numbers` select it for a carrier's calls.

    Raises:
        ProvisioningError: a code that is taken or ill-formed, an empty name.
    """
    if not name.strip() or len(name) > 200:
        raise ProvisioningError("name: give 1 to 200 characters")
    if not _CODE.match(code):
        raise ProvisioningError(f"code {code!r}: small letters, digits and hyphens only, at most 31")
    made = Organisation(
        id=new_ulid(),
        name=name.strip(),
        code=code,
        group_ids=[g[:255] for g in group_ids],
        numbers=[_number(n) for n in numbers],
        created_at=datetime.now(UTC),
    )
    try:
        async with database.begin(Scope.provider()) as session:
            session.add(made)
    except IntegrityError:
        raise ProvisioningError(f"code {code!r}: another organisation has it") from None
    return made


async def list_organisations(database: Database) -> list[Organisation]:
    """All organisations, by code."""
    async with database.begin(Scope.provider()) as session:
        return list((await session.execute(select(Organisation).order_by(Organisation.code))).scalars())


async def find_organisation(database: Database, code: str) -> Organisation:
    """The organisation with this code.

    Raises:
        ProvisioningError: there is none.
    """
    async with database.begin(Scope.provider()) as session:
        found = (await session.execute(select(Organisation).where(Organisation.code == code))).scalar_one_or_none()
    if found is None:
        raise ProvisioningError(f"organisation {code!r}: there is none with this code (callward organisation list)")
    return found


async def add_peer(
    database: Database,
    name: str,
    organisation_id: Ulid | None,
    addresses: list[str],
    certificates: list[str],
    dialect: str,
) -> Peer:
    """Allow a recording client to connect; without an organisation it is a carrier's.

    `addresses`: address ranges such as 192.0.2.0/24; `certificates`: names (SAN) or SHA-256 fingerprints of client
    certificates. At least one of both is needed.

    Raises:
        ProvisioningError: a bad range, an unknown dialect, a name that is taken.
    """
    if not name.strip() or len(name) > 100:
        raise ProvisioningError("name: give 1 to 100 characters")
    if not addresses and not certificates:
        raise ProvisioningError("name at least one address range (--address) or certificate (--certificate)")
    if dialect not in DIALECTS:
        raise ProvisioningError(f"dialect {dialect!r}: one of {', '.join(DIALECTS)}")
    made = Peer(
        id=new_ulid(),
        organisation_id=organisation_id,
        name=name.strip(),
        carrier=organisation_id is None,
        addresses=[_range(a) for a in addresses],
        certificates=[_certificate(c) for c in certificates],
        dialect=dialect,
        created_at=datetime.now(UTC),
    )
    try:
        async with database.begin(Scope.provider()) as session:
            await _refuse_same_identity(session, made)
            session.add(made)
    except IntegrityError:
        raise ProvisioningError(f"name {name!r}: another peer has it") from None
    return made


async def _refuse_same_identity(session: AsyncSession, made: Peer) -> None:
    """Two peers with the same range or certificate leave open whose calls they are (ranges inside one another are well)."""
    await session.execute(text("SELECT pg_advisory_xact_lock(7306)"))
    for other in (await session.execute(select(Peer))).scalars():
        shared = set(other.certificates) & set(made.certificates)
        if not shared and not other.certificates and not made.certificates:
            shared = set(other.addresses) & set(made.addresses)
        if shared:
            raise ProvisioningError(f"{min(shared)}: the peer {other.name!r} has it already (callward peer list)")


async def list_peers(database: Database) -> list[Peer]:
    """All peers, by name."""
    async with database.begin(Scope.provider()) as session:
        return list((await session.execute(select(Peer).order_by(Peer.name))).scalars())


async def remove_peer(database: Database, name: str) -> None:
    """Allow a peer no longer; its recordings stay.

    Raises:
        ProvisioningError: there is none with this name.
    """
    async with database.begin(Scope.provider()) as session:
        removed = await session.execute(delete(Peer).where(Peer.name == name).returning(Peer.id))
        if removed.first() is None:
            raise ProvisioningError(f"peer {name!r}: there is none with this name (callward peer list)")


async def publish_snapshot(database: Database, paths: DataPaths) -> int:
    """Write the numbered, signed snapshot of all peers and organisations for the call path; returns its number."""
    async with database.begin(Scope.provider()) as session:
        number = (
            await session.execute(text("UPDATE snapshot_number SET number = number + 1 RETURNING number"))
        ).scalar_one()
        peers = (await session.execute(select(Peer).order_by(Peer.name))).scalars().all()
        organisations = (await session.execute(select(Organisation).order_by(Organisation.code))).scalars().all()
        published = snapshot.Snapshot(
            number=number,
            peers=tuple(
                snapshot.Peer(
                    id=p.id,
                    name=p.name,
                    organisation=p.organisation_id,
                    addresses=tuple(p.addresses),
                    certificates=tuple(p.certificates),
                    dialect=p.dialect,
                    carrier=p.carrier,
                )
                for p in peers
            ),
            organisations=tuple(
                snapshot.Organisation(id=o.id, name=o.name, group_ids=tuple(o.group_ids), numbers=tuple(o.numbers))
                for o in organisations
            ),
        )
        snapshot.write_snapshot(paths.snapshot, published, snapshot.host_key(paths.keys))
    return int(number)


def _range(text_: str) -> str:
    try:
        return str(ipaddress.ip_network(text_.strip(), strict=False))
    except ValueError:
        raise ProvisioningError(f"address {text_!r}: not an address or range such as 192.0.2.0/24") from None


def _certificate(text_: str) -> str:
    cleaned = text_.strip().lower()
    fingerprint = cleaned.replace(":", "")
    if _FINGERPRINT.match(fingerprint):
        return fingerprint
    if not cleaned or len(cleaned) > 253 or any(c.isspace() for c in cleaned):
        raise ProvisioningError(f"certificate {text_!r}: not a name (SAN) or SHA-256 fingerprint")
    return cleaned


def _number(text_: str) -> str:
    cleaned = re.sub(r"[\s().-]", "", text_)
    if not re.match(r"^\+?[0-9*#]{1,32}$", cleaned):
        raise ProvisioningError(f"number {text_!r}: digits with an optional leading + only")
    return cleaned
