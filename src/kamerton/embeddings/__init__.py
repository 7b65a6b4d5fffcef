"""Sentence embeddings: one folder each, found by its module `engine`; what they share, and chains of them."""
