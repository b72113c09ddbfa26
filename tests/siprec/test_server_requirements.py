"""S01-S42 of docs/reference/siprec-support.md, as far as they are decided without I/O."""

from __future__ import annotations

from dataclasses import replace

import pytest
from lxml import etree

from callward.sip.message import Request, parse
from callward.siprec import admission
from callward.siprec.admission import Accept, Refuse, assess_invite
from callward.siprec.history import ONLY_CALL
from callward.siprec.identifiers import identity_key
from callward.siprec.observation import Observation, observe, observe_body
from callward.siprec.offered import Direction
from callward.siprec.peer import AUTOMATIC, PROFILES, RELAXED, profile_named
from callward.siprec.picture import Picture, RecordingState
from callward.siprec.picturing import picture
from callward.siprec.reading import read_metadata
from callward.siprec.session import lose_state, snapshot_requested
from callward.siprec.snapshot_request import snapshot_request
from callward.siprec.storage_policy import StoragePolicy, apply_policy
from callward.siprec.stream_plan import Action, PlannedStream, plan_streams
from tests.siprec.documents import (
    at,
    both,
    document,
    heard,
    line,
    member,
    participant,
    sample,
    sdp,
    seen,
    session,
    stream,
    told,
    two_party_call,
)

CALL = document(two_party_call())


def message(name: str) -> Observation:
    parsed = parse(sample(name))
    assert isinstance(parsed, Request)
    return observe(parsed)


def planned(previous: tuple[PlannedStream, ...], *media: str, ready: bool = True) -> tuple[PlannedStream, ...]:
    streams = seen(sdp(*media)).streams
    assert streams is not None
    return plan_streams(previous, streams, ready=ready)


def actions(plan: tuple[PlannedStream, ...]) -> list[str]:
    return [step.action.value for step in plan]


def parties(found: Picture) -> list[str]:
    return [party.number for party in found.parties]


INVITE = Observation(method="INVITE", required=("siprec",), contact_parameters={"+sip.src": ""})


def test_s01_an_invite_with_option_and_feature_tag_is_a_recording_session() -> None:
    assert assess_invite(INVITE) == Accept()
    assert assess_invite(replace(INVITE, required=(), supported=("siprec",))) == Accept()


def test_s01_one_sign_is_not_enough_unless_the_profile_is_relaxed() -> None:
    without_tag = replace(INVITE, required=())
    without_feature = replace(INVITE, contact_parameters={})
    refused = assess_invite(without_tag)
    assert isinstance(refused, Refuse)
    assert (refused.status, refused.headers) == (421, (("Require", "siprec"),))
    refused = assess_invite(without_feature)
    assert isinstance(refused, Refuse)
    assert refused.status == 403
    for invite in (without_tag, without_feature):
        relaxed = assess_invite(invite, RELAXED)
        assert isinstance(relaxed, Accept)
        assert len(relaxed.oddities) == 1


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        ("broadworks-invite.sip", "broadworks"),
        ("webex-invite.sip", "webex"),
        ("opensips-invite.sip", "opensips"),
        ("jambonz-invite.sip", "jambonz"),
        ("phrsite-invite.sip", "phrsite"),
        ("cisco-cube-network-based.sip", "cisco-network"),
        ("cisco-cucm-bib-near.sip", "cisco-network"),
    ],
)
def test_s01_each_dialect_that_leaves_a_sign_out_is_taken_by_its_profile_only(name: str, profile: str) -> None:
    assert isinstance(assess_invite(message(name)), Refuse)
    assert isinstance(assess_invite(message(name), profile_named(profile)), Accept)


@pytest.mark.parametrize(
    "vendor", ["cisco", "oracle", "ribbon", "metaswitch", "avaya", "audiocodes", "frafos", "genesys"]
)
def test_s01_the_other_dialects_are_taken_strictly(vendor: str) -> None:
    name = "cisco-cube-invite.sip" if vendor == "cisco" else f"{vendor}-invite.sip"
    assert assess_invite(message(name), profile_named(vendor)) == Accept()


def test_s01_the_automatic_profile_takes_whoever_sends_metadata() -> None:
    assert isinstance(assess_invite(message("broadworks-invite.sip"), AUTOMATIC), Accept)
    assert isinstance(assess_invite(message("cisco-cube-network-based.sip"), AUTOMATIC), Refuse)


def test_s01_unknown_profiles_are_strict() -> None:
    assert profile_named("no such") is PROFILES["strict"]


def test_s02_unknown_require_is_refused_with_420_and_unsupported() -> None:
    refused = assess_invite(replace(INVITE, required=("siprec", "100rel", "timer", "teleport")))
    assert isinstance(refused, Refuse)
    assert (refused.status, refused.headers) == (420, (("Unsupported", "teleport"),))


def test_s02_siprec_100rel_and_timer_are_understood() -> None:
    assert assess_invite(replace(INVITE, required=("siprec", "100rel", "timer"))) == Accept()


def test_s03_contact_of_the_server_carries_sip_srs() -> None:
    assert "+sip.srs" in admission.SERVER_CONTACT_PARAMETERS


def test_s04_the_plan_has_a_step_for_each_m_line_in_order_and_rejects_with_port_0() -> None:
    plan = planned((), line("1"), line("9", kind="video"), line("2"))
    assert [step.label for step in plan] == ["1", "9", "2"]
    assert actions(plan) == ["open", "reject", "open"]
    assert [step.accepted for step in plan] == [True, False, True]


def test_s05_sendonly_is_answered_recvonly_and_inactive_inactive() -> None:
    plan = planned((), line("1", "sendonly"), line("2", "inactive"), line("3", "sendrecv"))
    assert [step.direction for step in plan] == [Direction.RECVONLY, Direction.INACTIVE, Direction.RECVONLY]
    assert [step.label for step in plan] == ["1", "2", "3"]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
def test_s06_one_two_three_and_more_m_lines_are_opened(count: int) -> None:
    plan = planned((), *(line(str(number)) for number in range(count)))
    assert actions(plan) == ["open"] * count


def test_s06_more_streams_than_the_limit_are_rejected_one_by_one() -> None:
    streams = seen(sdp(line("1"), line("2"), line("3"))).streams
    assert streams is not None
    assert actions(plan_streams((), streams, max_streams=2)) == ["open", "open", "reject"]


def test_s07_not_ready_answers_inactive_and_starts_later() -> None:
    first = planned((), line("1"), line("2"), ready=False)
    assert [(step.action, step.direction, step.flows) for step in first] == [
        (Action.OPEN, Direction.INACTIVE, False)
    ] * 2
    later = planned(first, line("1"), line("2"))
    assert [(step.action, step.direction, step.flows) for step in later] == [
        (Action.RESUME, Direction.RECVONLY, True)
    ] * 2


def test_s08_the_answer_never_has_more_m_lines_than_the_offer() -> None:
    first = planned((), line("1"), line("2"))
    again = planned(first, line("1"))
    assert [step.index for step in again if step.accepted] == [0]
    assert actions(again) == ["update", "close"]


def test_s09_the_server_starts_a_session_with_require_siprec_and_no_offer() -> None:
    assert admission.SERVER_STARTED_REQUIRE == "siprec"
    answer = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:srs@h>;tag=a\r\nTo: <sip:src@h>;tag=b\r\n"
    answer += b"Call-ID: 1\r\nCSeq: 1 INVITE\r\nContact: <sip:src@h>;+sip.src\r\nContent-Type: multipart/mixed;boundary=x\r\n\r\n"
    parsed = parse(answer + both(sdp(line("1"), line("2")), CALL))
    found = picture(told(observe(parsed)))
    assert parties(found) == ["+3225550001", "+3225550002"]
    assert found.state is RecordingState.RECORDING


def test_s10_parts_come_in_any_order_and_an_unknown_third_is_ignored() -> None:
    body = (
        b"--x\r\nContent-Type: application/rs-metadata+xml\r\n\r\n"
        + CALL
        + b"\r\n--x\r\nContent-Type: application/gtd\r\nContent-Disposition: signal;handling=optional\r\n\r\nIAM,\r\n"
        + b"--x\r\nContent-Type: application/SDP\r\n\r\n"
        + sdp(line("1"), line("2"))
        + b"\r\n--x--\r\n"
    )
    found = observe_body("multipart/mixed;boundary=x", body)
    assert len(found.metadata) == 1
    assert found.streams is not None
    assert len(found.streams) == 2
    assert found.other_parts == ("application/gtd",)


def test_s10_a_single_part_may_be_bare() -> None:
    assert seen(sdp(line("1"))).streams is not None
    assert seen(metadata=CALL).metadata


@pytest.mark.parametrize(
    "kind",
    [
        "application/rs-metadata",
        "application/rs-metadata+xml",
        'Application/RS-Metadata+XML;charset="utf-8"',
        "application/rs-metadata-request",
    ],
)
def test_s11_both_media_types_are_taken_with_parameters(kind: str) -> None:
    assert observe_body(kind, CALL).metadata


@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "BYE"])
def test_s12_metadata_is_applied_in_every_transaction(method: str) -> None:
    observation = replace(seen(metadata=CALL), method=method)
    assert parties(picture(told(observation))) == ["+3225550001", "+3225550002"]


@pytest.mark.parametrize(
    ("element", "mode"),
    [
        ("", "complete"),
        ("<dataMode>partial</dataMode>", "partial"),
        ("<datamode>partial</datamode>", "partial"),
        ("<datamode>Partial</datamode>", "partial"),
        ("<dataMode> PARTIAL </dataMode>", "partial"),
        ("<dataMode>Complete</dataMode>", "complete"),
        ("<dataMode>odd</dataMode>", "complete"),
    ],
)
def test_s13_data_mode_in_every_spelling(element: str, mode: str) -> None:
    reading = read_metadata(f'<recording xmlns="urn:ietf:params:xml:ns:recording:1">{element}</recording>'.encode())
    assert reading.metadata is not None
    assert reading.metadata.mode == mode


def test_s13_partial_metadata_merges_by_id() -> None:
    partial = document(participant("C", "sip:+3225550003@example.org") + member("C", "S"), "partial")
    found = picture(told(seen(metadata=CALL), seen(metadata=partial)))
    assert parties(found) == ["+3225550001", "+3225550002", "+3225550003"]
    assert found.calls[0].parties[2].joined_at == at(10)


def test_s14_a_complete_snapshot_replaces_what_was() -> None:
    other = document(session("S") + participant("C", "sip:+3225550003@example.org") + member("C", "S"))
    found = picture(told(seen(metadata=CALL), seen(metadata=other)))
    assert [(party.number, party.left_at) for party in found.parties] == [
        ("+3225550001", at(10)),
        ("+3225550002", at(10)),
        ("+3225550003", None),
    ]
    assert found.streams == ()


def test_s14_a_gap_in_the_sequence_asks_for_a_snapshot_and_a_late_document_is_not_applied() -> None:
    def numbered(number: int, aor: str) -> bytes:
        return document(f"<sequence>{number}</sequence>" + participant("C", aor), "partial")

    first = document("<sequence>1</sequence>" + two_party_call())
    state = told(seen(metadata=first), seen(metadata=numbered(3, "sip:+3225550003@x")))
    assert state.needs_snapshot
    late = told(
        seen(metadata=first),
        seen(metadata=numbered(2, "sip:+3225550003@x")),
        seen(metadata=numbered(1, "sip:+3225550009@x")),
    )
    assert not late.needs_snapshot
    assert "+3225550009" not in parties(picture(late))


def test_s15_a_lost_state_asks_for_a_snapshot_in_an_update_without_sdp() -> None:
    partial = document(participant("C", "sip:+3225550003@example.org"), "partial")
    state = told(seen(metadata=partial))
    assert state.needs_snapshot
    assert not snapshot_requested(state).needs_snapshot
    assert lose_state(told(seen(metadata=CALL))).needs_snapshot
    request = snapshot_request("SRS <internal> error")
    assert request.method == "UPDATE"
    assert dict(request.headers)["Content-Disposition"] == "recording-session"
    root = etree.fromstring(request.body)
    assert root.tag == "{urn:ietf:params:xml:ns:recording:1}requestsnapshot"
    assert root[0].text == "SRS <internal> error"
    reading = read_metadata(request.body)
    assert reading.metadata is not None
    assert (reading.metadata.snapshot_requested, reading.metadata.snapshot_reason) == (True, "SRS <internal> error")


@pytest.mark.parametrize(
    "broken", [b"", b"\x00\x01", b"<recording", b"not xml", b"<other/>", b"<!DOCTYPE x><recording/>"]
)
def test_s16_broken_metadata_is_kept_raw_and_flagged_and_the_streams_go_on(broken: bytes) -> None:
    observation = observe_body("multipart/mixed;boundary=x", both(sdp(line("1"), line("2")), broken))
    found = picture(told(observation))
    assert found.state is RecordingState.RECORDING
    assert len(found.streams) == 2
    assert found.oddities
    assert [part.body for part in observation.raw_metadata] == [broken]


def test_s17_one_uuid_for_two_elements_is_flagged_whatever_its_spelling() -> None:
    uuid = "00112233-4455-6677-8899-aabbccddeeff"
    inner = session("ABEiM0RVZneImaq7zN3u/w==") + participant(f"urn:uuid:{uuid}", "sip:+3225550001@example.org")
    reading = read_metadata(document(inner))
    assert [oddity.code for oddity in reading.oddities] == ["id_reused"]
    assert reading.metadata is not None
    assert len(reading.metadata.participants) == 1


def test_s18_the_same_id_from_two_clients_joins_legs() -> None:
    one, other = (picture(told(seen(metadata=CALL))) for _ in range(2))
    assert one.calls[0].key == other.calls[0].key
    assert not one.oddities
    assert identity_key("urn:uuid:00112233-4455-6677-8899-AABBCCDDEEFF") == identity_key("ABEiM0RVZneImaq7zN3u/w==")


def test_s20_unknown_elements_at_every_level_are_kept() -> None:
    extra = '<x:note xmlns:x="http://example.com/x" kind="k">{}</x:note>'
    inner = (
        extra.format("recording")
        + f'<group group_id="G">{extra.format("group")}</group>'
        + session("S", "<group-ref>G</group-ref>" + extra.format("session"))
        + participant("A", "sip:a@example.org", extra.format("participant"))
        + stream("TA", "S", "1", extra.format("stream"))
    )
    found = picture(told(seen(metadata=document(inner))))
    assert [value["text"] for value in found.extensions["x:note"]] == ["recording", "group", "session"]
    assert found.extensions["participants"] == {"sip:a@example.org": {"x:note": {"@kind": "k", "text": "participant"}}}
    assert found.extensions["streams"] == {"1": {"x:note": {"@kind": "k", "text": "stream"}}}


def test_s21_times_without_zone_or_of_1970_do_not_misfile_the_call() -> None:
    inner = (
        session("S", "<start-time>1970-01-01T00:00:09Z</start-time>")
        + participant("A", "sip:a@example.org")
        + member("A", "S")
    )
    found = picture(told(seen(metadata=document(inner))))
    assert found.calls[0].started_at == at(0)
    assert found.calls[0].claimed_start_at is None
    assert [oddity.code for oddity in found.oddities] == ["clock_not_set"]
    zoneless = picture(told(seen(metadata=document(session("S", "<start-time>2026-03-02T09:00:00</start-time>")))))
    assert zoneless.calls[0].claimed_start_at == at(0)


def test_s22_a_stream_is_removed_and_its_slot_used_again() -> None:
    first = planned((), line("1"), line("2"))
    removed = planned(first, line("1"), line("2", port=0))
    assert actions(removed) == ["update", "close"]
    still = planned(removed, line("1"), line("2", port=0))
    assert actions(still) == ["update", "reject"]
    again = planned(still, line("1"), line("3"), line("4"))
    assert actions(again) == ["update", "open", "open"]


@pytest.mark.parametrize("paused", [line("1", "inactive"), "c=0"])
def test_s23_pause_by_inactive_or_zero_address_and_resume(paused: str) -> None:
    first = planned((), line("1"))
    if paused == "c=0":
        streams = seen(sdp(line("1"), connection="c=IN IP4 0.0.0.0\r\n")).streams
        assert streams is not None
        second = plan_streams(first, streams)
    else:
        second = planned(first, paused)
    assert [(step.action, step.direction, step.flows) for step in second] == [(Action.PAUSE, Direction.INACTIVE, False)]
    assert actions(planned(second, line("1", "inactive"))) == ["update"]
    third = planned(second, line("1"))
    assert [(step.action, step.flows) for step in third] == [(Action.RESUME, True)]


def test_s23_an_update_with_sendonly_is_the_normal_state_and_no_hold() -> None:
    first = planned((), line("1"))
    assert [(step.action, step.flows) for step in planned(first, line("1", "sendonly"))] == [(Action.UPDATE, True)]


def test_s23_a_missing_connection_or_an_origin_of_zero_is_no_pause() -> None:
    streams = seen(
        sdp(line("1"), connection="").replace(b"o=- 1 1 IN IP4 203.0.113.1", b"o=- 1 1 IN IP4 0.0.0.0")
    ).streams
    assert streams is not None
    assert streams[0].flows


def test_s24_a_hold_of_the_call_is_no_end_and_the_streams_keep_their_parties() -> None:
    hold = document(heard("A") + heard("B"), "partial")
    found = picture(told(seen(sdp(line("1"), line("2")), CALL), seen(metadata=hold)))
    assert found.calls[0].on_hold
    assert found.state is RecordingState.RECORDING
    assert [stream.parties for stream in found.streams] == [("A",), ("B",)]


def test_s25_metadata_may_describe_streams_that_have_no_m_line() -> None:
    inner = two_party_call() + stream("V", "S", "9", "<content-type>video</content-type>")
    found = picture(told(seen(sdp(line("1"), line("2")), document(inner))))
    assert [(stream.label, stream.parties) for stream in found.streams] == [("1", ("A",)), ("2", ("B",))]


def test_s25_two_described_streams_over_one_m_line() -> None:
    found = picture(told(seen(sdp(line("1")), CALL)))
    assert [(stream.label, stream.parties) for stream in found.streams] == [("1", ("A",))]


def test_s31_video_is_rejected_with_port_0() -> None:
    assert actions(planned((), line("1"), line("2"), line("3", kind="video"), line("4", kind="video"))) == [
        "open", "open", "reject", "reject",
    ]  # fmt: skip


def test_s34_a_persistent_session_has_calls_one_after_another() -> None:
    stop = document(session("S", "<stop-time>2026-03-02T09:00:10Z</stop-time>"), "partial")
    second = document(two_party_call("2"), "partial")
    state = told(seen(sdp(line("1"), line("2")), CALL), seen(metadata=stop))
    assert picture(state).calls[0].ended_at == at(10)
    assert not state.ended
    found = picture(told(seen(sdp(line("1"), line("2")), CALL), seen(metadata=stop), seen(metadata=second)))
    assert [(call.key, call.started_at, call.ended_at) for call in found.calls] == [
        ("S", at(0), at(10)),
        ("S2", at(20), None),
    ]
    assert found.state is RecordingState.RECORDING
    assert [stream.parties for stream in found.streams] == [("A2",), ("B2",)]


def test_s34_the_next_call_on_a_label_has_its_own_parties_even_without_associations() -> None:
    stop = document(session("S", "<stop-time>2026-03-02T09:00:10Z</stop-time>"), "partial")
    bare = two_party_call("2").partition("<participantstreamassoc")[0]
    found = picture(
        told(seen(sdp(line("1"), line("2")), CALL), seen(metadata=stop), seen(metadata=document(bare, "partial")))
    )
    assert [call.key for call in found.calls if call.ended_at is None] == ["S2"]
    assert [stream.parties for stream in found.streams] == [("A2",), ("B2",)]


def test_s34_a_thousand_calls_on_one_session_stay_bounded() -> None:
    observations = [seen(metadata=CALL)]
    for number in range(200):
        observations.append(seen(metadata=document(two_party_call(str(number)), "partial")))
        observations.append(
            seen(metadata=document(session(f"S{number}", "<stop-time>2026-03-02T09:00:10Z</stop-time>"), "partial"))
        )
    state = told(*observations)
    assert len(state.calls) <= 64
    assert len(state.snapshot.sessions) <= 64
    assert state.calls[-1].key == "S199"
    assert [member.key for member in state.calls[-1].members] == ["A199", "B199"]
    assert [party.number for party in picture(state).calls[-1].parties] == ["+3225550001", "+3225550002"]
    assert "TA199" in state.snapshot.streams


def test_s35_a_turret_mixes_two_calls_in_one_stream() -> None:
    inner = (
        session("S1") + session("S2") + participant("T", "sip:trader@example.org") + participant("A", "sip:a@example.org")
        + participant("B", "sip:b@example.org") + stream("M", "", "1")
        + member("T", "S1") + member("A", "S1") + member("T", "S2") + member("B", "S2")
        + heard("T", ("M",)) + heard("A", ("M",)) + heard("B", ("M",))
    )  # fmt: skip
    found = picture(told(seen(sdp(line("1")), document(inner))))
    assert [call.key for call in found.calls] == ["S1", "S2"]
    assert [[party.id for party in call.parties] for call in found.calls] == [["T", "A"], ["T", "B"]]
    assert found.streams[0].calls == ("S1", "S2")
    assert found.streams[0].parties == ("T", "A", "B")


def test_s36_a_transfer_keeps_who_left_and_the_group() -> None:
    inner = two_party_call().replace('<session session_id="S">', '<session session_id="S"><group-ref>G</group-ref>')
    transfer = document(
        member("B", "S", left="2026-03-02T09:00:10Z")
        + participant("C", "sip:+3225550003@example.org")
        + member("C", "S"),
        "partial",
    )
    found = picture(told(seen(metadata=document('<group group_id="G"/>' + inner)), seen(metadata=transfer)))
    assert [(party.id, party.joined_at, party.left_at) for party in found.calls[0].parties] == [
        ("A", at(0), None),
        ("B", at(0), at(10)),
        ("C", at(10), None),
    ]
    assert found.calls[0].session_ids["group"] == "G"


def test_s36_who_comes_back_has_two_stays() -> None:
    leave = document(member("B", "S", left="2026-03-02T09:00:10Z"), "partial")
    back = document(
        '<participantsessionassoc participant_id="B" session_id="S">'
        "<associate-time>2026-03-02T09:00:20Z</associate-time></participantsessionassoc>",
        "partial",
    )
    found = picture(told(seen(metadata=CALL), seen(metadata=leave), seen(metadata=back)))
    party = found.calls[0].parties[1]
    assert party.stays == ((at(0), at(10)), (at(20), None))
    assert party.left_at is None


def test_s37_conference_parties_join_by_a_metadata_only_update() -> None:
    joins = document(participant("C", "+3225550003@example.org") + member("C", "S") + heard("C", ("TB",)), "partial")
    found = picture(told(seen(sdp(line("1"), line("2")), CALL), seen(metadata=joins)))
    assert [(party.id, party.joined_at) for party in found.calls[0].parties][-1] == ("C", at(10))
    assert found.streams[1].parties == ("B", "C")


def test_s38_streams_are_opened_without_metadata() -> None:
    found = picture(told(seen(sdp(line("1"), line("2")))))
    assert len(found.streams) == 2
    assert found.calls == ()


def test_s38_metadata_that_comes_later_names_the_streams() -> None:
    found = picture(told(seen(sdp(line("1"), line("2"))), seen(metadata=CALL)))
    assert [stream.parties for stream in found.streams] == [("A",), ("B",)]
    assert found.calls[0].key != ONLY_CALL


def test_s39_text_is_recorded() -> None:
    assert actions(planned((), line("1"), line("2"), line("3", kind="text"))) == ["open", "open", "open"]


def test_s41_a_policy_drops_and_masks_before_anything_is_stored() -> None:
    inner = (
        two_party_call()
        + '<x:pin xmlns:x="http://example.com/x">1234</x:pin><x:note xmlns:x="http://example.com/x">secret</x:note>'
    )
    policy = StoragePolicy.of(drop=["x:pin"], mask=["nameID/@aor", "note", "send", "@session_id"])
    kept = apply_policy(seen(metadata=document(inner)), policy)
    raw = kept.raw_metadata[0].body
    assert b"1234" not in raw
    assert b"secret" not in raw
    assert b"+3225550001" not in raw
    found = picture(told(kept))
    assert found.extensions == {"x:note": "***"}
    assert [party.aor for party in found.parties] == ["***", "***"]
    assert [stream.parties for stream in found.streams] == [("A",), ("B",)], "associations cannot be dropped"


def test_s41_what_cannot_be_filtered_is_not_stored() -> None:
    kept = apply_policy(seen(metadata=b"<!DOCTYPE x><recording>secret</recording>"), StoragePolicy.of(drop=["name"]))
    assert kept.raw_metadata[0].body == b""
    assert "metadata_not_stored" in [oddity.code for oddity in kept.oddities]


def test_s41_without_a_policy_all_is_stored_as_it_came() -> None:
    observation = seen(metadata=CALL)
    assert apply_policy(observation, StoragePolicy()) is observation
