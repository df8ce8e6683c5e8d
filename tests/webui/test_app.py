"""The server's voice stores."""

import numpy as np

from sparktts_ms.voice import Voice

VOICE = Voice(np.arange(32, dtype=np.int32))


def test_public_servers_have_a_voice_store_per_session(server, monkeypatch):
    monkeypatch.setattr(server, "shared_store", None)
    server.voice_store("one").save("Anna", VOICE)
    assert server.voice_store("one").names() == ["Anna"]
    assert server.voice_store("two").names() == []
    assert server.temp_files.folder in server.voice_store("../../etc").folder.parents
