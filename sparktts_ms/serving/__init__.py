"""A speech server for the clients of others, by the protocols of OpenAI, ElevenLabs and KServe.

    app             one ASGI application of all that follows
    server          what the protocols share: service, voices, settings, metrics
    async_service   requests of an event loop to the engine: bounded queue, cancellation, drain
    openai, elevenlabs, kserve      one protocol each
    encoding        samples to mp3, opus, aac, flac, wav, pcm
    middleware      guards of one idea each, for any application
"""
