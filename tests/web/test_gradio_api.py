"""Programs that were written for other servers work unchanged, each through its own client library."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from tests.web.conftest import LONG, PROMPT, until


@pytest.fixture(scope="module")
def client(site):
    return Client(site.url, verbose=False)


def heard(content):
    samples, rate = soundfile.read(content if isinstance(content, (str, Path)) else BytesIO(content))
    assert rate == 16000 and len(samples) and np.ptp(samples) > 0
    return samples


@pytest.mark.parametrize("upload,record", [(True, False), (False, True), (True, True)])
def test_spark_tts_voice_clone_by_keyword(client, prompt, upload, record):
    path = client.predict(text="Hello there.", prompt_text="", prompt_wav_upload=handle_file(prompt) if upload else None,
                          prompt_wav_record=handle_file(prompt) if record else None, api_name="/voice_clone")
    assert isinstance(path, str)
    heard(path)


def test_spark_tts_voice_clone_by_position_with_a_transcript(client, prompt):
    transcript = PROMPT.with_suffix(".txt").read_text(encoding="utf-8")
    heard(client.predict("你好。", transcript, handle_file(prompt), None, api_name="/voice_clone"))


@pytest.mark.parametrize("gender,pitch,speed", [("male", 1, 5), ("female", 3, 3)])
def test_spark_tts_voice_creation(client, gender, pitch, speed):
    heard(client.predict("Hello there.", gender, pitch, speed, api_name="/voice_creation"))
    heard(client.predict(text="Hello there.", gender=gender, pitch=pitch, speed=speed, api_name="/voice_creation"))


@pytest.mark.parametrize("wrong,says", [
    ({"prompt_wav_upload": None}, "no recording"), ({"text": "  "}, "no text"), ({"text": "a" * 20_001}, "at most 20,000")])
def test_errors_reach_the_client_as_one_line(client, prompt, wrong, says):
    asked = {"text": "Hello.", "prompt_text": "", "prompt_wav_upload": handle_file(prompt), "prompt_wav_record": None, **wrong}
    with pytest.raises(AppError, match=says) as caught:
        client.predict(**asked, api_name="/voice_clone")
    assert "\n" not in str(caught.value) and "--" not in str(caught.value)


def test_what_is_no_audio_is_refused_by_name_only(client, tmp_path):
    fake = tmp_path / "fake.wav"
    fake.write_bytes(b"RIFF nothing of the kind")
    with pytest.raises(AppError, match=r"fake\.wav is damaged or not audio") as caught:
        client.predict("Hello.", "", handle_file(fake), None, api_name="/voice_clone")
    assert "/" not in str(caught.value)


def test_f5_tts_with_the_arguments_that_older_clients_send(client, prompt):
    audio, picture, reference, seed = client.predict(
        ref_audio_input=handle_file(prompt), ref_text_input="", gen_text_input="Hello.", remove_silence=True, speed_slider=1.0,
        api_name="/basic_tts")
    heard(audio)
    assert Path(picture).read_bytes().startswith((b"\x89PNG", b"RIFF")) and reference == "" and seed >= 0


def test_f5_tts_honours_seed_and_speed(client, prompt):
    def speak(seed, speed):
        result = client.predict(handle_file(prompt), "", "Hello there.", False, False, seed, 0.15, 32, speed,
                                api_name="/basic_tts")
        assert result[3] == seed
        return heard(result[0])
    usual = speak(77, 1.0)
    np.testing.assert_array_equal(usual, speak(77, 1.0))
    assert len(speak(77, 0.5)) == 2 * len(usual)
    assert len(speak(77, 2.0)) == pytest.approx(len(usual) / 2, abs=1)


def test_older_f5_form(site):
    def post(files=True, **data):
        with PROMPT.open("rb") as file:
            return httpx.post(site.url + "api", files={"audio": file} if files else None, data=data, timeout=60)
    answer = post(ref_text="", gen_text="Hello.", model="f5-tts", speed="1.5")
    assert answer.status_code == 200 and answer.headers["content-type"] == "audio/wav"
    heard(answer.content)
    for wrong in (post(files=False, gen_text="Hello."), post(ref_text="x"), post(gen_text="Hello.", speed="fast")):
        assert wrong.status_code == 400 and isinstance(wrong.json()["error"], str)


def test_chattts_ui(site):
    form = {"text": "你好[uv_break]朋友。", "voice": "2222", "prompt": "[oral_2]", "temperature": 0.3, "top_p": 0.7, "top_k": 20,
            "skip_refine": 0, "custom_voice": 0, "is_split": 1}
    answer = httpx.post(site.url + "tts", data=form, timeout=60).json()
    assert (answer["code"], answer["msg"]) == (0, "ok")
    [entry] = answer["audio_files"]
    assert answer["url"] == entry["url"] and answer["filename"] == entry["filename"]
    assert len(heard(httpx.get(entry["url"]).content)) / 16000 == pytest.approx(entry["audio_duration"], abs=0.01)
    assert httpx.get(site.url + "tts", params={"text": "Hello."}, timeout=60).json()["code"] == 0
    for wrong in ({}, {"text": " "}, {"text": "Hello.", "top_p": "much"}, {"text": "Hello.", "temperature": -1}):
        refused = httpx.post(site.url + "tts", data=wrong, timeout=60).json()
        assert refused["code"] == 1 and refused["msg"]


def test_a_numbered_voice_is_always_the_same_one(site):
    def speak(**form):
        answer = httpx.post(site.url + "tts", data={"text": "Hello.", **form}, timeout=60).json()
        return httpx.get(answer["url"]).content
    first = speak(voice=4711)
    voice = site.speaker.numbered_voice(4711)
    site.speaker._made.clear()
    np.testing.assert_array_equal(site.speaker.numbered_voice(4711).global_ids, voice.global_ids)
    assert speak(voice=4711) == first == speak(voice=1, custom_voice=4711)
    assert not np.array_equal(site.speaker.numbered_voice(4712).global_ids, voice.global_ids)


def test_fifty_visitors_at_once(site):
    def ask(n):
        return httpx.post(site.url + "tts", data={"text": f"Hello number {n}.", "voice": 5}, timeout=300).json()
    with ThreadPoolExecutor(50) as pool:
        assert [answer["code"] for answer in pool.map(ask, range(50))] == [0] * 50
    assert until(lambda: not site.speaker.service.jobs)


@pytest.mark.parametrize("path,form", [("tts", {"text": LONG, "voice": 5}), ("api", {"gen_text": LONG, "ref_text": ""})])
def test_a_client_that_hangs_up_frees_its_place(site, path, form):
    site.speaker.numbered_voice(5)
    with PROMPT.open("rb") as file, pytest.raises(httpx.ReadTimeout):
        httpx.post(site.url + path, data=form, files={"audio": file} if path == "api" else None, timeout=2)
    assert until(lambda: not site.speaker.service.jobs, 10)


def test_a_gradio_client_that_dies_frees_its_place(site):
    asking = ("import sys; from gradio_client import Client; "
              "Client(sys.argv[1], verbose=False).predict(sys.argv[2], 'male', 3, 3, api_name='/voice_creation')")
    with subprocess.Popen([sys.executable, "-c", asking, site.url, LONG]) as program:
        try:
            assert until(lambda: site.speaker.service.jobs, 120) and program.poll() is None
        finally:
            program.kill()
    assert until(lambda: not site.speaker.service.jobs, 20)
