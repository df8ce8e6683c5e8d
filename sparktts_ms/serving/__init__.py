"""A speech server for the clients of others, by the protocols of OpenAI, ElevenLabs and KServe.

    app             one ASGI application of all that follows
    server          what the protocols share: service, voices, settings, metrics
    async_service   requests of an event loop to the engine: bounded queue, cancellation, drain
    speech_stream   the samples of one of them
    openai, elevenlabs, kserve      one protocol each
    voices          by name; recordings: those that come with requests
    encoding        samples to mp3, opus, aac, flac, wav, pcm
    monitoring      health, metrics, request ids and traces
    middleware      guards of one idea each, for any application
"""

import os

# MindSpore would choose "python", which takes seconds for what "upb" does in milliseconds: tensors
# in gRPC messages. It must be chosen before protobuf is imported.
os.environ.setdefault("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "upb")
