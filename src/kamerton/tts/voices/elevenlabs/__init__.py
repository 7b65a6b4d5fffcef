"""ElevenLabs: contexts of shared WebSockets, HTTP streaming when they fail, and what was heard known to the word."""
