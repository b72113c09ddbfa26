"""C01-C05 and C12 of docs/reference/siprec-support.md for the recording client, as far as they are decided without I/O."""

from __future__ import annotations

from dataclasses import replace

import pytest
from lxml import etree

from callward.sip.multipart import parse as parse_parts
from callward.sip.sdp import SessionDescription
from callward.sip.sdp import parse as parse_sdp
from callward.siprec import admission, client
from callward.siprec.identifiers import base64_uuid
from callward.siprec.metadata import DataMode
from callward.siprec.observation import observe_body
from callward.siprec.offered import Direction
from callward.siprec.picturing import picture
from callward.siprec.reading import read_metadata
from tests.siprec.documents import at, told

NAMESPACE = "{urn:ietf:params:xml:ns:recording:1}"
STREAMS = tuple(client.RecordedStream(base64_uuid(bytes([n]) * 16), str(n), 4000 + 2 * n) for n in (1, 2))
CALLER, CALLED = (
    client.RecordedParty(
        base64_uuid(bytes([n + 16]) * 16),
        f"sip:+322555000{n}@example.org",
        f"Party {n} <&>",
        joined_at=at(0),
        sends=(STREAMS[n].stream_id,),
        receives=(STREAMS[1 - n].stream_id,),
    )
    for n in (0, 1)
)
CALL = client.RecordedCall(
    base64_uuid(b"s" * 16), base64_uuid(b"g" * 16), "a;remote=b", at(0), parties=(CALLER, CALLED), streams=STREAMS
)


def offer(*calls: client.RecordedCall) -> SessionDescription:
    sdp = parse_sdp(client.offer_sdp(calls, address="192.0.2.1", session_id=1, version=2, attributes=("record:on",)))
    assert isinstance(sdp, SessionDescription)
    return sdp


def test_c01_require_siprec_and_contact_sip_src() -> None:
    assert ("Require", "siprec") in client.CLIENT_HEADERS
    assert "+sip.src" in admission.CLIENT_CONTACT_PARAMETERS


def test_c02_one_sendonly_m_line_with_a_label_per_direction() -> None:
    media = offer(CALL).media
    assert [(line.port, line.label, line.own_direction) for line in media] == [
        (4002, "1", Direction.SENDONLY),
        (4004, "2", Direction.SENDONLY),
    ]


def test_c02_a_removed_stream_keeps_its_m_line_with_port_0() -> None:
    gone = replace(CALL, streams=(STREAMS[0], replace(STREAMS[1], port=0, direction=Direction.INACTIVE)))
    assert [line.port for line in offer(gone).media] == [4002, 0]


def test_c03_the_first_invite_has_a_full_snapshot_and_every_label_is_in_the_sdp() -> None:
    body = client.offer_body(
        client.offer_sdp([CALL], address="192.0.2.1", session_id=1, version=1),
        client.complete_metadata([CALL]),
        boundary="b0undary",
    )
    assert body.content_type == "multipart/mixed;boundary=b0undary"
    sdp, metadata = parse_parts(body.content_type, body.data)
    assert metadata.content_type.name == "application/rs-metadata+xml"
    assert str(metadata.disposition) == "recording-session"
    described = {label.text for label in etree.fromstring(metadata.body).iter(f"{NAMESPACE}label")}
    assert f"a=label:{min(described)}".encode() in sdp.body
    assert described == {"1", "2"}
    found = picture(told(observe_body(body.content_type, body.data)))
    assert [(party.number, party.name) for party in found.parties] == [
        ("+3225550000", "Party 0 <&>"),
        ("+3225550001", "Party 1 <&>"),
    ]
    assert [stream.parties[0] == party.id for stream, party in zip(found.streams, found.parties, strict=True)] == [
        True,
        True,
    ]


def test_c03_elements_are_in_the_order_of_the_schema() -> None:
    root = etree.fromstring(client.metadata_body(client.complete_metadata([CALL])).data)
    assert [child.tag.removeprefix(NAMESPACE) for child in root] == [
        "dataMode", "group", "session", "participant", "participant", "stream", "stream", "sessionrecordingassoc",
        "participantsessionassoc", "participantsessionassoc", "participantstreamassoc", "participantstreamassoc",
    ]  # fmt: skip
    session = root.find(f"{NAMESPACE}session")
    assert session is not None
    assert [child.tag.removeprefix(NAMESPACE) for child in session] == ["sipSessionID", "group-ref", "start-time"]


def test_c03_our_own_documents_have_no_oddity() -> None:
    extended = replace(CALL, extensions=(("announcement", "played"), ("not a name", "left out")))
    reading = read_metadata(client.metadata_body(client.complete_metadata([extended])).data)
    assert reading.oddities == ()
    assert reading.metadata is not None
    assert [extension.text for extension in reading.metadata.sessions[0].extensions] == ["played"]


def test_c03_characters_that_xml_cannot_hold_do_not_break_the_document() -> None:
    odd = replace(CALL, parties=(replace(CALLER, name="a\x00b\ud800c\x1b[2J"),))
    reading = read_metadata(client.metadata_body(client.complete_metadata([odd])).data)
    assert reading.metadata is not None
    assert reading.metadata.participants[0].names[0].name == "a?b?c?[2J"


def test_c04_a_party_that_stops_sending_is_told_without_that_send() -> None:
    held = replace(CALL, parties=(replace(CALLER, sends=()), CALLED))
    change = client.changed_metadata([CALL], [held])
    assert change is not None
    assert change.mode is DataMode.PARTIAL
    assert [(party.participant, party.sends, party.receives) for party in change.participant_streams] == [
        (CALLER.participant_id, (), CALLER.receives)
    ]
    assert client.changed_metadata([CALL], [CALL]) is None


def test_c04_changes_after_a_complete_document_give_the_same_picture_as_a_new_complete_one() -> None:
    third = client.RecordedParty(
        base64_uuid(b"t" * 16), "sip:+3225550003@example.org", joined_at=at(5), sends=CALLED.sends
    )
    after = replace(CALL, parties=(CALLER, replace(CALLED, left_at=at(5), sends=(), receives=()), third))
    change = client.changed_metadata([CALL], [after])
    assert change is not None
    bodies = [client.metadata_body(document) for document in (client.complete_metadata([CALL]), change)]
    merged = picture(told(*(observe_body(body.content_type, body.data) for body in bodies)))
    whole = client.metadata_body(client.complete_metadata([after]))
    complete = picture(told(observe_body(whole.content_type, whole.data)))
    assert [party.left_at is None for party in merged.parties] == [party.left_at is None for party in complete.parties]
    assert [stream.parties for stream in merged.streams] == [stream.parties for stream in complete.streams]


def test_c05_a_snapshot_is_one_call_away_and_leaves_out_what_has_ended() -> None:
    ended = replace(CALL, session_id=base64_uuid(b"e" * 16), stopped_at=at(9))
    document = client.complete_metadata([CALL, ended])
    assert [session.id for session in document.sessions] == [CALL.session_id]
    assert client.metadata_body(document).disposition == "recording-session"


def test_c05_a_party_in_two_calls_is_one_element() -> None:
    second = replace(CALL, session_id=base64_uuid(b"2" * 16))
    document = client.complete_metadata([CALL, second])
    assert len(document.participants) == 2
    assert len(document.participant_sessions) == 4


def test_c07_the_state_of_recording_stands_in_the_offer() -> None:
    assert offer(CALL).record == "on"


def test_ids_need_16_octets_and_are_uuids_of_version_4() -> None:
    with pytest.raises(ValueError, match="16"):
        base64_uuid(b"short")
    assert base64_uuid(b"\x00" * 16) == "AAAAAAAAQACAAAAAAAAAAA=="
