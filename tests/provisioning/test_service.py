"""Organisations and peers: checks, and the snapshot that the recorder reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from callward.platform.database import Database
from callward.platform.paths import DataPaths
from callward.provisioning import service, snapshot
from callward.provisioning.service import ProvisioningError


async def test_the_first_organisation_is_made_once_with_loopback_as_its_peer(database: Database) -> None:
    await service.ensure_first_organisation(database, "Demo")
    await service.ensure_first_organisation(database, "Other")
    found = await service.list_organisations(database)
    assert [o.name for o in found] == ["Demo"]
    peers = await service.list_peers(database)
    assert [(p.name, p.organisation_id) for p in peers] == [("loopback", found[0].id)]


async def test_a_published_snapshot_is_signed_and_numbered(database: Database, tmp_path: Path) -> None:
    paths = DataPaths(tmp_path)
    acme = await service.create_organisation(database, "Acme", "acme", ["group-1"], ["+32 2 555 01 00"])
    await service.add_peer(database, "sbc", acme.id, ["192.0.2.7/24"], [], "auto")
    await service.add_peer(database, "carrier", None, [], ["SBC.carrier.example", "AB:" * 31 + "AB"], "broadworks")
    first = await service.publish_snapshot(database, paths)
    assert await service.publish_snapshot(database, paths) == first + 1
    found = snapshot.read_snapshot(paths.snapshot, snapshot.host_key(paths.keys))
    assert found is not None
    assert found.number == first + 1
    peers = {p.name: p for p in found.peers}
    assert peers["sbc"].addresses == ("192.0.2.0/24",)
    assert peers["carrier"].carrier
    assert peers["carrier"].certificates == ("sbc.carrier.example", "ab" * 32)
    assert found.organisations[0].numbers == ("+3225550100",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"addresses": ["192.0.2.300"]}, "not an address or range"),
        ({"addresses": [], "certificates": []}, "at least one address range"),
        ({"dialect": "klingon"}, "dialect 'klingon'"),
        ({"name": " "}, "name: give 1 to 100"),
        ({"certificates": ["two words"]}, "not a name"),
    ],
)
async def test_a_wrong_peer_is_refused_and_nothing_is_stored(
    database: Database, change: dict[str, object], message: str
) -> None:
    values = {"name": "sbc", "organisation_id": None, "addresses": ["192.0.2.1"], "certificates": [], "dialect": "auto"}
    with pytest.raises(ProvisioningError, match=message):
        await service.add_peer(database, **{**values, **change})  # type: ignore[arg-type]
    assert await service.list_peers(database) == []


async def test_two_peers_cannot_have_the_same_range(database: Database) -> None:
    acme = await service.create_organisation(database, "Acme", "acme", [], [])
    await service.add_peer(database, "sbc", acme.id, ["192.0.2.20"], [], "auto")
    with pytest.raises(ProvisioningError, match=r"192\.0\.2\.20/32: the peer 'sbc' has it already"):
        await service.add_peer(database, "carrier", None, ["192.0.2.20/32"], [], "auto")
    await service.add_peer(database, "wider", None, ["192.0.2.0/24"], [], "auto")


async def test_names_and_codes_are_unique(database: Database) -> None:
    await service.create_organisation(database, "Acme", "acme", [], [])
    with pytest.raises(ProvisioningError, match="another organisation has it"):
        await service.create_organisation(database, "Acme again", "acme", [], [])
    with pytest.raises(ProvisioningError, match="small letters"):
        await service.create_organisation(database, "Acme", "ac me", [], [])
    await service.add_peer(database, "sbc", None, ["192.0.2.1"], [], "auto")
    with pytest.raises(ProvisioningError, match="another peer has it"):
        await service.add_peer(database, "sbc", None, ["192.0.2.2"], [], "auto")
    await service.remove_peer(database, "sbc")
    with pytest.raises(ProvisioningError, match="there is none"):
        await service.remove_peer(database, "sbc")
