"""Stores for audio, sessions and answers: in process or shared, with one behaviour."""
