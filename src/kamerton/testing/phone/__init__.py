"""A SIP telephone for tests and try-outs with a real exchange: signalling, RTP, keys, hold, a poor network."""
