"""Whisper on the CPU."""
