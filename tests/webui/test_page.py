"""The page in a real browser. Needs playwright and a Chromium; skipped where there is none."""

import shutil
from io import BytesIO

import numpy as np
import pytest
import soundfile

from tests.helpers import LONG_TEXT, PROMPT, wait_until
from webui.i18n import LOCALES

playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright, Chromium")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
FAKE_MICROPHONE = [
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    f"--use-file-for-fake-audio-capture={PROMPT}",
]


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", *FAKE_MICROPHONE]
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser, server):
    context = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 900})
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(server.url)
    page.wait_for_selector("#text textarea")
    yield page
    context.close()
    assert not errors


def generate(page, text):
    """Generate speech and return the samples that the audio element received."""
    files = []

    def remember(response):
        if response.url.endswith("speech.wav"):
            files.append(response)

    page.on("response", remember)
    page.fill("#text textarea", text)
    page.click("#generate")
    wait_for_status(page, "seed")
    page.wait_for_selector("#audio [aria-label='Play']")
    assert wait_in_page(page, lambda: bool(files))
    samples, rate = soundfile.read(BytesIO(files[-1].body()))
    assert rate == 16000 and np.ptp(samples) > 0
    return samples


def wait_for_status(page, text):
    condition = f"document.querySelector('#status').innerText.includes('{text}')"
    page.wait_for_function(condition, timeout=60_000)


def wait_in_page(page, condition, seconds=20):
    """As `wait_until`, while the page's events are handled."""
    for _ in range(seconds * 10):
        if condition():
            return True
        page.wait_for_timeout(100)
    return False


def test_clone_save_reuse_and_delete_a_voice(page):
    page.set_input_files("#recording input[type=file]", str(PROMPT))
    page.wait_for_selector("#recording [aria-label='Play']")
    samples = generate(page, "Hello from a browser.")
    assert page.evaluate("window.sparkttsSamplesPlayed") == len(samples)  # all of it streamed
    page.wait_for_selector("#spectrogram img")
    page.fill("#voice_name input, #voice_name textarea", "../Anna")
    page.click("#save_voice")
    page.get_by_text("at most 40 letters").wait_for()
    page.fill("#voice_name input, #voice_name textarea", "Anna")
    page.press("#voice_name input, #voice_name textarea", "Enter")
    page.get_by_text("The voice was saved as Anna.").wait_for()
    page.get_by_role("tab", name="Saved").click()
    assert wait_in_page(page, lambda: page.input_value("#saved_voice input") == "Anna")
    generate(page, "And again.")
    with page.expect_download() as download:
        page.click("#download_voice")
    assert download.value.suggested_filename == "Anna.json"
    page.click("#delete_voice")
    page.get_by_text("The voice Anna was deleted.").wait_for()
    assert wait_in_page(page, lambda: page.input_value("#saved_voice input") == "")
    assert wait_in_page(page, lambda: page.is_disabled("#delete_voice"))
    assert page.is_disabled("#download_voice")


def test_recorded_voice_with_other_pitch_and_speed(page, server, monkeypatch):
    requests = []
    submit = server.sessions.service.submit

    def remember(request, **options):
        requests.append(request)
        return submit(request, **options)

    monkeypatch.setattr(server.sessions.service, "submit", remember)
    page.click("#recording [aria-label='Record audio']")
    page.click("#recording button.record-button")
    page.wait_for_timeout(3000)
    page.click("#recording button.stop-button")
    page.wait_for_selector("#recording [aria-label='Play']")
    page.click("#advanced > button")
    levels = {"Pitch of a recorded voice": "high", "Speed of a recorded voice": "very low"}
    for label, level in levels.items():
        page.get_by_label(label).click()
        page.get_by_role("option", name=level, exact=True).last.click()
    generate(page, "Hello from a microphone.")
    assert (requests[-1].pitch, requests[-1].speed) == ("high", "very_low")


def test_create_a_voice_in_chinese(page):
    page.get_by_role("radio", name="中文").click()
    page.get_by_role("tab", name="创造").click()
    page.get_by_role("radio", name="男声").click()
    page.fill("#text textarea", "你好。")
    page.get_by_role("button", name="开始合成").click()
    wait_for_status(page, "随机种子")


def test_guide_offers_the_example(page):
    """Before the first speech the page says what will come; afterwards, the speech takes its
    place."""
    assert page.is_visible("#guide") and not page.is_visible("#result")
    page.get_by_role("tab", name="Create").click()
    page.click("#try_it")
    wait_for_status(page, "seed")
    page.wait_for_selector("#spectrogram img")
    assert not page.is_visible("#guide") and page.is_visible("#result")
    assert page.input_value("#text textarea") == LOCALES["en"]["examples"][0]
    transcript = PROMPT.with_suffix(".txt").read_text(encoding="utf-8").strip()
    assert page.input_value("#transcript textarea") == transcript
    assert page.is_visible("#recording [aria-label='Play']")


def test_result_without_plot(page):
    page.click("#advanced > button")
    page.get_by_label("Show waveform and spectrogram").uncheck()
    page.click("#try_it")
    wait_for_status(page, "seed")
    page.wait_for_selector("#audio [aria-label='Play']")
    assert page.is_visible("#voice_name") and not page.is_visible("#spectrogram")


UPLOAD_TEXTS = {"en": "Click to Upload", "zh": "点击上传"}  # Gradio's own


@pytest.mark.parametrize(
    "locale, language",
    [("en-GB", "en"), ("zh-CN", "zh"), ("zh-HK", "zh"), ("zh", "zh"), ("fr-FR", "en")],
)
def test_language_of_the_browser(browser, server, locale, language):
    """Also in Gradio's own texts where it has another idea, as of zh-HK or French."""
    context = browser.new_context(locale=locale)
    page = context.new_page()
    page.goto(server.url)
    page.locator("#generate", has_text=LOCALES[language]["page"]["generate"]).wait_for()
    if locale != "fr-FR":
        page.locator("#recording", has_text=UPLOAD_TEXTS[language]).wait_for()
    tag = {"en": "en", "zh": "zh-CN"}[language]
    assert wait_in_page(page, lambda: page.get_attribute("html", "lang") == tag)
    context.close()


def test_switching_the_language_keeps_the_form(page):
    page.wait_for_timeout(2000)  # Gradio loses what is typed while it still loads
    page.fill("#text textarea", "Hello.")
    for language, name in (("zh", "中文"), ("en", "English")):
        page.get_by_role("radio", name=name).click()
        page.locator("#generate", has_text=LOCALES[language]["page"]["generate"]).wait_for()
        page.locator("#recording", has_text=UPLOAD_TEXTS[language]).wait_for()
        assert page.input_value("#text textarea") == "Hello."
    page.click("#example_recording")
    page.wait_for_selector("#recording [aria-label='Play']")
    page.get_by_role("radio", name="中文").click()
    page.wait_for_selector("#recording [aria-label='播放']")
    page.reload()
    page.locator("#generate", has_text="开始合成").wait_for()


def test_controls_have_names(page):
    """For screen readers: every control that can be seen."""
    page.click("#advanced > button")
    page.wait_for_timeout(500)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, textarea, select')]
            .filter((e) => e.checkVisibility() && !(e.ariaLabel || e.innerText.trim()
                || [...(e.labels || [])].some((label) => label.innerText.trim()) || e.title))
            .map((e) => e.outerHTML.slice(0, 200))"""
    )
    assert nameless == []


def test_errors_are_notices(page):
    page.click("#generate")
    page.get_by_text("There is no text yet").first.wait_for()
    assert "There is no text yet" in page.inner_text("#status")
    page.fill("#text textarea", "Hello.")
    page.click("#generate")
    page.get_by_text("There is no recording yet").first.wait_for()
    assert "Traceback" not in page.content()


def test_stopping_and_leaving_cancel_requests(page, server):
    service = server.sessions.service
    page.get_by_role("tab", name="Create").click()
    page.fill("#text textarea", LONG_TEXT)
    page.click("#generate")
    page.get_by_text("so far").wait_for()
    page.click("#stop")
    page.get_by_text("Stopped.").wait_for()
    assert wait_until(lambda: not service.jobs, 10)
    page.click("#generate")
    page.get_by_text("so far").wait_for()
    page.close()
    assert wait_until(lambda: not service.jobs, 20)


@pytest.mark.parametrize("width", [320, 390, 768])
def test_page_fits_small_screens(browser, server, width):
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(server.url)
    page.wait_for_selector("#text textarea")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
