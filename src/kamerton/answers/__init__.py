"""Instant answers: known questions found by words and by meaning, answered from audio that is ready."""
