"""The dialect table of docs/reference/siprec-support.md: one message per vendor of our own making, with exactly its quirks."""

from __future__ import annotations

import re
from typing import Any

import pytest

from callward.siprec.inspection import inspect
from tests.siprec.documents import CORPUS, START, sample


def look(name: str) -> dict[str, Any]:
    return inspect(sample(name), at=START)


def numbers(found: dict[str, Any]) -> list[str]:
    return [party["number"] for party in found["parties"]]


def heard(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(stream["label"], stream["party"], stream["direction"]) for stream in found["streams"]]


def codes(found: dict[str, Any]) -> list[str]:
    return [warning.partition(":")[0] for warning in found["warnings"]]


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*-*")), ids=lambda path: path.name)
def test_every_sample_is_understood(path: Any) -> None:
    found = inspect(path.read_bytes(), at=START)
    assert "nothing_understood" not in codes(found)
    assert "sip_malformed" not in codes(found)
    assert found["vendor"] == path.name.partition("-")[0] or found["vendor"] == "unknown"


def test_cisco_cube() -> None:
    found = look("cisco-cube-invite.sip")
    assert found["vendor"] == "cisco"
    assert [(party["number"], party["name"]) for party in found["parties"]] == [
        ("+3225550101", "Noor Peeters"),
        ("4711", ""),
    ]
    assert heard(found) == [
        ("1", "sip:+3225550101@203.0.113.21", "sendonly"),
        ("2", "sip:4711@203.0.113.22", "sendonly"),
    ]
    assert found["session_ids"]["sip_session_local"] == "4f2c1d0a9b8e57635f1e2d3c4b5a6978"
    assert found["session_ids"]["sip_session_remote"] == "9a8b7c6d5e4f30211203f4e5d6c7b8a9"
    assert found["session_ids"]["cisco_guid"].startswith("1639105492")
    assert codes(found) == ["body_not_closed"]


def test_cisco_cube_hold_is_a_pause_and_no_end() -> None:
    found = look("cisco-cube-hold.sip")
    assert found["state"] == "paused"
    assert [direction for _, _, direction in heard(found)] == ["inactive", "inactive"]


def test_cisco_network_based_recording_names_its_parties_in_headers() -> None:
    found = look("cisco-cube-network-based.sip")
    assert numbers(found) == ["+3225550101", "4711"]
    assert [party for _, party, _ in heard(found)] == ["sip:+3225550101@203.0.113.21", "sip:4711@203.0.113.22"]


def test_cisco_built_in_bridge_has_a_dialog_per_side() -> None:
    near, far = look("cisco-cucm-bib-near.sip"), look("cisco-cucm-bib-far.sip")
    assert (numbers(near), numbers(far)) == (["4711"], ["+3225550101"])
    assert near["session_ids"]["near_end_ref"] == far["session_ids"]["near_end_ref"] == "27298698"


def test_oracle() -> None:
    found = look("oracle-invite.sip")
    assert found["vendor"] == "oracle"
    assert [(party["number"], party["name"], party["role"]) for party in found["parties"]] == [
        ("+3225550102", "Lena Maes", "caller"),
        ("+3225550103", "Service desk", "called"),
    ]
    assert heard(found) == [
        ("201", "sip:+3225550102@198.51.100.20", "sendonly"),
        ("202", "tel:+32-2-555.01.03", "sendonly"),
    ]
    assert found["extensions"]["apkt:ucid"] == "00FA080400200a5f1c6d;encoding=hex"
    assert found["extensions"]["apkt:request-uri"] == "sip:+3225550103@198.51.100.1:5060"
    assert found["session_ids"]["ucid"] == "00FA080400200a5f1c6d"
    assert found["session_ids"]["sip_call_id"] == "a84b4c76e66710@198.51.100.20"


def test_oracle_begins_with_one_stream() -> None:
    found = look("oracle-one-stream-invite.sip")
    assert heard(found) == [("201", "sip:+3225550102@198.51.100.20", "sendonly")]
    assert len(found["parties"]) == 2


def test_oracle_old_document_with_urn_uuids() -> None:
    found = look("oracle-old-document.xml")
    assert found["vendor"] == "oracle"
    assert [(party["number"], party["name"]) for party in found["parties"]] == [
        ("+3225550104", "Tess"),
        ("+3225550105", ""),
    ]
    assert [party for _, party, _ in heard(found)] == ["sip:+3225550104@198.51.100.24", "sip:+3225550105@198.51.100.25"]


@pytest.mark.parametrize("name", ["ribbon-invite.sip", "ribbon-invite-unprefixed.sip"])
def test_ribbon(name: str) -> None:
    found = look(name)
    assert found["vendor"] == "ribbon"
    assert [(party["number"], party["role"]) for party in found["parties"]] == [
        ("+3225550106", "caller"),
        ("+3225550107", "called"),
    ]
    assert [party for _, party, _ in heard(found)] == ["+3225550106@198.51.100.30", "+3225550107@198.51.100.31"]
    assert found["session_ids"]["gcid"] == "268442371"
    assert found["session_ids"]["sip_call_id"] == "67207_1043981@198.51.100.30"
    assert set(codes(found)) == {"body_not_closed", "clock_not_set"}


def test_ribbon_tells_the_end_in_a_bye() -> None:
    found = look("ribbon-bye.sip")
    assert found["state"] == "ended"
    assert numbers(found) == ["+3225550106", "+3225550107"]


def test_broadworks_mixed() -> None:
    found = look("broadworks-invite.sip")
    assert (found["vendor"], found["direction"], found["state"]) == ("broadworks", "in", "recording")
    assert [(party["number"], party["role"], party["recorded"]) for party in found["parties"]] == [
        ("+3225550110", "called", True),
        ("+3225550111", "caller", False),
    ]
    assert heard(found) == [("1", "sip:+3225550110@bw.example, sip:+3225550111@pstn.example", "sendonly")]
    assert found["session_ids"]["ext_tracking_id"] == "45689:1"
    assert found["session_ids"]["broadworks_call_id"] == "callhalf-1293:0"
    assert found["extensions"]["callType"]["termCall"]["redirectInfo"]["numOfRedirections"] == "1"


def test_broadworks_two_streams_outgoing_from_a_call_centre() -> None:
    found = look("broadworks-two-streams-invite.sip")
    assert found["direction"] == "out"
    assert [party["role"] for party in found["parties"]] == ["caller", "called"]
    assert [party for _, party, _ in heard(found)] == ["sip:+3225550110@bw.example", "sip:+3225550111@pstn.example"]
    assert found["extensions"]["acd"] == {
        "acdUserId": "queue7@bw.example",
        "acdName": "Support",
        "acdNumber": "+3225550170",
    }


def test_broadworks_holds_with_a_zero_address_and_no_direction() -> None:
    found = look("broadworks-hold.sip")
    assert found["state"] == "paused"
    assert [direction for _, _, direction in heard(found)] == ["inactive"]


def test_broadworks_redirect_has_new_ids_that_lead_on() -> None:
    found = look("broadworks-redirect.sip")
    assert found["session_ids"]["new_ext_tracking_id"] == "45702:1"
    assert found["extensions"]["redirectedCall"]["redirectedToPartynumber"] == "+3225550112"
    assert "+3225550112" in numbers(found)


def test_broadworks_bye_with_an_odd_cseq_method() -> None:
    assert look("broadworks-bye.sip")["state"] == "ended"


def test_webex_numbers_come_from_the_header_and_the_extension() -> None:
    found = look("webex-invite.sip")
    assert (found["vendor"], found["direction"]) == ("webex", "in")
    assert [(party["number"], party["name"], party["role"]) for party in found["parties"]] == [
        ("+3225550120", "Sam Willems", "called"),
        ("+3225550121", "Outside caller", "caller"),
    ]
    assert found["session_ids"]["ext_tracking_id"] == "45689:1"
    assert found["session_ids"]["session_id"].startswith("11112222")


def test_webex_conference_adds_a_party_without_scheme() -> None:
    found = look("webex-conference-update.sip")
    assert (found["parties"][0]["number"], found["parties"][0]["name"]) == ("+3225550122", "Third one")
    assert "partial_without_complete" in codes(found)


def test_metaswitch() -> None:
    found = look("metaswitch-invite.sip")
    assert (found["vendor"], found["direction"]) == ("metaswitch", "out")
    assert found["session_ids"]["recording"] == "rec-0007734"
    assert [(party["number"], party["recorded"]) for party in found["parties"]] == [
        ("+3225550130", True),
        ("+3225550131", False),
    ]
    assert heard(found) == [("1", "sip:+3225550130@msw.example, sip:+3225550131@msw.example;user=phone", "sendonly")]
    assert found["extensions"]["dialedDigits"] == "0025550131"


def test_metaswitch_holds_with_a_zero_address_and_resumes_elsewhere() -> None:
    assert look("metaswitch-hold.sip")["state"] == "paused"
    assert look("metaswitch-resume.sip")["state"] == "recording"


def test_avaya_dummy_party_is_nobody() -> None:
    found = look("avaya-invite.sip")
    assert found["vendor"] == "avaya"
    assert numbers(found) == ["+3225550140"]
    assert found["session_ids"]["ucid"] == "00025000161502223365"
    assert "dummy_party" in codes(found)


def test_avaya_true_party_comes_in_an_update() -> None:
    found = look("avaya-update.sip")
    assert found["vendor"] == "avaya"
    assert numbers(found) == ["+3225550140", "+3225550141"]
    assert [party for _, party, _ in heard(found)] == ["sip:+3225550140@198.51.100.40", "sip:+3225550141@198.51.100.41"]


def test_audiocodes() -> None:
    found = look("audiocodes-invite.sip")
    assert found["vendor"] == "audiocodes"
    assert found["session_ids"]["ucid"] == "FA080030C4E34B5B9E59"
    assert found["session_ids"]["genesys_uuid"] == "4BOKLLA3VH66JF112M1CC9VHKS14F0KP"
    assert found["extensions"]["ac:AvayaUCID"] == "FA080030C4E34B5B9E59"
    assert numbers(found) == ["+3225550150", "+3225550151"]
    assert [party for _, party, _ in heard(found)] == ["+3225550150@198.51.100.50", "+3225550151@198.51.100.51"]


def test_audiocodes_pauses_by_a_header() -> None:
    assert look("audiocodes-pause-info.sip")["state"] == "paused"


def test_opensips_without_connection_and_associations() -> None:
    found = look("opensips-invite.sip")
    assert (found["vendor"], found["state"]) == ("opensips", "recording")
    assert [(party["number"], party["name"]) for party in found["parties"]] == [("", ""), ("+3225550161", "Bob")]
    assert [party for _, party, _ in heard(found)] == ["sip:alice@198.51.100.60", "sip:%2B3225550161@198.51.100.61"]


def test_frafos_labels_name_the_legs_whatever_the_order() -> None:
    found = look("frafos-invite.sip")
    assert found["vendor"] == "frafos"
    assert heard(found) == [
        ("b_leg", "3225550171@198.51.100.71", "sendonly"),
        ("a_leg", "3225550170@198.51.100.70", "sendonly"),
    ]


def test_jambonz_swapped_numbers_are_put_right() -> None:
    found = look("jambonz-invite.sip")
    assert (found["vendor"], found["direction"]) == ("jambonz", "in")
    assert [(party["number"], party["role"]) for party in found["parties"]] == [
        ("+3225550180", "caller"),
        ("+3225550181", "called"),
    ]
    assert found["extensions"]["jb:callednumber"] == "+3225550181"
    assert found["extensions"]["jb:callingnumber"] == "+3225550180"
    assert "swapped_numbers" in codes(found)


def test_jambonz_pauses_with_sdp_only() -> None:
    assert look("jambonz-pause.sip")["state"] == "paused"


def test_phrsite_is_known_by_its_hyphen() -> None:
    found = look("phrsite-invite.sip")
    assert found["vendor"] == "phrsite"
    assert numbers(found) == ["+3225550190", ""]


def test_genesys() -> None:
    found = look("genesys-invite.sip")
    assert found["vendor"] == "genesys"
    assert found["session_ids"]["genesys_uuid"] == "4BOKLLA3VH66JF112M1CC9VHKS14F0KP"
    assert look("genesys-options.sip")["parties"] == []


def test_rfc_7865_document_is_of_no_vendor() -> None:
    found = look("rfc7865-document.xml")
    assert (found["vendor"], found["state"], found["warnings"]) == ("unknown", "recording", [])


@pytest.mark.parametrize(
    ("before", "then"),
    [
        (b"@10293847.bcld.webex.com</userID>", b"</userID>"),  # the opaque id without its host
        (b"callingPartyNumber", b"otherNumber"),  # only one number in the extension
    ],
)
def test_webex_numbers_in_other_spellings(before: bytes, then: bytes) -> None:
    found = inspect(sample("webex-invite.sip").replace(before, then), at=START)
    assert found["parties"][0]["number"] == "+3225550120"


def test_webex_number_only_in_the_header() -> None:
    data = (
        sample("webex-invite.sip").replace(b"PartyNumber>", b"PartyOpaque>").replace(b"dialedDigits", b"opaqueDigits")
    )
    assert inspect(data, at=START)["parties"][0]["number"] == "+3225550120"


@pytest.mark.parametrize(
    ("name", "remove", "vendor"),
    [
        ("oracle-invite.sip", rb"<extensiondata.*?</extensiondata>", "oracle"),
        ("metaswitch-invite.sip", rb"<metaswitch.*</metaswitchRecordingMetadata>", "metaswitch"),
        ("avaya-update.sip", rb"User-to-User:[^\r]*\r\n", "avaya"),
        ("opensips-invite.sip", rb"User-Agent:[^\r]*\r\n", "opensips"),
    ],
)
def test_who_does_not_name_itself_is_known_by_its_habits(name: str, remove: bytes, vendor: str) -> None:
    nameless = re.sub(remove, b"", sample(name), flags=re.DOTALL)
    assert inspect(nameless, at=START)["vendor"] == vendor
    named = nameless.replace(b"Max-Forwards", b"User-Agent: somebody else\r\nMax-Forwards", 1)
    assert inspect(named, at=START)["vendor"] == "unknown"
