"""Talking with a language model: adapters, checked answers, the two contexts of a long conversation."""
