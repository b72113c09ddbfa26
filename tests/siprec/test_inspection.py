"""`callward siprec inspect`: any file in, one JSON object out, never a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from callward.cli.siprec import app
from callward.siprec.inspection import inspect
from tests.siprec.documents import CORPUS, START, document, heard, line, sdp, session, stream, two_party_call

RUN = CliRunner()
KEYS = {"parties", "streams", "session_ids", "vendor", "extensions", "state", "warnings"}


def test_one_file_is_an_object_and_several_are_an_array() -> None:
    one = RUN.invoke(app, ["inspect", str(CORPUS / "cisco-cube-invite.sip")])
    assert one.exit_code == 0
    assert set(json.loads(one.stdout)) >= KEYS
    two = RUN.invoke(app, ["inspect", str(CORPUS / "cisco-cube-invite.sip"), str(CORPUS / "rfc7865-document.xml")])
    assert [found["vendor"] for found in json.loads(two.stdout)] == ["cisco", "unknown"]


def test_a_dash_is_standard_input() -> None:
    result = RUN.invoke(app, ["inspect", "-"], input=document(two_party_call()))
    assert result.exit_code == 0
    assert [party["number"] for party in json.loads(result.stdout)["parties"]] == ["+3225550001", "+3225550002"]


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_shown(tmp_path: Path) -> None:
    result = RUN.invoke(app, ["inspect", str(tmp_path / "absent"), str(CORPUS / "rfc7865-document.xml")])
    assert result.exit_code == 2
    assert "absent: No such file or directory" in result.stderr
    assert len(json.loads(result.stdout)) == 1
    folder = RUN.invoke(app, ["inspect", str(tmp_path)])
    assert (folder.exit_code, folder.stdout) == (2, "")
    assert "Is a directory" in folder.stderr


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00\xff" * 100, b"<html/>", b"<!DOCTYPE recording><recording/>"])
def test_a_file_without_anything_is_said_in_the_exit_code_and_a_warning(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    result = RUN.invoke(app, ["inspect", str(path)])
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert (found["parties"], found["streams"]) == ([], [])
    assert any(warning.startswith("nothing_understood") for warning in found["warnings"])


def test_the_output_is_ascii(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(
        document(
            '<participant participant_id="A"><nameID aor="sip:a@x"><name>Zo\u00e9 \u009b2J</name></nameID></participant>'
        )
    )
    result = RUN.invoke(app, ["inspect", str(path)])
    assert result.stdout.isascii()
    assert json.loads(result.stdout)["parties"][0]["name"] == "Zo\u00e9 2J"


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b"\r\n", b"\n"),
        lambda data: b"\r\n\r\n" + data,
        lambda data: b"2026-03-02 09:15:21.014 received from 203.0.113.10:5060\n\n" + data,
        lambda data: b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x45\x00\x13\xc4\x13\xc4" + data,
        lambda data: data.replace(b"Content-Length: ", b"Content-Length: 9"),
        lambda data: data.replace(b"Content-Type: multipart/mixed;boundary=callpart7\r\n", b""),
        lambda data: data.replace(b"Via: ", b"X-Was-Via: "),
        lambda data: data.replace(b"CSeq: 101 INVITE\r\n", b""),
        lambda data: data.replace(b"Content-Type: multipart", b"c: multipart"),
    ],
    ids=[
        "LF",
        "blank lines",
        "log line",
        "binary junk",
        "Content-Length",
        "no Content-Type",
        "no Via",
        "no CSeq",
        "compact",
    ],
)
def test_captures_are_read_as_they_come(change: object) -> None:
    assert callable(change)
    found = inspect(change((CORPUS / "cisco-cube-invite.sip").read_bytes()), at=START)
    assert found["vendor"] == "cisco"
    assert [party["number"] for party in found["parties"]] == ["+3225550101", "4711"]
    assert [stream["direction"] for stream in found["streams"]] == ["sendonly", "sendonly"]


def test_a_multipart_body_without_its_message() -> None:
    data = (CORPUS / "cisco-cube-invite.sip").read_bytes()
    found = inspect(data[data.index(b"--callpart7") :], at=START)
    assert [party["number"] for party in found["parties"]] == ["+3225550101", "4711"]
    assert len(found["streams"]) == 2


def test_an_sdp_alone() -> None:
    found = inspect(sdp(line("1"), line("2", "inactive"), line("3", port=0)), at=START)
    assert [(stream["label"], stream["direction"]) for stream in found["streams"]] == [
        ("1", "sendonly"),
        ("2", "inactive"),
        ("3", "inactive"),
    ]
    assert found["state"] == "recording"


def test_an_answer_of_a_recorder() -> None:
    answer = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:src@h>;tag=a\r\nTo: <sip:srs@h>;tag=b\r\nCall-ID: 1\r\n"
    answer += b"CSeq: 1 INVITE\r\nContact: <sip:srs@h>;+sip.srs\r\nContent-Type: application/sdp\r\n\r\n"
    found = inspect(answer + sdp(line("1", "recvonly"), line("2", "recvonly")), at=START)
    assert ([stream["direction"] for stream in found["streams"]], found["state"]) == (
        ["recvonly", "recvonly"],
        "recording",
    )
    refused = inspect(b"SIP/2.0 503 Busy\r\nCSeq: 1 INVITE\r\nCall-ID: 1\r\n\r\n", at=START)
    assert refused["state"] == "ended"


@pytest.mark.parametrize("method", ["BYE", "CANCEL"])
def test_bye_and_cancel_end(method: str) -> None:
    found = inspect(f"{method} sip:a@b SIP/2.0\r\nCall-ID: 1\r\nCSeq: 2 {method}\r\n\r\n".encode(), at=START)
    assert found["state"] == "ended"


@pytest.mark.parametrize(
    ("inner", "state"),
    [
        (two_party_call(), "recording"),
        (session("S", "<stop-time>2026-03-02T09:00:00Z</stop-time>"), "ended"),
        (
            session("S")
            + '<sessionrecordingassoc session_id="S"><disassociate-time>2026-03-02T09:00:00Z</disassociate-time></sessionrecordingassoc>',
            "ended",
        ),
        (session("S") + session("T", "<stop-time>2026-03-02T09:00:00Z</stop-time>"), "recording"),
        (two_party_call().partition("<participantstreamassoc")[0] + heard("A") + heard("B"), "paused"),
        (session("S") + stream("TA", "S", "1"), "recording"),
    ],
)
def test_state_of_a_document_alone(inner: str, state: str) -> None:
    assert inspect(document(inner), at=START)["state"] == state


def test_several_calls_of_a_persistent_session_are_listed() -> None:
    found = inspect(document(two_party_call() + two_party_call("2", ("3", "4"))), at=START)
    assert [call["session_ids"]["communication_session"] for call in found["calls"]] == ["S", "S2"]
    assert len(found["parties"]) == 4
