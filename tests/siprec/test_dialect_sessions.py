"""Whole recording sessions of the dialects: what later messages make of what the first one said."""

from __future__ import annotations

from callward.siprec.inspection import observe_file
from callward.siprec.picture import Picture, RecordingState, Role
from callward.siprec.picturing import picture
from callward.siprec.stream_plan import PlannedStream, plan_streams
from tests.siprec.documents import at, sample, told


def after(*names: str) -> Picture:
    return picture(told(*(observe_file(sample(name)) for name in names)))


def plans(*names: str) -> list[list[str]]:
    previous: tuple[PlannedStream, ...] = ()
    found = []
    for name in names:
        streams = observe_file(sample(name)).streams
        assert streams is not None
        previous = plan_streams(previous, streams)
        found.append([step.action.value for step in previous])
    return found


def heard(found: Picture) -> list[list[str]]:
    numbers = {party.id: party.number for party in found.parties}
    return [[numbers[key] for key in stream.parties] for stream in found.streams]


def test_cisco_hold_keeps_the_call_and_pauses_both_streams() -> None:
    found = after("cisco-cube-invite.sip", "cisco-cube-hold.sip")
    assert found.state is RecordingState.PAUSED
    assert (len(found.calls), found.calls[0].ended_at, found.calls[0].on_hold) == (1, None, True)
    assert heard(found) == [["+3225550101"], ["4711"]]
    assert plans("cisco-cube-invite.sip", "cisco-cube-hold.sip", "cisco-cube-invite.sip") == [
        ["open", "open"],
        ["pause", "pause"],
        ["resume", "resume"],
    ]


def test_oracle_second_stream_comes_after_the_answer() -> None:
    assert plans("oracle-one-stream-invite.sip", "oracle-invite.sip") == [["open"], ["update", "open"]]
    found = after("oracle-one-stream-invite.sip", "oracle-invite.sip")
    assert len(found.calls) == 1
    assert heard(found) == [["+3225550102"], ["+3225550103"]]


def test_ribbon_bye_ends_the_call_with_its_metadata() -> None:
    found = after("ribbon-invite.sip", "ribbon-bye.sip")
    assert found.state is RecordingState.ENDED
    assert [(call.started_at, call.ended_at) for call in found.calls] == [(at(0), at(10))]
    assert [party.left_at for party in found.parties] == [at(10), at(10)]
    assert "partial_without_complete" not in [oddity.code for oddity in found.oddities]


def test_broadworks_holds_and_resumes_with_sdp_only() -> None:
    assert plans("broadworks-invite.sip", "broadworks-hold.sip", "broadworks-invite.sip") == [
        ["open"],
        ["pause"],
        ["resume"],
    ]
    found = after("broadworks-invite.sip", "broadworks-hold.sip")
    assert (found.vendor, found.state) == ("broadworks", RecordingState.PAUSED)
    assert heard(found) == [["+3225550110", "+3225550111"]]


def test_broadworks_redirect_ends_one_call_and_begins_the_next_on_the_same_stream() -> None:
    found = after("broadworks-invite.sip", "broadworks-redirect.sip")
    assert [(call.started_at, call.ended_at) for call in found.calls] == [(at(0), at(10)), (at(10), None)]
    first, second = found.calls
    assert first.session_ids["ext_tracking_id"] == second.session_ids["ext_tracking_id"]
    assert second.session_ids["new_ext_tracking_id"] == "45702:1"
    assert "new_ext_tracking_id" not in first.session_ids
    assert found.streams[0].calls == (second.key,)
    assert heard(found) == [["+3225550110", "+3225550112"]]


def test_webex_conference_keeps_the_first_two() -> None:
    found = after("webex-invite.sip", "webex-conference-update.sip")
    assert [(party.number, party.role, party.joined_at) for party in found.calls[0].parties] == [
        ("+3225550120", Role.CALLED, at(0)),
        ("+3225550121", Role.CALLER, at(0)),
        ("+3225550122", Role.OTHER, at(10)),
    ]
    assert heard(found) == [["+3225550120"], ["+3225550121", "+3225550122"]]
    assert found.state is RecordingState.RECORDING


def test_metaswitch_resumes_with_another_codec_and_port() -> None:
    names = ("metaswitch-invite.sip", "metaswitch-hold.sip", "metaswitch-resume.sip")
    assert plans(*names) == [["open"], ["pause"], ["resume"]]
    found = after(*names)
    assert (found.vendor, found.state) == ("metaswitch", RecordingState.RECORDING)
    assert heard(found) == [["+3225550130", "+3225550131"]]


def test_avaya_update_replaces_the_dummy() -> None:
    found = after("avaya-invite.sip", "avaya-update.sip")
    assert [party.number for party in found.parties] == ["+3225550140", "+3225550141"]
    assert heard(found) == [["+3225550140"], ["+3225550141"]]
    assert len(found.calls) == 1


def test_jambonz_pause_keeps_the_parties() -> None:
    found = after("jambonz-invite.sip", "jambonz-pause.sip")
    assert (found.vendor, found.state) == ("jambonz", RecordingState.PAUSED)
    assert heard(found) == [["+3225550180"], ["+3225550181"]]
