"""The page as a new visitor uses it, in a real browser. Needs playwright and a Chromium; skipped where there is none."""

import shutil
from io import BytesIO

import numpy as np
import pytest
import soundfile

from tests.web.conftest import LONG, PROMPT, until

playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright, and Chromium")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PLAYED = "[...document.querySelectorAll('#result audio, #result *')].some(e => e.tagName == 'AUDIO' && e.currentTime > 0)"


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=[
            "--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-audio-capture={PROMPT}"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, site):
    context = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.problems = []
    page.on("pageerror", lambda problem: page.problems.append(str(problem)))
    page.goto(site.url)
    page.wait_for_selector("#text textarea")
    yield page
    context.close()
    assert not page.problems


def speak(page, text):
    """Say it, and return what the audio element got to play."""
    files = []
    page.on("response", lambda answer: files.append(answer) if answer.url.endswith("speech.wav") else None)
    page.fill("#text textarea", text)
    page.click("#speak")
    page.wait_for_function("document.querySelector('#status').innerText.includes('seed')", timeout=60_000)
    page.wait_for_selector("#result [aria-label='Play']")
    assert until_page(page, lambda: bool(files))
    samples, rate = soundfile.read(BytesIO(files[-1].body()))
    assert rate == 16000 and np.ptp(samples) > 0
    return samples


def until_page(page, holds, seconds=20):
    for _ in range(seconds * 10):
        if holds():
            return True
        page.wait_for_timeout(100)
    return False


def test_clone_keep_reuse_and_delete_a_voice(page):
    page.set_input_files("#recording input[type=file]", str(PROMPT))
    page.wait_for_selector("#recording [aria-label='Play']")
    samples = speak(page, "Hello from a browser.")
    assert page.evaluate("window.sparkttsHeard") == len(samples)            # all of it was played while it was made
    page.wait_for_selector("#picture img")
    page.fill("#name input, #name textarea", "../Anna")
    page.click("#name button")
    page.get_by_text("at most 40 letters").wait_for()
    page.fill("#name input, #name textarea", "Anna")
    page.click("#name button")
    page.get_by_text("The voice is kept as Anna.").wait_for()
    page.get_by_role("tab", name="Saved").click()
    assert until_page(page, lambda: page.input_value("#saved input") == "Anna")
    speak(page, "And again.")
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "Anna.json"
    page.click("#delete")
    page.get_by_text("The voice Anna is deleted.").wait_for()
    assert until_page(page, lambda: page.input_value("#saved input") == "")


def test_record_and_move_a_voice(page, site, monkeypatch):
    asked = []
    submit = site.speaker.service.submit
    monkeypatch.setattr(site.speaker.service, "submit", lambda *text, **how: asked.append(how) or submit(*text, **how))
    page.click("#recording [aria-label='Record audio']")
    page.click("#recording button.record-button")
    page.wait_for_timeout(3000)
    page.click("#recording button.stop-button")
    page.wait_for_selector("#recording [aria-label='Play']")
    page.click("#advanced > button")
    for level, name in (("high", "Pitch of a recorded voice"), ("very low", "Speed of a recorded voice")):
        page.get_by_label(name).click()
        page.get_by_role("option", name=level, exact=True).last.click()
    speak(page, "Hello from a microphone.")
    assert (asked[-1]["pitch"], asked[-1]["speed"]) == ("high", "very_low")


def test_make_a_voice_up_in_chinese(page):
    page.get_by_role("radio", name="中文").click()
    page.get_by_role("tab", name="创造声音").click()
    page.get_by_role("radio", name="男声").click()
    page.fill("#text textarea", "你好。")
    page.get_by_role("button", name="开始合成").click()
    page.wait_for_function("document.querySelector('#status').innerText.includes('随机种子')", timeout=60_000)


def test_problems_are_plain_notices(page):
    page.click("#speak")
    page.get_by_text("There is no text yet").wait_for()
    page.fill("#text textarea", "Hello.")
    page.click("#speak")
    page.get_by_text("There is no recording yet").wait_for()
    assert "Traceback" not in page.content()


def test_stop_and_leaving_free_the_place(page, site):
    page.get_by_role("tab", name="Make up").click()
    page.fill("#text textarea", LONG)
    page.click("#speak")
    page.get_by_text("so far").wait_for()
    page.click("#stop")
    page.get_by_text("Stopped.").wait_for()
    assert until(lambda: not site.speaker.service.jobs, 10)
    page.click("#speak")
    page.get_by_text("so far").wait_for()
    page.close()
    assert until(lambda: not site.speaker.service.jobs, 20)


@pytest.mark.parametrize("width", [320, 390, 768])
def test_nothing_is_wider_than_a_phone(browser, site, width):
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(site.url)
    page.wait_for_selector("#text textarea")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
