"""The web side: the page, the live stand's WebSocket, a small API, health and metrics."""
