"""The core of a recording session: facts in, actions out. Row ids are those of the SIPREC guide."""

from __future__ import annotations

import json

from callward.media.protocol import TrackSettings
from callward.recorder import negotiation
from callward.recorder.actions import CloseTrack, DiscardTrack, OpenTrack, RequestSnapshot, RotateTrack, UpdateTrack
from callward.recorder.session_data import from_json, to_json
from callward.records.events import RecordingEnded, RecordingStarted, RecordingUpdated
from callward.siprec.oddity import Oddity
from tests.recorder.recorded_dialog import (
    START,
    TWO_PARTIES,
    TWO_STREAMS,
    World,
    message,
    metadata,
    sdp,
)

CALL_A = metadata("call-a", parties=TWO_PARTIES, streams=TWO_STREAMS)


def begun(xml: str = CALL_A) -> World:
    world = World()
    world.offer("INVITE", sdp("1:sendonly", "2:sendonly"), xml)
    return world


def test_a_call_is_one_recording_with_a_track_per_stream() -> None:
    world = begun()
    [started] = world.of(RecordingStarted)
    assert [track.label for track in started.tracks] == ["1", "2"]
    assert [track.parties for track in started.tracks] == [["p-alice"], ["p-bob"]]
    [call] = started.calls
    assert {party.name for party in call.parties} == {"alice", "bob"}
    assert call.session_ids["communication_session"] == "call-a"
    world.later(60)
    world.bye()
    [ended] = world.of(RecordingEnded)
    assert ended.recording == started.recording
    assert ended.why == "bye"
    assert (ended.ended_at - ended.started_at).total_seconds() == 60
    assert ended.calls[0].conversation == call.conversation
    assert ended.calls[0].ended_at == ended.ended_at
    assert len(ended.metadata) == 1
    assert world.open == {}
    assert world.core.finished


def test_s04_s05_the_answer_keeps_order_labels_and_payload_types() -> None:
    world = World()
    offer = sdp("10:sendonly", "20:inactive", "30:sendonly:0")
    answer = world.offer("INVITE", offer, "")
    assert [media.label for media in answer.media] == ["10", "20", "30"]
    assert [media.port == 0 for media in answer.media] == [False, False, True]
    assert [str(media.own_direction) for media in answer.media][:2] == ["recvonly", "inactive"]
    assert answer.media[0].formats == ("8", "101")
    assert "PCMA/8000" in str(answer) and "telephone-event/8000" in str(answer)


def test_one_mixed_stream_and_three_streams_are_taken_too() -> None:
    for labels in (("1",), ("1", "2", "3")):
        world = World()
        world.offer("INVITE", sdp(*[f"{label}:sendonly" for label in labels]))
        assert len(world.open) == len(labels)


def test_the_end_is_told_only_when_every_track_is_closed() -> None:
    world = begun()
    actions = world.core.end("bye", world.at)
    assert [type(action) for action in actions] == [CloseTrack, CloseTrack]
    assert world.core.take_events() == []
    first, second = actions
    world.core.closed(first.track, 500)
    assert world.core.take_events() == []
    world.core.closed(second.track, 500)
    [ended] = world.core.take_events()
    assert isinstance(ended, RecordingEnded)


def test_s12_metadata_in_update_and_bye_is_applied() -> None:
    world = begun(xml="")
    world.describe(CALL_A)
    world.later(5)
    world.bye(metadata("call-a!", parties=TWO_PARTIES, streams=TWO_STREAMS, mode="partial"))
    [ended] = world.of(RecordingEnded)
    [call] = ended.calls
    assert {party.name for party in call.parties} == {"alice", "bob"}
    assert len(ended.metadata) == 2


def test_metadata_that_comes_late_names_the_call_that_already_runs() -> None:
    world = begun(xml="")
    [started] = world.of(RecordingStarted)
    world.later(20)
    world.describe(CALL_A)
    world.bye()
    [ended] = world.of(RecordingEnded)
    assert len(world.of(RecordingStarted)) == 1
    assert [call.conversation for call in ended.calls] == [started.calls[0].conversation]
    assert ended.calls[0].session_ids["communication_session"] == "call-a"


def test_s16_odd_metadata_costs_no_audio_and_is_kept_raw() -> None:
    world = begun(xml="<recording><session this is no XML")
    world.bye()
    [ended] = world.of(RecordingEnded)
    assert len(ended.tracks) == 2
    assert "odd_metadata" in {problem.code for problem in ended.problems}
    assert ended.metadata[0].body_base64


def test_fault_16_streams_that_the_metadata_does_not_know_are_recorded_all_the_same() -> None:
    world = World()
    world.offer(
        "INVITE", sdp("1:sendonly", "99:sendonly"), metadata("call-a", parties="alice@call-a:1", streams="1@call-a")
    )
    world.bye()
    [ended] = world.of(RecordingEnded)
    assert [track.label for track in ended.tracks] == ["1", "99"]


def test_s23_pause_and_resume_reach_the_media_process_with_marks() -> None:
    world = begun()
    world.later(10)
    world.offer("INVITE", sdp("1:inactive", "2:inactive"))
    assert set(world.open.values()) == {"paused"}
    world.flush()
    assert world.of(RecordingUpdated)[-1].state == "paused"
    world.later(5)
    world.offer("INVITE", sdp("1:sendonly", "2:sendonly"))
    assert set(world.open.values()) == {"recording"}
    world.bye()
    [ended] = world.of(RecordingEnded)
    assert [(mark.kind, (mark.at - START).total_seconds()) for mark in ended.marks] == [("pause", 10), ("resume", 15)]
    assert len(ended.tracks) == 2


def test_s23_an_unspecified_address_pauses_too() -> None:
    world = begun()
    world.offer("INVITE", sdp("1:sendonly", "2:sendonly", address="0.0.0.0"))
    assert set(world.open.values()) == {"paused"}
    remotes = [action.changes for action in world.did(UpdateTrack)]
    assert all("remote" not in changes for changes in remotes)


def test_a_session_that_begins_inactive_is_paused_from_the_start() -> None:
    world = World()
    world.offer("INVITE", sdp("1:inactive", "2:inactive"), CALL_A)
    assert set(world.open.values()) == {"paused"}
    world.flush()
    assert world.of(RecordingUpdated)[-1].state == "paused"


def test_s22_a_removed_stream_that_comes_back_is_a_further_track_of_the_same_recording() -> None:
    world = begun()
    world.later(5)
    world.offer("INVITE", sdp("1:sendonly", "2:sendonly:0"))
    assert len(world.open) == 1
    world.later(5)
    world.offer("INVITE", sdp("1:sendonly", "2:sendonly"))
    world.offer("INVITE", sdp("1:sendonly", "2:sendonly", "3:sendonly"))
    world.bye()
    [ended] = world.of(RecordingEnded)
    assert [track.label for track in ended.tracks] == ["1", "2", "2", "3"]


def test_all_streams_removed_is_no_end_of_the_recording() -> None:
    world = begun()
    world.offer("INVITE", sdp("1:sendonly:0", "2:sendonly:0"))
    assert world.open == {}
    assert world.of(RecordingEnded) == []
    world.bye()
    assert len(world.of(RecordingEnded)) == 1


def test_s34_each_call_of_a_persistent_session_has_its_own_recording() -> None:
    world = begun()
    world.later(30)
    world.describe(metadata("call-a!", parties=TWO_PARTIES, streams=TWO_STREAMS, mode="partial"))
    assert len(world.did(RotateTrack)) == 2
    [ended] = world.of(RecordingEnded)
    assert ended.why == "call_ended"
    assert len(world.of(RecordingStarted)) == 1
    world.later(2)
    world.describe(metadata("call-b", parties="carol@call-b:1 dave@call-b:2", streams="1@call-b 2@call-b"))
    first, second = world.of(RecordingStarted)
    assert second.recording != first.recording
    assert {party.name for party in second.calls[0].parties} == {"carol", "dave"}
    world.later(30)
    world.bye()
    assert [event.why for event in world.of(RecordingEnded)] == ["call_ended", "bye"]
    assert [len(event.calls) for event in world.of(RecordingEnded)] == [1, 1]


def test_s34_audio_long_before_the_next_call_is_not_its_beginning() -> None:
    world = begun()
    world.describe(metadata("call-a!", parties=TWO_PARTIES, streams=TWO_STREAMS, mode="partial"))
    idle = list(world.open)
    world.packets = dict.fromkeys(idle, 3)
    world.later(600)
    world.describe(metadata("call-b", parties="carol@call-b:1", streams="1@call-b 2@call-b"))
    assert len(world.did(RotateTrack)) == 4
    assert {action.track for action in world.did(DiscardTrack)} == set(idle)
    assert (world.of(RecordingStarted)[-1].at - START).total_seconds() == 600


def test_s34_audio_between_calls_is_kept_as_unattributed_when_there_is_some() -> None:
    world = begun()
    world.describe(metadata("call-a!", parties=TWO_PARTIES, streams=TWO_STREAMS, mode="partial"))
    world.later(600)
    world.bye()
    last = world.of(RecordingEnded)[-1]
    assert "unattributed" in {problem.code for problem in last.problems}
    assert len(last.calls) == 1


def test_the_tail_after_a_call_is_no_recording_of_its_own() -> None:
    world = begun()
    world.describe(metadata("call-a!", parties=TWO_PARTIES, streams=TWO_STREAMS, mode="partial"))
    world.packets = dict.fromkeys(world.open, 2)
    world.later(0.1)
    world.bye()
    assert len(world.of(RecordingEnded)) == 1
    assert len(world.did(DiscardTrack)) == 2


def test_s34_parallel_calls_on_their_own_streams_have_their_own_recordings() -> None:
    world = World()
    xml = metadata(
        "call-a",
        "call-b",
        parties="alice@call-a:1 bob@call-a:2 carol@call-b:3 dave@call-b:4",
        streams="1@call-a 2@call-a 3@call-b 4@call-b",
    )
    world.offer("INVITE", sdp("1:sendonly", "2:sendonly", "3:sendonly", "4:sendonly"), xml)
    first, second = world.of(RecordingStarted)
    tracks = {event.recording: [track.label for track in event.tracks] for event in (first, second)}
    assert sorted(tracks.values()) == [["1", "2"], ["3", "4"]]
    world.bye()
    assert {event.recording for event in world.of(RecordingEnded)} == {first.recording, second.recording}


def test_s35_calls_that_share_a_stream_share_the_recording_with_offsets() -> None:
    world = World()
    world.offer("INVITE", sdp("1:sendonly"), metadata("call-a", parties="alice@call-a:1"))
    world.later(20)
    world.describe(metadata("call-a", "call-b", parties="alice@call-a:1 bob@call-b:1"))
    world.later(20)
    world.describe(metadata("call-a!", "call-b", parties="alice@call-a:1 bob@call-b:1"))
    world.later(20)
    world.bye()
    [ended] = world.of(RecordingEnded)
    assert [(call.started_at - START).total_seconds() for call in ended.calls] == [0, 20]
    assert [(call.ended_at - START).total_seconds() for call in ended.calls if call.ended_at] == [40, 60]
    assert world.did(RotateTrack) == []


def test_s36_a_transfer_keeps_the_history_and_is_marked() -> None:
    world = begun()
    world.later(10)
    world.describe(metadata("call-a", parties="alice@call-a:1 carol@call-a:2", streams=TWO_STREAMS))
    world.bye()
    [ended] = world.of(RecordingEnded)
    people = {party.name: party.left_at for party in ended.calls[0].parties}
    assert set(people) == {"alice", "bob", "carol"}
    assert (people["bob"] - START).total_seconds() == 10
    assert [mark.kind for mark in ended.marks] == ["transfer"]
    assert ended.tracks[1].parties == ["p-bob", "p-carol"]


def test_s37_conference_parties_join_one_by_one() -> None:
    world = begun()
    for second, name in enumerate(("carol", "dave"), 1):
        world.later(1)
        everybody = " ".join(f"{who}@call-a:1" for who in ("alice", "bob", "carol", "dave")[: 2 + second])
        world.describe(metadata("call-a", parties=everybody, streams=TWO_STREAMS))
        assert name
    world.bye()
    [ended] = world.of(RecordingEnded)
    assert {party.name: (party.joined_at - START).total_seconds() for party in ended.calls[0].parties} == {
        "alice": 0,
        "bob": 0,
        "carol": 1,
        "dave": 2,
    }


def test_s15_a_partial_without_a_snapshot_asks_for_one_once() -> None:
    world = begun(xml=metadata("call-a", parties=TWO_PARTIES, streams=TWO_STREAMS, mode="partial"))
    world.describe(metadata("call-a", parties=TWO_PARTIES, mode="partial"))
    assert len(world.did(RequestSnapshot)) <= 2
    assert world.did(RequestSnapshot)
    assert len(world.open) == 2


def test_the_organisation_of_a_carriers_call_comes_with_the_group_id_even_late() -> None:
    organisation = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    world = World(organisations={"firm-7": organisation})
    world.offer("INVITE", sdp("1:sendonly", "2:sendonly"), CALL_A)
    assert world.of(RecordingStarted)[0].calls[0].organisation is None
    world.describe(metadata("call-a", parties=TWO_PARTIES, streams=TWO_STREAMS, group="firm-7"))
    world.flush()
    assert world.of(RecordingUpdated)[-1].calls[0].organisation == organisation


def test_no_port_left_answers_port_0_and_leaves_nothing_behind() -> None:
    world = World(no_ports=True)
    answer = world.offer("INVITE", sdp("1:sendonly", "2:sendonly"), CALL_A)
    assert [media.port for media in answer.media] == [0, 0]
    world.work(world.core.end("error", world.at))
    world.collect()
    assert world.events == []
    assert world.core.finished


def test_s33_a_cancelled_session_leaves_no_recording() -> None:
    world = World()
    observation, _, _ = message("INVITE", sdp("1:sendonly"), CALL_A)
    description = sdp("1:sendonly").encode()
    from callward.recorder import negotiation

    lines = negotiation.read_lines(negotiation.parse(description), "192.0.2.10")
    world.work(world.core.offer(observation, lines, world.at))
    world.work(world.core.end("error", world.at))
    world.collect()
    assert world.events == []
    assert len(world.did(DiscardTrack)) == 1


def test_s29_a_key_whose_parameters_change_the_packets_is_passed_over() -> None:
    world = World()
    inline = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
    text = sdp("1:sendonly").replace("RTP/AVP", "RTP/SAVP")
    text += f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 {inline} UNENCRYPTED_SRTP\r\n"
    assert world.offer("INVITE", text).media[0].port == 0
    text += f"a=crypto:2 AES_CM_128_HMAC_SHA1_32 {inline} WSH=128\r\n"
    answer = World().offer("INVITE", text)
    assert [crypto.tag for crypto in answer.media[0].crypto] == [2]


def test_habits_of_known_products_do_not_flag_a_recording_odd() -> None:
    world = World()
    world.offer("INVITE", sdp("1:sendonly"), metadata("call-a", parties="alice@call-a:1", streams="1@call-a"))
    world.core.note("odd_metadata", [Oddity("body_not_closed", "x"), Oddity("clock_not_set", "x")])
    world.core.note("odd_metadata", [Oddity("metadata_unreadable", "y")])
    world.bye()
    assert [p.detail for p in world.of(RecordingEnded)[0].problems] == ["metadata_unreadable: y"]


def test_s29_srtp_keys_are_taken_and_our_own_is_kept_over_a_re_invite() -> None:
    world = World()
    key = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
    text = sdp("1:sendonly").replace("RTP/AVP", "RTP/SAVP")
    text += f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}|2^20|1:4\r\n"
    first = world.offer("INVITE", text)
    [opened] = world.did(OpenTrack)
    assert opened.settings.srtp.key == key
    assert opened.settings.srtp.mki_bytes == 4
    assert "AES_CM_128_HMAC_SHA1_80" in str(first)
    assert key not in str(first)
    rekeyed = text.replace("WVNf", "AAAA")
    second = world.offer("INVITE", rekeyed)
    [update] = world.did(UpdateTrack)
    assert update.changes["srtp"]["key"].startswith("AAAA")
    assert second.media[0].crypto == first.media[0].crypto
    state = to_json(world.core.data).decode()
    assert key not in state


def test_a_secure_stream_without_a_key_that_we_know_is_refused() -> None:
    world = World()
    text = sdp("1:sendonly").replace("RTP/AVP", "RTP/SAVP")
    answer = world.offer("INVITE", text)
    assert answer.media[0].port == 0
    assert world.open == {}


def test_a_codec_change_reaches_the_media_process() -> None:
    world = begun()
    world.offer("INVITE", sdp("1:sendonly", "2:sendonly").replace("AVP 8 101", "AVP 18 101"))
    changes = [action.changes for action in world.did(UpdateTrack)]
    assert [change["payload_types"][0]["codec"] for change in changes] == ["G729", "G729"]


def test_updates_are_told_once_and_only_when_something_changed() -> None:
    world = begun()
    world.flush()
    before = len(world.events)
    world.flush()
    assert len(world.events) == before
    world.describe(CALL_A)
    world.flush()
    assert len(world.events) == before


def test_a_private_address_behind_nat_gives_way_to_the_source() -> None:
    from callward.recorder import negotiation

    description = negotiation.parse(sdp("1:sendonly", address="10.1.2.3").encode())
    [line] = negotiation.read_lines(description, "198.51.100.7")
    assert line.settings.remote is not None
    [direct] = negotiation.read_lines(description, "10.9.9.9")
    assert direct.settings.remote is not None and direct.settings.remote.rtp == "10.1.2.3:40000"


def test_the_state_survives_json_and_the_messages_tell_the_rest_again() -> None:
    world = begun()
    world.later(10)
    world.offer("INVITE", sdp("1:inactive", "2:inactive"))
    data = from_json(json.loads(to_json(world.core.data).decode()))
    again = World()
    again.core = again.make(data)
    again.at = world.at
    again.open = dict(world.open)
    messages = [
        (0, START, message("INVITE", sdp("1:sendonly", "2:sendonly"), CALL_A)[0]),
        (1, world.at, message("INVITE", sdp("1:inactive", "2:inactive"))[0]),
    ]
    again.core.replay(messages)
    again.later(10)
    again.offer("INVITE", sdp("1:sendonly", "2:sendonly"))
    again.bye()
    [ended] = again.of(RecordingEnded)
    assert ended.recording == world.of(RecordingStarted)[0].recording
    assert [mark.kind for mark in ended.marks] == ["pause", "resume"]
    assert {party.name for party in ended.calls[0].parties} == {"alice", "bob"}
    assert len(ended.metadata) == 1
    assert again.of(RecordingStarted) == []


def test_a_track_that_the_media_process_lost_is_flagged_and_kept() -> None:
    world = begun()
    track = next(iter(world.open))
    world.work(world.core.lost(track, "its socket is gone", world.at))
    world.bye()
    [ended] = world.of(RecordingEnded)
    assert len(ended.tracks) == 2
    assert "track_lost" in {problem.code for problem in ended.problems}


def test_a_lost_stream_goes_on_in_a_further_track_when_the_client_can_be_told_its_port() -> None:
    world = begun()
    track = next(iter(world.open))
    before = world.core.local_streams()
    parties = next(iter(world.core.data.recordings.values())).tracks[0].parties
    world.work(world.core.lost(track, "its socket is gone", world.at, renew=True))
    after = world.core.local_streams()
    assert after.keys() == before.keys()
    assert after[0].rtp_port != before[0].rtp_port
    assert after[1] == before[1]
    world.bye()
    [ended] = world.of(RecordingEnded)
    assert len(ended.tracks) == 3
    assert list(parties) == ended.tracks[2].parties
    assert "track_lost" in {problem.code for problem in ended.problems}


def test_s08_our_own_offer_has_the_ports_of_now_and_no_further_stream() -> None:
    world = World()
    answer = world.offer("INVITE", sdp("1:sendonly", "2:sendonly"), CALL_A)
    track = next(iter(world.open))
    world.work(world.core.lost(track, "its socket is gone", world.at, renew=True))
    local = world.core.local_streams()
    offer = negotiation.own_offer(answer, local, address="127.0.0.1", session_id="1", version=2)
    assert [media.port for media in offer.media] == [local[0].rtp_port, local[1].rtp_port]
    assert [media.label for media in offer.media] == ["1", "2"]
    without = negotiation.own_offer(answer, {1: local[1]}, address="127.0.0.1", session_id="1", version=3)
    assert [media.port for media in without.media] == [0, local[1].rtp_port]


def test_settings_of_a_track_never_print_keys() -> None:
    from callward.media.protocol import Srtp

    assert "secret" not in repr(TrackSettings(srtp=Srtp("AES_CM_128_HMAC_SHA1_80", "secret")))
