"""Calls every named endpoint: python client_calls.py URL RECORDING

Runs with the gradio_client of another environment, so it imports nothing else that is installed.
"""

import sys
import wave

from gradio_client import Client, handle_file


def check_wav(path):
    with wave.open(path) as file:
        assert file.getframerate() == 16000 and file.getnframes() > 0


def main(url, recording):
    client = Client(url, verbose=False)
    client.view_api(print_info=False, return_format="dict")
    path = client.predict("Hello.", "", handle_file(recording), None, api_name="/voice_clone")
    check_wav(path)
    path = client.predict(
        text="Hello.",
        prompt_text="",
        prompt_wav_upload=None,
        prompt_wav_record=handle_file(recording),
        api_name="/voice_clone",
    )
    check_wav(path)
    check_wav(client.predict("Hello.", "male", 3, 3, api_name="/voice_creation"))
    audio, plot, text, seed = client.predict(
        ref_audio_input=handle_file(recording),
        ref_text_input="",
        gen_text_input="Hello.",
        remove_silence=False,
        randomize_seed=False,
        seed_input=7,
        api_name="/basic_tts",
    )
    check_wav(audio)
    assert plot and text == "" and seed == 7
    job = client.submit("Hello. " * 500, "male", 3, 3, api_name="/voice_creation")
    assert not job.done()
    job.cancel()
    try:
        client.predict(" ", "male", 3, 3, api_name="/voice_creation")
    except Exception as error:
        assert "There is no text yet" in str(error), error
    else:
        raise AssertionError("An empty text was accepted.")


main(*sys.argv[1:])
