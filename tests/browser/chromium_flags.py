"""How the tests start Chromium."""

from scripted_server import PLAIN_HOST

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
"""Of every test: no window, no sound card, nothing fetched in the background."""
FAKE_MICROPHONE = ["--use-fake-device-for-media-stream"]
ALLOWED = ["--use-fake-ui-for-media-stream"]
MICROPHONE_TONE_HZ = 700
PLAIN_HOST_IS_LOCAL = f"--host-resolver-rules=MAP {PLAIN_HOST} 127.0.0.1"
