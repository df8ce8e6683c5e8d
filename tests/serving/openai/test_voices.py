"""Lists of models and voices, uploads and consents, as clients of several servers send them."""

import errno
import json
import os

import pytest
from starlette import formparsers

from sparktts_ms import files
from sparktts_ms.serving.voices.built_in import BUILT_IN_VOICES
from tests.helpers import PROMPT
from tests.serving.openai.conftest import error_of

MODELS = ("spark-tts", "tts-1", "tts-1-hd", "gpt-4o-mini-tts")


def upload(api, name="Anna", audio=None, **fields):
    content = PROMPT.read_bytes() if audio is None else audio
    files = {"audio_sample": ("../../prompt.wav", content, "audio/wav")}
    return api.client.post("v1/audio/voices", data={"name": name, **fields}, files=files)


def consent(api, audio=None, **fields):
    content = PROMPT.read_bytes() if audio is None else audio
    files = {"recording": ("consent.wav", content, "audio/wav")}
    data = {"name": "Anna's consent", "language": "en-US", **fields}
    return api.client.post("v1/audio/voice_consents", data=data, files=files)


def saved_files(api):
    folder = api.server.voices.store.folder
    return sorted(path.name for path in folder.parent.rglob("*")
                  if path.is_file() and not path.name.startswith("."))


@pytest.fixture(autouse=True)
def nothing_saved(request):
    """Each test ends with the saved voices that it began with: none."""
    yield
    if "api" in request.fixturenames:
        api = request.getfixturevalue("api")
        for name in api.server.voices.store.names():
            api.server.voices.store.delete(name)


def test_models_are_listed_with_their_voices(api):
    listed = api.client.get("v1/models").json()
    assert listed["object"] == "list"
    cards = {card["id"]: card for card in listed["data"]}
    assert set(MODELS) <= set(cards)
    for name in MODELS:
        card = api.client.get(f"v1/models/{name}").json()
        assert card == cards[name]
        assert card["object"] == "model" and isinstance(card["created"], int)
        assert {voice["name"] for voice in card["voices"]} == set(BUILT_IN_VOICES)
        assert all(isinstance(voice["language"], str) for voice in card["voices"])
    for name in ("whisper-1", "a/b", "..%2f..%2fetc%2fpasswd", "%00", "x" * 1000):
        assert error_of(api.client.get(f"v1/models/{name}"), 404)["code"] == "model_not_found"


def test_voices_are_listed_as_open_webui_reads_them(api):
    voices = api.client.get("v1/audio/voices").json()["voices"]
    assert [voice["id"] for voice in voices] == list(BUILT_IN_VOICES)
    assert all(isinstance(voice["name"], str) for voice in voices)


def test_the_list_of_voices_needs_no_key_and_all_else_does(make_api):
    api = make_api(api_keys=["secret"])
    assert api.client.get("v1/audio/voices").status_code == 200
    error_of(upload(api), 401)
    error_of(consent(api), 401)
    error_of(api.client.delete("v1/audio/voices/Anna"), 401)
    error_of(api.client.get("v1/models"), 401)


@pytest.mark.parametrize("fields", [
    {},
    {"consent": "spoken consent", "speaker_description": "warm", "x": "y"},     # vLLM-Omni's
    {"ref_text": "The water is still famous.", "type": "audio_sample"},
])
def test_an_uploaded_voice_speaks_until_it_is_deleted(api, service, fields):
    response = upload(api, **fields)
    assert response.status_code == 200, response.text
    voice = response.json()
    assert (voice["object"], voice["type"]) == ("audio.voice", "audio_sample")
    assert voice["success"] is True and voice["voice"]["name"] == voice["name"] == "Anna"
    assert isinstance(voice["created_at"], int) and voice["created_at"] > 1_700_000_000
    expected = service.encode_voice(PROMPT, fields.get("ref_text"))
    saved = api.server.voices.store.load("Anna")
    assert saved.global_ids.tolist() == expected.global_ids.tolist()
    assert saved.transcript == fields.get("ref_text")
    assert api.client.get("v1/audio/voices").json()["voices"][-1]["id"] == "Anna"
    assert api.speak(voice={"id": voice["id"]}).status_code == 200
    deleted = api.client.delete(f"v1/audio/voices/{voice['id']}")
    assert deleted.status_code == 200
    assert deleted.json()["object"] == "audio.voice.deleted" and deleted.json()["deleted"]
    assert error_of(api.speak(voice="Anna"))["code"] == "unknown_voice"
    assert error_of(api.client.delete("v1/audio/voices/Anna"), 404)["code"] == "unknown_voice"


def test_a_name_in_any_script_is_saved(api):
    for name in ("小明 2", "Ünal-x_1"):
        voice = upload(api, name).json()
        assert voice["name"] == name
        assert api.client.delete(f"v1/audio/voices/{name}").status_code == 200


NAMES = ["..", "../Bob", "a/b", "a\\b", "/etc/passwd", ".hidden", "-flag", "x" * 41, "x" * 1000,
         "声" * 41, "a\u202eb", "~root", "nova", "NOVA", "con*", "\ud800"]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_name_with_tricks_is_refused_before_the_recording_is_read(api, name, monkeypatch):
    monkeypatch.setattr(api.server.speech, "encode_voice", None)
    before = saved_files(api)
    name = name.encode(errors="surrogatepass")
    boundary = b"x" * 20
    form = b"".join((
        b"--" + boundary + b'\r\nContent-Disposition: form-data; name="name"\r\n\r\n', name,
        b"\r\n--" + boundary + b'\r\nContent-Disposition: form-data; name="audio_sample"; '
        b'filename="a.wav"\r\n\r\n' + PROMPT.read_bytes() + b"\r\n--" + boundary + b"--\r\n"))
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary.decode()}"}
    response = api.client.post("v1/audio/voices", content=form, headers=headers)
    assert error_of(response)["param"] == "name"
    assert saved_files(api) == before


@pytest.mark.parametrize("charset", ["undefined", "punycode", "idna", "nothing", "utf-7"])
def test_a_form_of_any_charset_is_refused(api, charset):
    form = (b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\n\xff+-999999\r\n--x--\r\n')
    kind = f"multipart/form-data; boundary=x; charset={charset}"
    error_of(api.client.post("v1/audio/voices", content=form, headers={"Content-Type": kind}))


@pytest.mark.parametrize("path", ["..%2f..%2fAnna", "%2e%2e", "%2Fetc%2Fpasswd", "a%00b", "x" * 500,
                                  "Anna.json", "consents"])
def test_a_path_with_tricks_deletes_nothing(api, path):
    upload(api)
    before = saved_files(api)
    error_of(api.client.delete(f"v1/audio/voices/{path}"), 404)
    assert saved_files(api) == before


@pytest.mark.parametrize("name", ["nova", "male"])
def test_a_fixed_voice_is_not_deleted(api, name):
    error = error_of(api.client.delete(f"v1/audio/voices/{name}"))
    assert error["code"] == "fixed_voice"


def test_a_name_is_given_once(api):
    assert upload(api).status_code == 200
    for name in ("Anna", "anna", " ANNA "):
        error = error_of(upload(api, name))
        assert (error["param"], error["code"]) == ("name", "voice_exists")


@pytest.mark.parametrize("content", [b"", b"no sound " * 100, b"RIFF" + bytes(100)])
def test_a_recording_without_sound_saves_nothing(api, content):
    before = saved_files(api)
    error = error_of(upload(api, audio=content))
    assert error["param"] == "audio_sample" and "/tmp" not in error["message"]
    assert error_of(consent(api, content))["param"] == "recording"
    assert saved_files(api) == before


def test_a_recording_that_is_too_large_is_413(api):
    content = PROMPT.read_bytes() + bytes(1 << 20)
    error_of(upload(api, audio=content), 413)
    error_of(consent(api, content), 413)


def test_a_full_disk_is_said(api, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(formparsers, "SpooledTemporaryFile", fail)
        assert "No space" in error_of(upload(api), 507)["message"]
    monkeypatch.setattr(files.tempfile, "NamedTemporaryFile", fail)
    unknown = PROMPT.read_bytes() + b"not encoded before"
    assert "No space" in error_of(upload(api, audio=unknown), 507)["message"]
    monkeypatch.undo()
    monkeypatch.setattr(files.os, "link", fail)
    monkeypatch.setattr(files.os, "replace", fail)
    for response in (upload(api), consent(api)):
        message = error_of(response, 507)["message"]
        assert "No space" in message and "/" not in message
    assert api.server.voices.store.names() == []


def test_forms_that_lack_something_are_refused(api):
    post = api.client.post
    path = "v1/audio/voices"
    file = {"audio_sample": ("a.wav", PROMPT.read_bytes())}
    assert error_of(post(path, files=file))["param"] == "name"
    assert error_of(post(path, data={"name": " "}, files=file))["param"] == "name"
    other = {"other": ("a.wav", PROMPT.read_bytes())}
    assert error_of(post(path, data={"name": "Bob"}, files=other))["param"] == "audio_sample"
    assert error_of(post(path, files={"name": ("a.wav", b"x")}))["param"] == "name"
    for content_type in ("application/json", "text/plain", "", "multipart/form-data",
                         "multipart/form-data; boundary=x"):
        response = post(path, content=b'{"name": "Bob"}', headers={"Content-Type": content_type})
        assert error_of(response)["code"] in ("invalid_form", None)
    long_text = {"name": "Bob", "ref_text": "a" * 2001}
    assert error_of(post(path, data=long_text, files=file))["param"] == "ref_text"
    prompted = {"name": "Bob", "type": "prompt", "prompt": "A warm voice."}
    assert error_of(post(path, data=prompted, files=other))["param"] == "type"
    assert api.server.voices.store.names() == []


def test_a_consent_is_a_record_without_the_recording(api):
    response = consent(api)
    assert response.status_code == 200, response.text
    content = response.json()
    assert content["id"].startswith("cons_") and content["object"] == "audio.voice_consent"
    assert (content["name"], content["language"]) == ("Anna's consent", "en-US")
    [path] = (api.server.voices.store.folder / "consents").glob(f"{content['id']}.json")
    assert json.loads(path.read_text()) == content
    assert upload(api, consent=content["id"]).status_code == 200
    assert [voice.name for voice in api.server.voices.list() if voice.kind == "saved"] == ["Anna"]


@pytest.mark.parametrize("consent_id", ["cons_" + "0" * 32, "cons_", "cons_../../x", "cons_1234"])
def test_a_consent_that_does_not_exist_is_refused(api, consent_id):
    error = error_of(upload(api, consent=consent_id))
    assert (error["param"], error["code"]) == ("consent", "unknown_consent")
    assert api.server.voices.store.names() == []


def test_a_consent_needs_all_its_fields(api):
    assert error_of(consent(api, name=""))["param"] == "name"
    assert error_of(consent(api, language=" "))["param"] == "language"
    data = {"name": "x", "language": "en"}
    files = {"x": ("a.wav", b"")}
    response = api.client.post("v1/audio/voice_consents", data=data, files=files)
    assert error_of(response)["param"] == "recording"


def test_without_a_folder_nothing_is_saved(make_api):
    api = make_api(voices=None)
    assert error_of(upload(api))["code"] == "no_voice_folder"
    assert error_of(consent(api))["code"] == "no_voice_folder"
    error_of(api.client.delete("v1/audio/voices/Anna"), 404)
    assert api.speak(voice="nova").status_code == 200


def test_names_of_a_file_are_voices(make_api, tmp_path, api):
    path = tmp_path / "names.yaml"
    path.write_text("en-US-AvaNeural: nova\nonyx: {gender: male, pitch: very_low, seed: 5}\n")
    named = make_api(names=path)
    sound = {"seed": 1, "response_format": "pcm"}
    ava = named.speak(voice="en-US-AvaNeural", **sound).content
    assert ava == api.speak(voice="nova", **sound).content
    assert named.speak(voice="onyx", **sound).content != api.speak(voice="onyx", **sound).content
    assert "en-US-AvaNeural" in [voice["id"] for voice in
                                 named.client.get("v1/audio/voices").json()["voices"]]
