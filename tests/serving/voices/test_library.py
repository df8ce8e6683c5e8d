"""Voices by name: fixed, saved, and those of a file of names."""

import asyncio
import json

import numpy as np
import pytest

pytest.importorskip("prometheus_client", reason="the server needs requirements-serve.txt")

from sparktts_ms import VoiceDescription
from sparktts_ms.errors import InputError, SparkTTSError, VoiceError
from sparktts_ms.serving.voices.built_in import BUILT_IN_VOICES
from sparktts_ms.serving.voices.library import VoiceLibrary
from sparktts_ms.serving.voices.names import read_names
from sparktts_ms.serving.voices.store import VoiceStore
from sparktts_ms.voice import Voice

OPENAI_NAMES = ["alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage",
                "shimmer", "verse", "marin", "cedar"]
ANNA = Voice(np.arange(32, dtype=np.int32))


class Speech:
    """Stands for AsyncService: generates voices whose first id is their seed."""

    def __init__(self):
        self.batches = []

    def open_service(self):
        return self

    async def run(self, function, *arguments):
        return function(*arguments)

    def generate_voices(self, descriptions):
        self.batches.append(list(descriptions))
        return [Voice(np.full(32, description.seed, np.int32)) for description in descriptions]


@pytest.fixture
def store(tmp_path):
    store = VoiceStore(tmp_path / "voices")
    store.save("Anna", ANNA)
    return store


def find(library, name, speech=None):
    return asyncio.run(library.find(name, speech or Speech()))


def ids_of(library, name, speech=None):
    return find(library, name, speech).global_ids.tolist()


def test_openai_names_and_genders_are_voices_of_their_own():
    library = VoiceLibrary()
    names = [voice.name for voice in library.list()]
    assert names == ["female", "male", *OPENAI_NAMES]
    speech = Speech()
    voices = {tuple(ids_of(library, name, speech)) for name in names}
    assert len(voices) == len(names)
    assert len(set(BUILT_IN_VOICES.values())) == len(names)


def test_fixed_voices_are_made_once_in_one_batch():
    library, speech = VoiceLibrary(names={"x": VoiceDescription("male", seed=99)}), Speech()
    library.generate(speech)
    library.generate(speech)
    first = find(library, "nova", speech)
    assert find(library, "nova", speech) is first and ids_of(library, "x", speech)[0] == 99
    [batch] = speech.batches
    assert len(batch) == 16


def test_saved_voices_are_found_and_listed(store):
    library = VoiceLibrary(store)
    assert ids_of(library, "Anna") == ANNA.global_ids.tolist()
    assert ids_of(library, " Anna ") == ANNA.global_ids.tolist()
    info = library.list()[-1]
    assert (info.id, info.name, info.kind) == ("Anna", "Anna", "saved")
    assert info.created_at == int(store.file("Anna").stat().st_mtime)


@pytest.mark.parametrize("name", ["", "af_heart", "anna", "../voices/Anna", "Anna.json", "Anna\0",
                                  "/etc/passwd", "x" * 1_000_000, "\ud800"])
def test_an_unknown_voice_is_an_error_that_names_others(store, name):
    with pytest.raises(VoiceError) as caught:
        find(VoiceLibrary(store), name)
    message = str(caught.value)
    assert caught.value.code == "unknown_voice" and message.isprintable()
    assert "Anna" in message and "female" in message and len(message) < 300


def test_voices_are_added_and_deleted(store):
    library = VoiceLibrary(store)
    info = library.add(" Bob ", ANNA)
    assert (info.name, info.kind) == ("Bob", "saved") and "Bob" in store.names()
    library.delete("Bob")
    with pytest.raises(VoiceError) as caught:
        library.delete("Bob")
    assert caught.value.code == "unknown_voice" and store.names() == ["Anna"]


@pytest.mark.parametrize(("name", "code"), [
    ("nova", "voice_exists"), ("NOVA", "voice_exists"), ("Other", "voice_exists"),
    ("anna", "voice_exists"), ("../x", None), ("", None), ("a/b", None), ("a" * 41, None)])
def test_a_name_that_is_taken_or_invalid_is_refused(store, name, code):
    library = VoiceLibrary(store, {"Other": "Anna"})
    with pytest.raises(SparkTTSError) as caught:
        library.add(name, ANNA)
    assert caught.value.code == code and store.names() == ["Anna"]


@pytest.mark.parametrize("name", ["nova", "Other"])
def test_fixed_voices_are_not_deleted(store, name):
    with pytest.raises(VoiceError) as caught:
        VoiceLibrary(store, {"Other": "Anna"}).delete(name)
    assert caught.value.code == "fixed_voice" and store.names() == ["Anna"]


def test_without_a_folder_nothing_is_saved():
    with pytest.raises(VoiceError) as caught:
        VoiceLibrary().add("Anna", ANNA)
    assert caught.value.code == "no_voice_folder"


def test_names_of_others_lead_to_voices(store):
    own = VoiceDescription("male", "low", seed=77)
    names = {"alloy": "Anna", "en-US-AvaNeural": "alloy", "onyx": own, "echo": "onyx"}
    library = VoiceLibrary(store, names)
    for name in ("alloy", "en-US-AvaNeural"):
        assert ids_of(library, name) == ANNA.global_ids.tolist()
    for name in ("onyx", "echo"):
        assert ids_of(library, name)[0] == 77
    kinds = {voice.name: voice.kind for voice in library.list()}
    assert kinds["alloy"] == kinds["en-US-AvaNeural"] == "alias" and kinds["nova"] == "built_in"
    assert len(kinds) == len(library.list()) == len(BUILT_IN_VOICES) + 2


@pytest.mark.parametrize("names", [
    {"alloy": "Nobody"}, {"alloy": "alloy"}, {"alloy": "nova", "nova": "alloy"},
    {"a": "b", "b": "c", "c": "a"}, {"a": "../voices/Anna"}])
def test_names_that_lead_nowhere_are_refused_at_the_start(store, names):
    with pytest.raises(InputError) as caught:
        VoiceLibrary(store, names)
    assert str(caught.value).isprintable() and next(iter(names)) in str(caught.value)


def test_a_saved_voice_that_is_gone_is_unknown_to_its_other_name(store):
    library = VoiceLibrary(store, {"alloy": "Anna"})
    store.delete("Anna")
    with pytest.raises(VoiceError, match="'Anna', which 'alloy' stands for"):
        find(library, "alloy")


def test_a_damaged_file_is_an_error_without_its_path(store, tmp_path):
    (store.folder / "Bob.json").write_text("{")
    with pytest.raises(VoiceError) as caught:
        find(VoiceLibrary(store), "Bob")
    assert "Bob" in str(caught.value) and str(tmp_path) not in str(caught.value)


def test_a_file_of_names_is_read(tmp_path):
    names = {"alloy": "Anna", "nova": {"gender": "female", "pitch": "high", "seed": 7},
             "low": {"gender": "male", "pitch": 100.0, "speed": "low"}}
    expected = {"alloy": "Anna", "nova": VoiceDescription("female", "high", seed=7),
                "low": VoiceDescription("male", 100.0, "low")}
    (tmp_path / "names.json").write_text(json.dumps(names))
    (tmp_path / "names.yaml").write_text(
        "alloy: Anna\nnova: {gender: female, pitch: high, seed: 7}\n"
        "low: {gender: male, pitch: 100.0, speed: low}\n")
    for name in ("names.json", "names.yaml"):
        assert read_names(tmp_path / name) == expected


@pytest.mark.parametrize("text", [
    "", "- alloy", "alloy", "alloy: ", "alloy: 3", "alloy: [Anna]", "alloy: ' '", "3: Anna",
    "yes: Anna", "alloy: {pitch: low}", "alloy: {gender: robot}", "alloy: {gender: [male]}",
    "alloy: {gender: male, pitch: [1]}", "alloy: {gender: male, pitch: .nan}",
    "alloy: {gender: male, seed: -1}", "alloy: {gender: male, seed: 1.5}",
    "alloy: {gender: male, seed: true}", "alloy: {gender: male, height: 2}", "alloy: {gender: male",
    "'a\\nb\": Anna", "\"a\\nb\": Anna", "'': Anna", "' a': Anna", "x" * 81 + ": Anna",
    "a: &a [*a]", "a: &x {gender: male}\nb: {<<: *x}", "a: !!python/object:os.system {}",
    "{" * 5000, "\0"])
def test_a_file_of_names_that_makes_no_sense_is_one_error(tmp_path, text):
    path = tmp_path / "names.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_names(path)
    message = str(caught.value)
    assert "names.yaml" in message and message.isprintable() and len(message) < 600


def test_a_file_of_names_that_is_missing_or_large_is_one_error(tmp_path):
    with pytest.raises(InputError, match=r"names\.json is missing"):
        read_names(tmp_path / "names.json")
    (tmp_path / "names.json").write_text(json.dumps({str(n): "nova" for n in range(1001)}))
    with pytest.raises(InputError, match="1000 names"):
        read_names(tmp_path / "names.json")
