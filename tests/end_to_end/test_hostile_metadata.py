"""Hostile text in a call (faults 24, 26 and 31 of the guide): the audio is recorded, and the text stays text."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.machine import Browser, Machine, wait_until
from tests.end_to_end.recording_session import assert_own_tones, recorded_session
from tests.end_to_end.test_recorded_calls import codes

pytestmark = pytest.mark.end_to_end

SECRET = "the-secret-of-this-host"
SCRIPT = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"
NAMES = [
    "../../../etc/passwd",
    "..\\..\\windows\\system32",
    "/etc/shadow",
    "CON.wav",
    "x" * 300,
    "\u202egnp.exe\u2066",
    "a\r\nX-Injected: yes",
    "nul\u0000byte",
    "=HYPERLINK(1)",
    "';DROP TABLE conversation;--",
    "%2e%2e%2f%00",
    "\u200b\ufeff",
]


def _doctype(internal: str, use: str) -> Callable[[str], str]:
    """The document with a document type, and the entity in a party's name."""

    def change(text: str) -> str:
        head, rest = text.split("?>", 1)
        return f"{head}?><!DOCTYPE recording [{internal}]>{rest.replace('Jonas Peeters', use)}"

    return change


def _bombs(secret: Path) -> dict[str, Callable[[str], str]]:
    laughs = '<!ENTITY a "ha">' + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(12))
    return {
        "billion laughs": _doctype(laughs, "&m;"),
        "quadratic": _doctype(f'<!ENTITY a "{"A" * 100_000}">', "&a;" * 1000),
        "external entity": _doctype(f'<!ENTITY a SYSTEM "file://{secret}">', "&a;"),
        "external over the network": _doctype('<!ENTITY a SYSTEM "http://127.0.0.1:9/x">', "&a;"),
        "external DTD": _doctype(f'<!ENTITY % p SYSTEM "file://{secret}"> %p;', "x"),
        "deep": lambda text: text.replace("<datamode>", "<a>" * 20_000 + "</a>" * 20_000 + "<datamode>"),
        "a great many elements": lambda text: text.replace("<datamode>", "<a/>" * 100_000 + "<datamode>"),
        "large": lambda text: text.replace("<datamode>", f"<a>{'A' * 900_000}</a><datamode>"),
        "wrong charset": lambda text: text.replace('encoding="UTF-8"', 'encoding="UTF-32"'),
        "XInclude": lambda text: text.replace(
            "<datamode>",
            f'<x:include xmlns:x="http://www.w3.org/2001/XInclude" href="file://{secret}" parse="text"/><datamode>',
        ),
    }


async def _record(machine: Machine, seconds: float, **options: Any) -> str:
    """Place a call; returns the address that it came from."""
    async with recorded_session(machine, **options) as session:
        await session.speak(seconds)
        assert (await session.hang_up()).status == 200
        return f"{session.client._local[0]}:{session.client._local[1]}"


def _by_address(browser: Browser, addresses: list[str]) -> list[dict[str, Any]]:
    """The sealed calls of these addresses, in their order."""
    found: dict[str, dict[str, Any]] = {}

    def look() -> bool:
        for one in browser.conversations(limit="200"):
            if one["id"] not in seen and one["state"] == "ready":
                seen.add(one["id"])
                detail = browser.detail(one["id"])
                found[detail["address"]] = detail
        return set(addresses) <= found.keys()

    seen: set[str] = set()
    wait_until(look, f"{len(addresses)} calls are ready")
    return [found[address] for address in addresses]


async def test_fault_24_bombs_and_entities_cost_no_audio_and_read_no_file(
    machine: Machine, browser: Browser, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    tmp_path.chmod(0o755)
    secret.chmod(0o644)
    bombs = _bombs(secret)
    addresses = await asyncio.gather(
        *(
            _record(machine, 1.0, change_metadata=change, source=f"127.0.4.{n}")
            for n, change in enumerate(bombs.values(), 1)
        )
    )
    for name, call in zip(bombs, await asyncio.to_thread(_by_address, browser, list(addresses)), strict=True):
        assert_own_tones(browser.download(call), 1.0, tolerance_s=0.06)
        assert SECRET not in str(call), name
        if name not in ("XInclude", "large"):
            assert "odd_metadata" in codes(call), name
    assert_own_tones(browser.download(call), 1.0, tolerance_s=0.06)


async def test_faults_26_and_31_hostile_text_is_text_and_names_no_file(machine: Machine, browser: Browser) -> None:
    def named(name: str) -> Callable[[str], str]:
        xml = name.replace("&", "&amp;").replace("<", "&lt;").replace("\r\n", "&#13;&#10;").replace("\u0000", "&#0;")
        return lambda text: text.replace("Jonas Peeters", xml)

    texts = [*NAMES, SCRIPT]
    header = re.sub(r"[\r\n\u0000]", "", SCRIPT)
    addresses = await asyncio.gather(
        *(
            _record(
                machine,
                0.6,
                change_metadata=named(text),
                source=f"127.0.5.{n}",
                session_id=f"../{n}/{secrets.token_hex(4)}",
                group_id="../../group\u202e",
                extra=[f"User-Agent: {header}", f"Subject: ../{header}"],
            )
            for n, text in enumerate(texts, 1)
        )
    )
    calls = await asyncio.to_thread(_by_address, browser, list(addresses))
    for text, call in zip(texts, calls, strict=True):
        answer = browser.client.get(f"/api/v1/conversations/{call['id']}")
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        policy = answer.headers["content-security-policy"]
        assert "unsafe-inline" not in policy
        assert "unsafe-eval" not in policy
        assert "default-src 'none'" in policy or "default-src 'self'" in policy
        names = [party["name"] for party in call["parties"]]
        assert "Emma Lambert" in names or "\u0000" in text
        assert not any(re.search(r"[\x00-\x1f\u202a-\u202e\u2066-\u2069]", name) for name in names), names
        recording = call["recordings"][0]["id"]
        downloaded = browser.client.get(
            f"/api/v1/conversations/{call['id']}/recordings/{recording}/download", params={"format": "wav"}
        )
        disposition = downloaded.headers["content-disposition"]
        assert re.fullmatch(r'attachment; filename="[0-9TZ:-]+-[0-9A-Z]{26}\.wav"', disposition)
    assert SCRIPT in [party["name"] for party in calls[-1]["parties"]], "shown as it was said, as text"
    page = browser.client.get("/")
    assert "script-src" in page.headers["content-security-policy"]
    assert "unsafe-inline" not in page.headers["content-security-policy"]


async def test_fault_26_nothing_below_the_data_folder_is_named_by_a_stranger(machine: Machine) -> None:
    ulid = r"[0-7][0-9A-HJKMNP-TV-Z]{25}"
    plain = re.compile(
        rf"^(?:{ulid}|[0-9a-f-]*|[a-z][a-z.-]{{0,40}}|[0-9]+\.(seg|spare|segment)|raw-\d+)(?:[.-][a-z0-9.-]*)?$"
    )
    for path in machine.data.rglob("*"):
        if (machine.data / "postgres") in path.parents:
            continue
        assert all(plain.match(part) for part in path.relative_to(machine.data).parts), path
