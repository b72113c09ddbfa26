"""The portal in Chromium: what a person does from the first sign-in to a downloaded recording."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import av
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.access.people import PASSWORD
from tests.browser.conftest import HOSTILE, SCRIPT, SECONDS, Stage

from callward.portal.pages import STATIC

pytestmark = pytest.mark.browser

PAINTED = """canvas => {
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const rows = new Set();
  for (let i = 3; i < data.length; i += 4) if (data[i]) rows.add(Math.floor(i / 4 / canvas.width));
  return rows.size / canvas.height;
}"""
"""How much of the canvas's height is painted."""


def _seconds(page: Page) -> float:
    minutes, seconds = page.get_by_test_id("time").inner_text().split(":")
    return int(minutes) * 60 + float(seconds)


def _at_least(page: Page, seconds: float) -> None:
    page.wait_for_function(
        """wanted => {
          const [minutes, seconds] = document.querySelector('[data-testid=time]').textContent.split(':');
          return Number(minutes) * 60 + Number(seconds) >= wanted;
        }""",
        arg=seconds,
    )


def test_a10_sign_in_with_a_first_password_that_must_be_changed(stranger: Page, stage: Stage) -> None:
    stranger.goto(f"{stage.address}/system")
    stranger.get_by_label("User name").fill("new.comer")
    stranger.get_by_label("Password", exact=True).fill("not the password")
    stranger.get_by_role("button", name="Sign in").click()
    expect(stranger.get_by_role("alert")).to_contain_text("not right")
    stranger.get_by_label("Password", exact=True).fill(PASSWORD)
    stranger.get_by_role("button", name="Sign in").click()
    expect(stranger.get_by_role("heading", name="Choose your password")).to_be_visible()
    stranger.goto(f"{stage.address}/conversations")
    expect(stranger.get_by_role("heading", name="Choose your password")).to_be_visible()
    stranger.get_by_label("Current password").fill(PASSWORD)
    stranger.get_by_label("New password", exact=True).fill("my own long password")
    stranger.get_by_label("New password again").fill("my own long password")
    stranger.get_by_role("button", name="Change password").click()
    expect(stranger.get_by_role("heading", name="Conversations")).to_be_visible()
    expect(stranger.get_by_text("Ann Caller").first).to_be_visible()
    stranger.get_by_label("Account menu").click()
    stranger.get_by_role("menuitem", name="Sign out").click()
    expect(stranger.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_list_is_filtered_in_the_address_and_opened_by_keyboard(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.address}/conversations")
    expect(page.locator("[data-row]")).to_have_count(3)
    page.keyboard.press("/")
    page.keyboard.type("nobody")
    expect(page.get_by_text("No conversation fits")).to_be_visible()
    assert "number=nobody" in page.url
    page.get_by_role("button", name="Clear filters").first.click()
    expect(page.locator("[data-row]")).to_have_count(3)
    page.goto(f"{stage.address}/conversations?number=Ann&state=ready")
    expect(page.locator("[data-row]")).to_have_count(1)
    page.get_by_role("heading", name="Conversations").click()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    assert page.url == stage.conversation(stage.plain)


def test_a12_the_player_plays_seeks_and_keeps_pitch_with_a_lane_for_each_party(page: Page, stage: Stage) -> None:
    page.goto(stage.conversation(stage.plain))
    lanes = page.get_by_role("img", name=re.compile("Waveform of"))
    expect(lanes).to_have_count(2)
    expect(page.get_by_role("img", name="Waveform of Ann Caller")).to_be_visible()
    for lane in lanes.all():
        page.wait_for_function(f"canvas => ({PAINTED})(canvas) > 0.5", arg=lane.element_handle())
    page.get_by_role("button", name="Play").click()
    _at_least(page, 0.8)
    page.get_by_role("slider").focus()
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    stopped = _seconds(page)
    box = lanes.first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert abs(_seconds(page) - SECONDS / 2) < 0.2
    assert stopped != _seconds(page)
    page.get_by_role("heading", level=1).click()
    page.keyboard.press("ArrowLeft")
    assert _seconds(page) == 0
    page.keyboard.press("ArrowRight")
    assert abs(_seconds(page) - 5) < 0.2
    for _ in range(10):
        page.keyboard.press(">")
    expect(page.get_by_label("Speed").first).to_have_value("3 ×")
    page.get_by_role("button", name="Mute Bob").click()
    expect(page.get_by_role("button", name="Mute Bob")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="Only Ann Caller")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Home")
    page.get_by_role("button", name="Play").click()
    _at_least(page, SECONDS - 0.3)
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def test_a_link_leads_to_a_moment_and_is_copied(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.conversation(stage.plain)}?t=2.5")
    expect(page.get_by_test_id("time")).to_have_text("0:02.5")
    page.get_by_role("button", name="Forward 5 seconds").click()
    expect(page.get_by_test_id("time")).to_have_text("0:07.5")
    page.get_by_role("button", name="Copy link to this moment").click()
    page.wait_for_function("async () => (await navigator.clipboard.readText()).includes('t=7.5')")
    page.goto(page.evaluate("navigator.clipboard.readText()"))
    expect(page.get_by_test_id("time")).to_have_text("0:07.5")


def test_a_link_to_a_moment_survives_signing_in(stranger: Page, stage: Stage) -> None:
    stranger.goto(f"{stage.conversation(stage.plain)}?t=1.5")
    stranger.get_by_label("User name").fill("ann.ant")
    stranger.get_by_label("Password", exact=True).fill(PASSWORD)
    stranger.keyboard.press("Enter")
    expect(stranger.get_by_test_id("time")).to_have_text("0:01.5")


@pytest.mark.parametrize(("name", "suffix"), [("MP3", "mp3"), ("WAV", "wav"), ("Opus", "opus")])
def test_a12_downloads(page: Page, stage: Stage, tmp_path: Path, name: str, suffix: str) -> None:
    page.goto(stage.conversation(stage.plain))
    page.get_by_role("button", name="Download").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name=re.compile(f"^{name}")).click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert path.suffix == f".{suffix}"
    with av.open(str(path)) as audio:
        assert audio.streams.audio[0].codec_context.layout.nb_channels == 2
        length = sum(frame.samples for frame in audio.decode(audio=0)) / audio.streams.audio[0].rate
    assert length == pytest.approx(SECONDS, abs=0.2)


def test_what_strangers_wrote_is_text_and_runs_nothing(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.address}/conversations")
    expect(page.get_by_text(HOSTILE, exact=True).first).to_be_visible()
    page.goto(stage.conversation(stage.hostile))
    expect(page.get_by_role("heading", level=1)).to_contain_text(HOSTILE)
    expect(page.get_by_role("heading", level=1)).to_contain_text(SCRIPT)
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("<recording>é</recording>")).to_be_visible()
    assert page.evaluate("window.pwned") is None
    assert page.locator("img").count() == 0
    assert "<img" in page.title()


def test_a_call_that_goes_on_becomes_ready_by_itself(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.address}/conversations")
    row = page.locator(f"[data-row='{stage.live.calls[0].conversation}']")
    expect(row).to_contain_text("Recording")
    stage.finish_live_call()
    expect(row).to_contain_text("Ready")
    row.click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def test_the_account_page_lists_sessions_and_ends_another_one(page: Page, stage: Stage, chromium: Browser) -> None:
    other = chromium.new_context(user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
    credentials = {"user_name": "ann.ant", "password": PASSWORD}
    assert other.request.post(f"{stage.address}/api/v1/session", data=credentials).status == 201
    page.goto(f"{stage.address}/account")
    expect(page.get_by_text("this one")).to_be_visible()
    expect(page.get_by_text("Firefox 140, Linux")).to_be_visible()
    page.get_by_role("button", name="Sign out").first.click()
    expect(page.get_by_text("Firefox 140, Linux")).to_have_count(0)
    assert other.request.get(f"{stage.address}/api/v1/session").status == 401
    other.close()


def test_the_system_page_says_that_no_recorder_runs_here(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.address}/system")
    expect(page.get_by_text("New calls are not recorded")).to_be_visible()
    expect(page.get_by_text("127.0.0.1:5070")).to_be_visible()


@pytest.mark.parametrize("path", ["/conversations", "/system", "/account"])
def test_a_telephones_screen_needs_no_sideways_scrolling(page: Page, stage: Stage, path: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{stage.address}{path}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_first_page_is_small() -> None:
    """JavaScript, styles and the Latin font that the first page loads, compressed."""
    index = (STATIC / "index.html").read_text()
    names = re.findall(r'(?:src|href)="/(assets/[^"]+)"', index)
    assert names
    size = sum(len(gzip.compress((STATIC / name).read_bytes())) for name in names)
    size += max(path.stat().st_size for path in STATIC.glob("assets/inter-latin-wght*"))
    assert size < 500_000
