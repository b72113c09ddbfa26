"""The allow-list and whose call it is: signed file, address ranges, certificates, carriers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from callward.provisioning.snapshot import (
    FILE,
    Organisation,
    Peer,
    Snapshot,
    SnapshotError,
    host_key,
    read_snapshot,
    write_snapshot,
)
from callward.recorder.snapshot import Directory, SnapshotFile
from callward.sip.flow import PeerCertificate

FIRM = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
OTHER = "01BX5ZZKBKACTAV9WEVGEMMVRZ"
PRINT = "ab" * 32


def directory(*peers: Peer, organisations: tuple[Organisation, ...] = ()) -> Directory:
    return Directory(Snapshot(number=1, peers=peers, organisations=organisations))


def test_what_was_written_is_read_again_and_signed(tmp_path: Path) -> None:
    key = host_key(tmp_path / "keys")
    assert host_key(tmp_path / "keys") == key
    assert (tmp_path / "keys" / "snapshot.key").stat().st_mode & 0o777 == 0o600
    snapshot = Snapshot(number=7, peers=(Peer(id="p", name="sbc", addresses=("192.0.2.0/24",)),))
    path = write_snapshot(tmp_path / "snapshot", snapshot, key)
    assert read_snapshot(tmp_path / "snapshot", key) == snapshot
    values = json.loads(path.read_text())
    values["peers"][0]["addresses"] = ["0.0.0.0/0"]
    path.write_text(json.dumps(values))
    with pytest.raises(SnapshotError, match="not signed"):
        read_snapshot(tmp_path / "snapshot", key)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"number": 1}', "\xff", "[" * 100_000])
def test_a_damaged_file_is_refused_with_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content, encoding="latin-1")
    with pytest.raises(SnapshotError):
        read_snapshot(tmp_path, b"k" * 32)


def test_the_file_is_taken_when_it_changes_and_a_bad_one_leaves_the_old_in_force(tmp_path: Path) -> None:
    key = b"k" * 32
    current = SnapshotFile(tmp_path, key)
    assert not current.reload()
    assert current.directory.peer("127.0.0.1") is not None
    assert current.directory.peer("192.0.2.1") is None
    write_snapshot(tmp_path, Snapshot(number=1, peers=(Peer(id="p", name="sbc", addresses=("192.0.2.1/32",)),)), key)
    assert current.reload()
    assert not current.reload()
    assert current.directory.peer("127.0.0.1") is None
    (tmp_path / FILE).write_text("damaged")
    assert not current.reload()
    assert "JSON" in current.problem
    assert current.directory.number == 1


def test_the_narrowest_address_range_wins_and_strangers_are_nobody() -> None:
    known = directory(
        Peer(id="wide", name="wide", addresses=("192.0.2.0/24", "2001:db8::/32")),
        Peer(id="narrow", name="narrow", addresses=("192.0.2.7/32",)),
    )
    assert known.peer("192.0.2.7").id == "narrow"
    assert known.peer("192.0.2.8").id == "wide"
    assert known.peer("::ffff:192.0.2.7").id == "narrow"
    assert known.peer("2001:db8::5").id == "wide"
    assert known.peer("198.51.100.1") is None
    assert known.peer("no address") is None


def test_fault_25_a_peer_with_certificates_is_known_by_them_only() -> None:
    known = directory(
        Peer(id="named", name="named", addresses=("192.0.2.0/24",), certificates=("SBC.example.com",)),
        Peer(id="print", name="print", certificates=(":".join(PRINT[i : i + 2] for i in range(0, 64, 2)).upper(),)),
    )
    named = PeerCertificate(("sbc.example.com",), "cd" * 32)
    assert known.peer("192.0.2.1") is None
    assert known.peer("192.0.2.1", named).id == "named"
    assert known.peer("198.51.100.1", named) is None
    assert known.peer("198.51.100.1", PeerCertificate((), PRINT)).id == "print"
    assert known.peer("198.51.100.1", PeerCertificate(("other.example.com",), "cd" * 32)) is None


def test_a_carriers_calls_go_by_group_id_then_by_number_then_to_nobody() -> None:
    known = directory(
        Peer(id="carrier", name="carrier", addresses=("192.0.2.1/32",), carrier=True),
        Peer(id="own", name="own", organisation=OTHER, addresses=("192.0.2.2/32",)),
        organisations=(Organisation(id=FIRM, group_ids=("Firm-7",), numbers=("+3221234567",)),),
    )
    carrier, own = known.peer("192.0.2.1"), known.peer("192.0.2.2")
    assert known.organisation(carrier, ["firm-7"], []) == FIRM
    assert known.organisation(carrier, ["unknown"], ["+32 2 123 45 67"]) == FIRM
    assert known.organisation(carrier, [], ["+3229999999"]) is None
    assert known.organisation(own, ["firm-7"], []) == OTHER
