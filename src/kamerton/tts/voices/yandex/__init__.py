"""Yandex SpeechKit as a voice: API v3, `UtteranceSynthesis` over gRPC."""
