"""Calls from a browser page over a WebSocket: the live-stand protocol (docs/live-stand-protocol.md)."""
