"""`kamerton model-server`: a stand-in for a language model, for people without keys."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import anyio
import typer

from kamerton.cli.common import explained, progress_line
from kamerton.observability.json_log import configure_logging
from kamerton.testing.model_server import DEFAULT_SCRIPT, ModelScript, load_script, serve_model
from kamerton.testing.model_server.server import MODEL_NAME


def model_server(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 8090,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    script: Annotated[Path | None, typer.Option(help="YAML or JSON file with rules, answers and faults.")] = None,
    first_token_ms: Annotated[float | None, typer.Option(help="Time to the first token.", min=0)] = None,
    token_ms: Annotated[float | None, typer.Option(help="Time from token to token.", min=0)] = None,
) -> None:
    """Answer like an OpenAI-compatible model server, from a script; one log line for each request."""
    with explained():
        chosen = DEFAULT_SCRIPT if script is None else load_script(script)
        paces = {"first_token_ms": first_token_ms, "token_ms": token_ms}
        chosen = chosen.model_copy(update={name: ms for name, ms in paces.items() if ms is not None})
        logs = configure_logging("info", sys.stderr, "console")
        try:
            anyio.run(_serve, chosen, host, port)
        finally:
            logs.stop()


async def _serve(script: ModelScript, host: str, port: int) -> None:
    async with serve_model(script, host=host, port=port) as server:
        print(
            f"\n  The stand-in model answers at {server.base_url}\n"
            f"  Use it:  KAMERTON_MODEL__ENGINE=local KAMERTON_MODEL__LOCAL__URL={server.base_url} "
            f"KAMERTON_MODEL__LOCAL__MODEL={MODEL_NAME} kamerton serve\n"
            f"  Stop with Ctrl-C.\n",
            flush=True,
        )
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                break
        counts = server.counts
        progress_line(f"stopping after {counts.requests} requests, {counts.completion_tokens} tokens written")
