"""Voices: one folder each, found by its module `engine`."""
