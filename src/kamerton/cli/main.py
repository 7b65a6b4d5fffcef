"""The `kamerton` command: mounts the sub-commands."""

from __future__ import annotations

import typer

from kamerton.cli import (
    answers,
    bench,
    call,
    chat,
    flow,
    intents,
    model_latency,
    model_server,
    models,
    ping,
    serve,
    speculation,
    stt,
    warmup,
)

app = typer.Typer(
    help="Kamerton, a voice-agent engine.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)
app.command("serve")(serve.serve)
app.command("prepare")(serve.prepare)
app.command("ping")(ping.ping)
app.command("warmup")(warmup.warmup)
app.command("call")(call.call)
app.command("bench")(bench.bench)
app.command("speculation")(speculation.speculation)
app.command("model-server")(model_server.model_server)
app.command("model-latency")(model_latency.model_latency)
app.add_typer(flow.app, name="flow")
app.add_typer(answers.app, name="answers")
app.add_typer(intents.app, name="intents")
app.add_typer(chat.app, name="chat")
app.add_typer(models.app, name="models")
app.add_typer(stt.app, name="stt")


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
