"""Clips of speech on their way: made, kept in memory, on disk and in the shared cache."""
