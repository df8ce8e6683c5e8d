"""ElevenLabs' protocols of text to speech, with text that arrives in pieces."""
