"""Anthropic's Claude: the Messages API through the official client."""
