"""Extensions of the metadata reach the archive (S20)."""

from __future__ import annotations

from callward.records.events import RecordingEnded
from tests.recorder.recorded_dialog import World, metadata, sdp


def test_s20_the_end_of_a_recording_tells_the_extensions_of_its_session() -> None:
    xml = metadata("call-a", parties="alice@call-a:1", streams="1@call-a")
    note = '<x:note xmlns:x="urn:example:notes">agent 7</x:note>'
    world = World()
    world.offer("INVITE", sdp("1:sendonly"), xml.replace("</session>", f"</session>{note}", 1))
    world.bye()
    [ended] = world.of(RecordingEnded)
    assert "agent 7" in str(ended.extensions)
