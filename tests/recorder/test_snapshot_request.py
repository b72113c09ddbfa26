"""Asking the recording client for complete metadata (S15)."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.peers.sip_client import Party, SipClient, metadata, offer
from tests.recorder.recorder_process import Pair

ALICE = Party("sip:alice@example.com", "Alice", "1")


@pytest.mark.parametrize("allow", ["INVITE, ACK, BYE, UPDATE", "INVITE, ACK, BYE"])
async def test_s15_a_partial_document_in_the_first_invite_is_asked_about_after_the_ack(
    tmp_path: Path, allow: str
) -> None:
    pair = Pair(tmp_path, 32_800)
    try:
        await pair.started()
        client = SipClient("127.0.0.1", pair.sip_port, "UDP")
        await client.connect()
        call = "partial-" + str(len(allow))
        partial = metadata(call, [ALICE]).replace("complete", "partial")
        assert "partial</" in partial
        answer = await client.ask("INVITE", sdp=offer([40000]), rs_metadata=partial, extra=[f"Allow: {allow}"])
        assert answer.status == 200, pair.logs()
        await asyncio.sleep(0.3)
        await client.ask("BYE")
        updates = [text for text in client.requests if text.startswith("UPDATE")]
        [ended] = await pair.ended(of=call)
        await client.close()
        if "UPDATE" in allow:
            [update] = updates
            assert "<requestsnapshot" in update
            assert re.search(r"(?im)^content-disposition: *recording-session", update)
            assert "v=0" not in update
        else:
            assert updates == []
            assert "snapshot_not_asked" in {problem.code for problem in ended.problems}
    finally:
        pair.stop()
