"""SIPp scenarios written in Python: each step is one line of a test."""

from __future__ import annotations

from pathlib import Path

SDP = """v=0
o=u 1 {version} IN IP4 [local_ip]
s=-
c=IN IP4 [local_ip]
t=0 0
m=audio 6000 RTP/AVP 8
a=rtpmap:8 PCMA/8000
a={direction}
"""


def sdp(direction: str = "sendonly", version: int = 1) -> str:
    return SDP.format(direction=direction, version=version)


def request(
    method: str, *headers: str, cseq: int, body: str = "", tag: bool = True, retrans: bool = True, cseq_method: str = ""
) -> str:
    """Send a request: outside the dialog without, inside with the peer's To tag."""
    to = "[peer_tag_param]" if tag else ""
    lines = [
        f"{method} sip:rec@[remote_ip]:[remote_port] SIP/2.0",
        "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport",
        'From: "A" <sip:a@[local_ip]:[local_port]>;tag=[call_number]',
        f"To: <sip:rec@[remote_ip]:[remote_port]>{to}",
        "Call-ID: [call_id]",
        f"CSeq: {cseq} {cseq_method or method}",
        "Contact: <sip:a@[local_ip]:[local_port];transport=[transport]>;+sip.src",
        "Max-Forwards: 70",
        *headers,
    ]
    if body:
        lines.append("Content-Type: application/sdp")
    lines.append("Content-Length: [len]")
    text = "\n".join([*lines, "", body])
    attribute = ' retrans="500"' if retrans else ""
    return f"<send{attribute}><![CDATA[\n{text}\n]]></send>"


def invite(*headers: str, cseq: int = 1, body: str | None = None, tag: bool = False) -> str:
    return request("INVITE", *headers, cseq=cseq, body=sdp() if body is None else body, tag=tag)


def ack(cseq: int = 1, body: str = "") -> str:
    return request("ACK", cseq=cseq, body=body, retrans=False)


def receive(status: int, *, optional: bool = False, checks: dict[str, str] | None = None) -> str:
    """Wait for an answer; `checks`: header -> regular expression that it must match."""
    attribute = ' optional="true"' if optional else ""
    actions = "".join(
        f'<ereg regexp="{pattern}" search_in="hdr" header="{name}:" check_it="true" assign_to="checked{n}"/>'
        for n, (name, pattern) in enumerate((checks or {}).items())
    )
    inner = f"<action>{actions}</action>" if actions else ""
    return f'<recv response="{status}"{attribute} rtd="true">{inner}</recv>'


def receive_request(method: str) -> str:
    return f'<recv request="{method}"/>'


def answer(status: str, *headers: str, body: str = "") -> str:
    """Answer the last request."""
    lines = [f"SIP/2.0 {status}", "[last_Via:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", "[last_CSeq:]"]
    lines += ["Contact: <sip:a@[local_ip]:[local_port];transport=[transport]>;+sip.src", *headers]
    if body:
        lines.append("Content-Type: application/sdp")
    lines.append("Content-Length: [len]")
    text = "\n".join([*lines, "", body])
    return f"<send><![CDATA[\n{text}\n]]></send>"


def pause(milliseconds: int) -> str:
    return f'<pause milliseconds="{milliseconds}"/>'


def bye(cseq: int = 2) -> str:
    return request("BYE", cseq=cseq) + receive(200)


def write(folder: Path, *steps: str) -> Path:
    body = "\n".join(steps)
    used = sorted({f"checked{n}" for n in range(9) if f"checked{n}" in body})
    reference = f'<Reference variables="{",".join(used)}"/>' if used else ""
    path = folder / "scenario.xml"
    path.write_text(
        f'<?xml version="1.0" encoding="us-ascii"?>\n<scenario name="test">\n{body}\n{reference}\n</scenario>\n'
    )
    return path
