"""Watching calls from outside their data path: time marks, logs, metrics, records. Nothing here may slow a call."""
