"""Sentence embeddings: one folder each, found by its module `engine`."""
