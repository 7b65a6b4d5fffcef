"""The catalogue is sound, and hashes are told apart."""

import hashlib
import re
from pathlib import Path

import pytest

from kamerton.domain.errors import ConfigurationError
from kamerton.models.catalogue import CATALOGUE, CatalogueModel
from kamerton.models.digests import digest_of_etag, digest_of_file
from kamerton.models.settings import ModelsSettings

DIGEST = re.compile(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}")


@pytest.mark.parametrize("model", CATALOGUE.values(), ids=list(CATALOGUE))
def test_every_entry_can_be_fetched_and_used(model: CatalogueModel) -> None:
    names = [file.name for file in model.files]
    assert len(set(names)) == len(names)
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", model.repository)
    assert re.fullmatch(r"[0-9a-f]{40}|v\d+\.\d+\.\d+", model.revision)
    assert model.name in model.setting
    assert model.licence
    assert model.good_for
    assert set(model.languages) <= {"ru", "uk"}
    assert model.size > 10_000_000
    largest = next(file for file in model.files if file.name == model.largest)
    assert DIGEST.fullmatch(largest.digest)
    for file in model.files:
        assert not file.digest or (DIGEST.fullmatch(file.digest) and file.size)


def test_what_was_asked_for_is_there() -> None:
    assert {model.kind for model in CATALOGUE.values()} == {"whisper", "onnx", "piper"}
    voices = [model for model in CATALOGUE.values() if model.kind == "piper"]
    assert {language for voice in voices for language in voice.languages} == {"ru", "uk"}


@pytest.mark.parametrize(
    ("etag", "digest"),
    [
        (f'"{"ab" * 32}"', f"sha256:{'ab' * 32}"),
        (f'W/"{"AB" * 20}"', f"git:{'ab' * 20}"),
        ('"5f3a-1c"', ""),
        ("", ""),
    ],
)
def test_a_tag_is_a_hash_when_it_looks_like_one(etag: str, digest: str) -> None:
    assert digest_of_etag(etag) == digest


def test_a_files_hashes(tmp_path: Path) -> None:
    file = tmp_path / "hello"
    file.write_bytes(b"hello\n")
    assert digest_of_file(file, "sha256") == "sha256:" + hashlib.sha256(b"hello\n").hexdigest()
    assert digest_of_file(file, "md5") == "md5:b1946ac92492d2347c6235b4d2611184"
    # As `git hash-object` says.
    assert digest_of_file(file, "git") == "git:ce013625030ba8dba906f756967f9e9ca394464a"
    with pytest.raises(ValueError, match="no hash is called 'crc'"):
        digest_of_file(file, "crc")


@pytest.mark.parametrize("mirror", ["hub.example", "ftp://hub.example", "https://", "https://user:key@hub.example"])
def test_a_mirror_that_is_no_address_is_refused(mirror: str) -> None:
    with pytest.raises(ConfigurationError, match=r"models\.mirror"):
        ModelsSettings(mirror)


def test_the_mirror_is_asked_instead_of_the_hub() -> None:
    assert ModelsSettings().base_url == "https://huggingface.co"
    assert ModelsSettings("https://hub.example/hf/").base_url == "https://hub.example/hf"
    with pytest.raises(ConfigurationError, match="above 0"):
        ModelsSettings(stall_s=0)
