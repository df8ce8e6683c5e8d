"""OpenAI's HTTP API for speech, as its clients and those of servers like it call it."""

from sparktts_ms.serving.openai.errors import refusal
from sparktts_ms.serving.openai.routes import OpenAIApi

__all__ = ["OpenAIApi", "refusal"]
