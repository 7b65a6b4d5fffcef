"""The web server's rules that need no server: hosts, origins, settings, the list of sample callers."""

from pathlib import Path

import pytest

from kamerton.domain.errors import ConfigurationError
from kamerton.webapi.samples import load_samples
from kamerton.webapi.security import host_name, origin_allowed
from kamerton.webapi.settings import WebSettings


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "localhost"),
        ("LocalHost:8080", "localhost"),
        ("127.0.0.1:8080", "127.0.0.1"),
        ("[::1]:8080", "[::1]"),
        ("[::1]", "[::1]"),
        ("Stand.Example.ORG", "stand.example.org"),
        ("a_b-c.example:65535", "a_b-c.example"),
        ("", ""),
        ("127.0.0.1:x@evil.com", ""),
        ("127.0.0.1:80@evil.com", ""),
        ("127.0.0.1@evil.com", ""),
        ("evil.com#127.0.0.1", ""),
        ("evil.com\\127.0.0.1", ""),
        ("127.0.0.1/evil", ""),
        ("127.0.0.1?evil", ""),
        ("127.0.0.1 evil.com", ""),
        ("127.0.0.1, evil.com", ""),
        ("127.0.0.1\tevil.com", ""),
        ("127.0.0.1\n", ""),
        (" 127.0.0.1", ""),
        ("127.0.0.1:", ""),
        ("127.0.0.1:-1", ""),
        ("127.0.0.1:65536", ""),
        ("127.0.0.1:808080", ""),
        ("127.0.0.1:٨٠", ""),
        ("127.0.0.1:80:80", ""),
        (":80", ""),
        ("[::1", ""),
        ("::1", ""),
        ("[::1]evil.com", ""),
        ("[::1]:80@evil.com", ""),
        ("[::1%25eth0]", ""),
        ("[evil.com]", ""),
        ("ｌocalhost", ""),
        ("localhoſt", ""),
        ("localhost%00.evil.com", ""),
        (".localhost", ""),
        ("localhost.", "localhost."),
        ("x" * 300, ""),
    ],
)
def test_the_name_in_a_host_header(host: str, name: str) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        (None, "localhost:8080", True),
        ("http://localhost:8080", "localhost:8080", True),
        ("http://LOCALHOST:8080", "localhost:8080", True),
        ("http://localhost:9999", "localhost:8080", False),
        ("http://localhost.evil.example:8080", "localhost:8080", False),
        ("http://evil.example", "localhost:8080", False),
        ("null", "localhost:8080", False),
        ("", "localhost:8080", False),
        ("localhost:8080", "localhost:8080", False),
        ("ftp://localhost:8080", "localhost:8080", False),
        ("http://localhost:8080/", "localhost:8080", False),
        ("http://user@localhost:8080", "localhost:8080", False),
        ("http://x@evil.com", "x@evil.com", False),
        ("http://[::1", "[::1", False),
        ("http://", "", False),
        ("https://stand.example.org", "stand.example.org", True),
        ("https://partner.example", "localhost:8080", True),
        ("https://partner.example.evil", "localhost:8080", False),
    ],
)
def test_which_sites_may_call(origin: str | None, host: str, allowed: bool) -> None:
    assert origin_allowed(origin, host, ("https://Partner.example/",)) is allowed


def test_every_fault_of_a_sample_list_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is missing"):
        load_samples(tmp_path)
    (tmp_path / "a.wav").touch()
    lines = ["file\ttext", "a.wav\tа", "b.wav\tб", "a.wav\tснова", "../c.wav\tв", "a.wav"]
    (tmp_path / "transcripts.tsv").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ConfigurationError) as error:
        load_samples(tmp_path)
    for words in ("line 3: b.wav is not", "line 5: ../c.wav is not", "line 6 lacks", "same name"):
        assert words in str(error.value)


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="port"):
        WebSettings(port=65536)
    with pytest.raises(ConfigurationError, match="allowed_hosts"):
        WebSettings(allowed_hosts=())
    with pytest.raises(ConfigurationError, match="ping_interval_s"):
        WebSettings(ping_interval_s=0)
