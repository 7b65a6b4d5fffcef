"""The section `ami`: off without a host, checked when it is read, its secret kept out of sight."""

from __future__ import annotations

from pathlib import Path

import pytest

from kamerton.config.settings import load_settings
from kamerton.domain.errors import ConfigurationError


def written(folder: Path, text: str) -> Path:
    file = folder / "kamerton.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_without_a_host_there_is_no_client() -> None:
    assert load_settings().ami.client() is None


def test_the_secret_comes_from_the_environment_and_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAMERTON_AMI__SECRET", "open sesame")
    settings = load_settings(written(tmp_path, "ami: {host: 10.0.0.2, user: bot, ping_s: 5}"))
    client = settings.ami.client()
    assert client is not None
    assert (client.host, client.port, client.user, client.secret, client.ping_s) == (
        *("10.0.0.2", 5038, "bot", "open sesame"),
        5.0,
    )
    assert "sesame" not in repr(settings)
    assert "sesame" not in repr(client)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("ami: {host: 10.0.0.2}", "KAMERTON_AMI__SECRET"),
        ("ami: {host: 10.0.0.2, secret: s, port: 0}", "port is 0"),
        ("ami: {host: 10.0.0.2, secret: s, action_s: 0}", "action_s is 0"),
        ("ami: {host: 10.0.0.2, secret: s, retry_s: -1}", "retry_s is -1"),
        ("ami: {hosts: 10.0.0.2}", "ami.hosts"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        load_settings(written(tmp_path, text))
