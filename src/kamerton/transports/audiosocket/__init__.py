"""Calls from Asterisk over AudioSocket (TCP)."""
