"""Recognisers that follow a script."""
