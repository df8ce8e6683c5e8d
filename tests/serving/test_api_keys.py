"""Keys in the environment, and in the file that it names."""

import pytest

from sparktts_ms.errors import InputError
from sparktts_ms.serving import api_keys


def test_keys_come_from_the_variable_and_from_the_file(monkeypatch, tmp_path):
    monkeypatch.setenv(api_keys.VARIABLE, "one, two,")
    assert api_keys.environment_keys() == ["one", "two"]
    file = tmp_path / "keys"
    file.write_text("three\n\nfour,five\r\n")
    monkeypatch.setenv(api_keys.FILE_VARIABLE, str(file))
    assert api_keys.environment_keys() == ["one", "two", "three", "four", "five"]
    monkeypatch.delenv(api_keys.VARIABLE)
    monkeypatch.setenv(api_keys.FILE_VARIABLE, "/dev/null")     # compose.yaml's default
    assert api_keys.environment_keys() == []


@pytest.mark.parametrize("content", [None, "schlüssel", "x" * (api_keys.MAX_FILE + 1)])
def test_a_file_that_holds_no_keys_is_named_and_not_shown(monkeypatch, tmp_path, content):
    file = tmp_path / "keys"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv(api_keys.FILE_VARIABLE, str(file))
    with pytest.raises(InputError) as caught:
        api_keys.environment_keys()
    message = str(caught.value)
    assert str(file) in message and api_keys.FILE_VARIABLE in message
    assert len(message) < 300 and "schl" not in message
