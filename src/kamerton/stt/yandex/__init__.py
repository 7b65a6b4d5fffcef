"""Yandex SpeechKit as a recogniser: streaming API v3 over gRPC."""
