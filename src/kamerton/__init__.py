"""Kamerton, a voice-agent engine: it listens, decides and speaks."""

__version__ = "0.1.0"
