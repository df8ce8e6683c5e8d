"""The named endpoints, through gradio_client with the arguments that clients send."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from tests.helpers import LONG_TEXT, PROMPT, ROOT, wait_until


@pytest.fixture(scope="module")
def client(server):
    return Client(server.url, verbose=False)


def read_speech(path):
    samples, rate = soundfile.read(path)
    assert rate == 16000 and len(samples) and np.ptp(samples) > 0
    return samples


@pytest.mark.parametrize("upload, record", [(True, False), (False, True), (True, True)])
def test_voice_clone_by_keyword(client, prompt, upload, record):
    path = client.predict(
        text="Hello there.",
        prompt_text="",
        prompt_wav_upload=handle_file(prompt) if upload else None,
        prompt_wav_record=handle_file(prompt) if record else None,
        api_name="/voice_clone",
    )
    assert isinstance(path, str)
    read_speech(path)


def test_voice_clone_by_position_with_transcript(client, prompt):
    transcript = PROMPT.with_suffix(".txt").read_text(encoding="utf-8")
    recording = handle_file(prompt)
    read_speech(client.predict("你好。", transcript, recording, None, api_name="/voice_clone"))


@pytest.mark.parametrize("gender, pitch, speed", [("male", 1, 5), ("female", 3, 3)])
def test_voice_creation(client, gender, pitch, speed):
    values = {"text": "Hello there.", "gender": gender, "pitch": pitch, "speed": speed}
    read_speech(client.predict(*values.values(), api_name="/voice_creation"))
    read_speech(client.predict(**values, api_name="/voice_creation"))


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"prompt_wav_upload": None}, "no recording"),
        ({"text": "  "}, "no text"),
        ({"text": "a" * 20_001}, "at most 20,000"),
    ],
)
def test_errors_are_one_line(client, prompt, wrong, message):
    values = {
        "text": "Hello.",
        "prompt_text": "",
        "prompt_wav_upload": handle_file(prompt),
        "prompt_wav_record": None,
        **wrong,
    }
    with pytest.raises(AppError, match=message) as caught:
        client.predict(**values, api_name="/voice_clone")
    assert "\n" not in str(caught.value) and "--" not in str(caught.value)


def test_errors_name_files_without_paths(client, tmp_path):
    fake = tmp_path / "fake.wav"
    fake.write_bytes(b"RIFF nothing of the kind")
    with pytest.raises(AppError, match=r"fake\.wav is damaged or not audio") as caught:
        client.predict("Hello.", "", handle_file(fake), None, api_name="/voice_clone")
    assert "/" not in str(caught.value)


def test_unsupported_language(server, client, monkeypatch):
    tts = server.sessions.service.tts
    monkeypatch.setattr(tts, "config", replace(tts.config, languages=("en",)))
    with pytest.raises(AppError, match="speaks English only, and the text is Chinese"):
        client.predict("今天天气很好。", "male", 3, 3, api_name="/voice_creation")


def test_basic_tts_with_the_arguments_of_older_clients(client, prompt):
    audio, spectrogram, reference_text, seed = client.predict(
        ref_audio_input=handle_file(prompt),
        ref_text_input="",
        gen_text_input="Hello.",
        remove_silence=True,
        speed_slider=1.0,
        api_name="/basic_tts",
    )
    read_speech(audio)
    assert Path(spectrogram).read_bytes().startswith((b"\x89PNG", b"RIFF"))
    assert reference_text == "" and seed >= 0


def test_basic_tts_honours_seed_and_speed(client, prompt):
    def synthesize(seed, speed):
        result = client.predict(
            handle_file(prompt),
            "",
            "Hello there.",
            False,
            False,
            seed,
            0.15,
            32,
            speed,
            api_name="/basic_tts",
        )
        assert result[3] == seed
        return read_speech(result[0])

    normal = synthesize(77, 1.0)
    np.testing.assert_array_equal(normal, synthesize(77, 1.0))
    assert len(synthesize(77, 0.5)) == 2 * len(normal)
    assert len(synthesize(77, 2.0)) == pytest.approx(len(normal) / 2, abs=1)


def test_killed_client_cancels_its_request(server):
    script = (
        "import sys; from gradio_client import Client; "
        "Client(sys.argv[1], verbose=False)"
        ".predict(sys.argv[2], 'male', 3, 3, api_name='/voice_creation')"
    )
    service = server.sessions.service
    command = [sys.executable, "-c", script, server.url, LONG_TEXT]
    with subprocess.Popen(command) as program:
        try:
            assert wait_until(lambda: service.jobs, 120) and program.poll() is None
        finally:
            program.kill()
    assert wait_until(lambda: not service.jobs, 20)


def boolean_schemas(schema, path=()):
    """Where a JSON schema has true or false in the place of a schema."""
    if isinstance(schema, bool):
        return [path]
    if isinstance(schema, list):
        parts = list(enumerate(schema))
    elif isinstance(schema, dict):
        named = ("properties", "$defs", "definitions", "patternProperties")
        parts = [(key, part) for name in named for key, part in schema.get(name, {}).items()]
        nested = ("additionalProperties", "items", "anyOf", "oneOf", "allOf", "not", "prefixItems")
        parts += [(key, schema[key]) for key in nested if key in schema]
    else:
        return []
    return [found for key, part in parts for found in boolean_schemas(part, (*path, key))]


def test_no_schema_is_a_boolean(server):
    """gradio_client before 1.8 cannot connect to a server with one."""
    components = httpx.get(server.url + "config").json()["components"]
    kinds = set()
    for component in components:
        for key in ("api_info", "api_info_as_input", "api_info_as_output"):
            if key in component:
                kinds.add(component["type"])
                assert boolean_schemas(component[key]) == [], (component["id"], key)
    assert {"audio", "image", "textbox"} <= kinds


def test_boolean_schemas_are_found():
    assert boolean_schemas({"properties": {"meta": {"additionalProperties": True}}}) == [
        ("meta", "additionalProperties")
    ]
    assert boolean_schemas({"anyOf": [{"items": False}, {"default": True}]}) == [
        ("anyOf", 0, "items")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1.4.0", "1.5.4", "1.7.2", "2.7.2"])
def test_other_versions_of_gradio_client(server, version):
    """The oldest that works, those of upstream's pins, and the newest."""
    python = ROOT / f".venv-gradio-client-{version}" / "bin" / "python"
    if not python.is_file():
        pytest.skip("make gradio-clients")
    script = Path(__file__).with_name("client_calls.py")
    command = [str(python), str(script), server.url, str(PROMPT)]
    program = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert program.returncode == 0, program.stderr
