"""How long the first audio of ElevenLabs' voice takes over a warm WebSocket, a cold one, and HTTP.

The stand-in answers at once; a relay delays every byte by 30 ms each way, and a connection by one round trip as TCP
does. TLS is real. What is left is what the network and this code cost; the vendor's own time comes on top.

    PYTHONPATH=src .venv/bin/python tools/measure_elevenlabs.py
"""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import statistics
import sys
import tempfile
from contextlib import aclosing
from pathlib import Path
from time import process_time
from typing import Final

import anyio
from anyio.abc import SocketAttribute, SocketStream
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr

from kamerton.domain.audio import PHONE
from kamerton.tts.voices.elevenlabs.engine import ENGINE, ElevenLabsVoiceOptions
from kamerton.tts.voices.elevenlabs.voice import ElevenLabsVoice
from kamerton.tts.voices.elevenlabs.wire_double import VendorScript, serve_elevenlabs
from kamerton.vendors.accounts.elevenlabs import ElevenLabsAccount
from kamerton.vendors.engine import EngineContext

DELAY_S: Final = 0.03
TIMES: Final = 40
TEXT: Final = "Добрый день! Вас приветствует страховая компания. Сколько лошадиных сил у вашей машины?"


async def relay(client: SocketStream, port: int) -> None:
    """Carry a connection to the stand-in and back, each byte 30 ms later."""
    await anyio.sleep(2 * DELAY_S)
    async with client, await anyio.connect_tcp("127.0.0.1", port) as server, anyio.create_task_group() as group:
        for source, target in ((client, server), (server, client)):
            send, receive = anyio.create_memory_object_stream[tuple[float, bytes]](10_000)
            group.start_soon(_read, source, send, group.cancel_scope)
            group.start_soon(_write, target, receive, group.cancel_scope)


async def _read(
    source: SocketStream, send: anyio.abc.ObjectSendStream[tuple[float, bytes]], scope: anyio.CancelScope
) -> None:
    async with send:
        try:
            while True:
                data = await source.receive()
                await send.send((anyio.current_time() + DELAY_S, data))
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            await anyio.sleep(DELAY_S)
            scope.cancel()


async def _write(
    target: SocketStream, receive: anyio.abc.ObjectReceiveStream[tuple[float, bytes]], scope: anyio.CancelScope
) -> None:
    async with receive:
        try:
            async for due_s, data in receive:
                await anyio.sleep_until(due_s)
                await target.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            scope.cancel()


async def first_audio_ms(voice: ElevenLabsVoice) -> float:
    """From the request to its first chunk; the rest is taken as well."""
    started_s, first_s = anyio.current_time(), 0.0
    async with aclosing(voice.speak(TEXT, language="ru", audio_format=PHONE)) as chunks:
        async for _ in chunks:
            first_s = first_s or anyio.current_time()
    return (first_s - started_s) * 1000


async def measured(what: str, url: str, trusted: Path, *, warm: bool, websocket: bool = True) -> None:
    """Print one line: median and 95th percentile over fresh voices, or over one that is warm."""
    options = ElevenLabsVoiceOptions(url=url, ca_file=trusted, websocket=websocket)
    account = ElevenLabsAccount(SecretStr(VendorScript().key))
    context = EngineContext("ru", Path("unused"), (account,))
    found: list[float] = []
    voice: ElevenLabsVoice | None = None
    async with anyio.create_task_group() as group:
        spent_s = process_time()
        for number in range(TIMES + warm):
            if voice is None or not warm:
                opened = await ENGINE.open(options, context)
                assert isinstance(opened, ElevenLabsVoice)
                voice = opened
                await group.start(voice.run)
            taken_ms = await first_audio_ms(voice)
            if not warm or number:
                found.append(taken_ms)
            if not warm:
                await voice.aclose()
        spent_ms = (process_time() - spent_s) * 1000 / TIMES
        if voice is not None:
            await voice.aclose()
    tail = statistics.quantiles(found, n=20)[-1]
    sys.stdout.write(
        f"{what:24} median {statistics.median(found):6.1f} ms   p95 {tail:6.1f} ms   "
        f"CPU of all ends {spent_ms:5.1f} ms a speech\n"
    )


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """The stand-in's TLS, and the file to trust it by."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(
        now + datetime.timedelta(days=1)
    )
    builder = builder.add_extension(address, True).add_extension(x509.BasicConstraints(True, None), True)
    signed = builder.sign(key, hashes.SHA256())
    trusted, private = folder / "certificate.pem", folder / "key.pem"
    trusted.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    private.write_bytes(key.private_bytes(*plain))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(trusted, private)
    return context, trusted


async def main() -> None:
    """Measure all ways."""
    with tempfile.TemporaryDirectory() as folder:
        tls, trusted = certificate(Path(folder))
        async with serve_elevenlabs(tls=tls) as vendor, await anyio.create_tcp_listener(local_host="127.0.0.1") as door:
            port = int(vendor.url.rpartition(":")[2])
            url = f"https://127.0.0.1:{door.extra(SocketAttribute.local_port)}"
            async with anyio.create_task_group() as group:
                group.start_soon(door.serve, lambda client: relay(client, port))
                await measured("WebSocket, warm", url, trusted, warm=True)
                await measured("WebSocket, cold", url, trusted, warm=False)
                await measured("HTTP, connection kept", url, trusted, warm=True, websocket=False)
                await measured("HTTP, cold", url, trusted, warm=False, websocket=False)
                group.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(main)
