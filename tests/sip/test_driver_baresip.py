"""A baresip phone calls us over mutual TLS, an independent TLS and SIP stack."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from certificates import SERVER, Authority
from sip_app import App

from callward.sip.events import AckReceived, Cause, InviteReceived, Terminated
from callward.sip.tls import TlsSettings

CONFIG = """
poll_method epoll
sip_listen 127.0.0.1:{port}
sip_certificate {certificate}
sip_cafile {authority}
sip_verify_server yes
net_interface 127.0.0.1
call_max_calls 4
audio_player aubridge,nil
audio_source aubridge,nil
module_path /usr/lib/baresip/modules
module stdio.so
module g711.so
module aubridge.so
module_app account.so
module_app menu.so
"""


async def test_baresip_calls_over_mutual_tls(tmp_path: Path, unused_tcp_port_factory: Any) -> None:
    authority = Authority(tmp_path)
    server, _ = authority.issue("server.pem", names=("127.0.0.1",), usage=(SERVER,))
    phone, _ = authority.issue("phone.pem", names=("phone.example",))
    app = App()
    address = await app.driver.listen_tls("127.0.0.1", 0, TlsSettings(server, server, authority.file))
    (tmp_path / "config").write_text(
        CONFIG.format(port=unused_tcp_port_factory(), certificate=phone, authority=authority.file)
    )
    (tmp_path / "accounts").write_text("<sip:phone@127.0.0.1;transport=tls>;regint=0;audio_codecs=PCMA\n")
    dial = f"/dial sip:rec@127.0.0.1:{address[1]};transport=tls"
    process = await asyncio.create_subprocess_exec(
        *("baresip", "-f", str(tmp_path), "-e", dial, "-t", "2"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        await app.until(lambda: app.of(AckReceived), 10)
        flow = app.of(InviteReceived)[0].flow
        assert flow.certificate is not None
        assert flow.certificate.subject_names == ("phone.example",)
        await app.until(lambda: app.of(Terminated), 10)
        assert [event.cause for event in app.of(Terminated)] == [Cause.REMOTE_BYE]
    finally:
        if process.returncode is None:
            process.terminate()
        output, _ = await process.communicate()
        print(output.decode(errors="replace")[-3000:])  # shown when the test fails
        await app.driver.close()
