"""Fetching models from a hub that misbehaves: what is kept, what is refused, and that the old version stays usable."""

import hashlib
import json
import resource
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from certificates import self_signed

from kamerton.domain.errors import ModelError
from kamerton.models.catalogue import CatalogueModel, ModelFile
from kamerton.models.fetching import SPARE_BYTES, Step, fetch_model
from kamerton.models.settings import ModelsSettings
from kamerton.models.storage import changing, find_installed, models_folder, read_manifest, staging_folder
from kamerton.testing.file_hub import COMMIT, FileHub, HubFault, HubFile, serve_files

pytestmark = [pytest.mark.socket, pytest.mark.anyio]

WEIGHTS = bytes(range(256)) * 12_000
"""3 MB: more than one block is written."""
CONFIG = b'{"features_size": 64}'
CUT = HubFault("cut", after=2_000_000)
PLACES = ("owner/tiny/onnx/model.onnx", "owner/tiny/config.json")


def _sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


MODEL = CatalogueModel(
    name="tiny",
    kind="onnx",
    repository="owner/tiny",
    revision="v1",
    files=(ModelFile("onnx/model.onnx", len(WEIGHTS), _sha256(WEIGHTS)), ModelFile("config.json")),
    languages=("ru",),
    licence="MIT",
    good_for="tests",
    setting="",
)


class Fetching:
    """A hub with the model, and a data folder."""

    def __init__(self, hub: FileHub, data_dir: Path) -> None:
        self.hub = hub
        self.data_dir = data_dir
        self.steps: list[Step] = []
        self.notes: list[str] = []
        hub.files = {PLACES[0]: HubFile(WEIGHTS), PLACES[1]: HubFile(CONFIG, large=False)}

    def settings(self, **values: float) -> ModelsSettings:
        patient = ModelsSettings(self.hub.url, first_wait_s=0.01)
        return replace(patient, **values)  # type: ignore[arg-type]

    async def fetch(self, model: CatalogueModel = MODEL, **values: float) -> Path:
        with anyio.fail_after(20):
            return await fetch_model(
                model,
                self.data_dir,
                self.settings(**values),
                progress=self.steps.append,
                note=self.notes.append,
            )

    @property
    def partial(self) -> Path:
        return staging_folder(self.data_dir, "tiny") / "model.onnx.partial"

    def ranges(self) -> list[str]:
        """What was asked of the weights, one for each transfer."""
        return [read.headers.get("range", "all") for read in self.hub.reads() if "model.onnx" in read.path]


@pytest.fixture
async def fetching(tmp_path: Path) -> AsyncIterator[Fetching]:
    async with serve_files() as hub:
        yield Fetching(hub, tmp_path)


def _is_whole(folder: Path) -> bool:
    return (folder / "model.onnx").read_bytes() == WEIGHTS and (folder / "config.json").read_bytes() == CONFIG


async def test_a_model_is_fetched_from_the_hub_and_its_content_host(fetching: Fetching) -> None:
    folder = await fetching.fetch()
    assert _is_whole(folder)
    assert folder == find_installed(fetching.data_dir, MODEL)
    assert folder.name == "tiny"
    manifest = read_manifest(folder)
    assert (manifest["commit"], manifest["licence"]) == (COMMIT, "MIT")
    assert manifest["files"]["config.json"]["digests"][0].startswith("git:")
    assert {read.host for read in fetching.hub.reads()} == {"hub", "content"}
    assert fetching.steps[-1].done == fetching.steps[-1].total == len(WEIGHTS) + len(CONFIG)
    asked = len(fetching.hub.requests)
    assert await fetching.fetch() == folder
    assert len(fetching.hub.requests) == asked


async def test_every_file_comes_from_the_commit_that_the_first_one_named(fetching: Fetching) -> None:
    await fetching.fetch()
    paths = [request.path for request in fetching.hub.requests if request.method == "HEAD"]
    assert "/resolve/v1/" in paths[0]
    assert f"/resolve/{COMMIT}/" in paths[1]


async def test_a_transfer_that_is_cut_goes_on_where_it_was(fetching: Fetching) -> None:
    fetching.hub.faults = [CUT]
    assert _is_whole(await fetching.fetch())
    assert fetching.ranges() == ["all", "bytes=2000000-"]
    assert "the connection to http://127.0.0.1" in fetching.notes[0]


async def test_what_an_earlier_command_fetched_is_not_fetched_again(fetching: Fetching) -> None:
    fetching.hub.faults = [CUT]
    with pytest.raises(ModelError, match=r"the model tiny could not be fetched: the connection .* 1 times; what was"):
        await fetching.fetch(attempts=1)
    assert fetching.partial.read_bytes() == WEIGHTS[:2_000_000]
    assert find_installed(fetching.data_dir, MODEL) is None
    fetching.steps.clear()
    assert _is_whole(await fetching.fetch())
    assert fetching.ranges() == ["all", "bytes=2000000-"]
    assert fetching.steps[-1].fetched == len(WEIGHTS) - 2_000_000 + len(CONFIG)


async def test_a_cancelled_fetch_frees_the_connection_and_keeps_what_came(fetching: Fetching) -> None:
    fetching.hub.faults = [HubFault("stall", after=2_000_000)]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fetching.fetch)
        with anyio.fail_after(10):
            while not fetching.steps:
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    with anyio.fail_after(10):
        while not fetching.hub.left:
            await anyio.lowlevel.checkpoint()
    kept = fetching.partial.stat().st_size
    assert kept >= 1 << 20
    assert _is_whole(await fetching.fetch())
    assert fetching.ranges()[-1] == f"bytes={kept}-"


async def test_a_file_that_changed_on_the_content_host_is_sent_whole_again(fetching: Fetching) -> None:
    fetching.hub.faults = [CUT]
    with pytest.raises(ModelError):
        await fetching.fetch(attempts=1)
    fetching.hub.version = "2"
    assert _is_whole(await fetching.fetch())
    last = fetching.hub.reads()[-2]
    assert last.headers["if-range"] == f'"1-{len(WEIGHTS)}"'


async def test_a_file_that_changed_without_a_word_is_found_by_its_hash_and_fetched_anew(fetching: Fetching) -> None:
    fetching.partial.parent.mkdir(parents=True)
    fetching.hub.faults = [HubFault("cut", after=2_000_000), HubFault("wrong_bytes")]
    assert _is_whole(await fetching.fetch())
    assert fetching.ranges() == ["all", "bytes=2000000-", "all"]
    assert any("changed while it was fetched" in note for note in fetching.notes)


async def test_another_version_on_the_hub_does_not_go_on_with_the_old_ones_part(fetching: Fetching) -> None:
    config = replace(MODEL, files=(ModelFile("onnx/model.onnx"), ModelFile("config.json")))
    fetching.hub.faults = [CUT]
    with pytest.raises(ModelError):
        await fetching.fetch(config, attempts=1)
    newer = WEIGHTS[::-1]
    fetching.hub.files[PLACES[0]] = HubFile(newer)
    folder = await fetching.fetch(config)
    assert (folder / "model.onnx").read_bytes() == newer
    assert fetching.ranges() == ["all", "all"]


async def test_a_wrong_hash_is_refused_and_deleted(fetching: Fetching) -> None:
    fetching.hub.faults = [HubFault("wrong_bytes")]
    with pytest.raises(ModelError, match=r"model.onnx of the model tiny is not the published file .* was deleted"):
        await fetching.fetch()
    assert not fetching.partial.exists()
    assert find_installed(fetching.data_dir, MODEL) is None


async def test_a_small_file_is_checked_by_its_git_hash(fetching: Fetching) -> None:
    fetching.hub.files[PLACES[1]] = HubFile(CONFIG, large=False, serves=CONFIG[::-1])
    with pytest.raises(ModelError, match=r"config.json of the model tiny is not the published file"):
        await fetching.fetch()


async def test_a_hub_that_has_another_file_than_the_catalogue_is_refused_before_anything_comes(
    fetching: Fetching,
) -> None:
    fetching.hub.files[PLACES[0]] = HubFile(WEIGHTS[::-1])
    with pytest.raises(ModelError, match="is another file than the catalogue knows"):
        await fetching.fetch()
    assert fetching.hub.reads() == []


async def test_what_nobody_knows_a_hash_of_is_refused(fetching: Fetching) -> None:
    fetching.hub.files[PLACES[1]] = HubFile(CONFIG, large=False, tag="5f3a-1c")
    with pytest.raises(ModelError, match="cannot be checked"):
        await fetching.fetch()


async def test_a_mirror_without_hashes_serves_what_the_catalogue_knows_the_hash_of(fetching: Fetching) -> None:
    fetching.hub.files[PLACES[0]] = HubFile(WEIGHTS, large=False, tag="5f3a-1c")
    assert _is_whole(await fetching.fetch())


async def test_a_mirror_that_only_sends_files_serves_them_too(fetching: Fetching) -> None:
    fetching.hub.metadata_faults = [HubFault("status", status=405)]
    folder = await fetching.fetch(replace(MODEL, files=MODEL.files[:1]))
    assert (folder / "model.onnx").read_bytes() == WEIGHTS


async def test_a_host_without_ranges_sends_all_of_it_again(fetching: Fetching) -> None:
    fetching.hub.ranges = False
    fetching.hub.faults = [CUT]
    assert _is_whole(await fetching.fetch())
    assert len(fetching.ranges()) == 2


async def test_a_host_that_sends_another_part_than_asked_for_is_asked_again(fetching: Fetching) -> None:
    fetching.hub.faults = [CUT, HubFault("other_range")]
    assert _is_whole(await fetching.fetch())
    assert any("was asked for bytes from 2000000 on and sends 'bytes 0-" in note for note in fetching.notes)


async def test_a_missing_file_ends_it_at_once(fetching: Fetching) -> None:
    del fetching.hub.files[PLACES[1]]
    with pytest.raises(ModelError, match=r"has no /owner/tiny/resolve/.*/config.json: the catalogue"):
        await fetching.fetch()
    assert fetching.notes == []


@pytest.mark.parametrize("where", ["faults", "metadata_faults"])
async def test_a_busy_host_is_asked_again_when_it_says(fetching: Fetching, where: str) -> None:
    setattr(fetching.hub, where, [HubFault("status", status=429, headers=(("retry-after", "0"),))])
    assert _is_whole(await fetching.fetch())
    assert "asks for patience (HTTP 429); trying again" in fetching.notes[0]


async def test_a_host_that_asks_for_too_much_patience_is_told(fetching: Fetching) -> None:
    fetching.hub.metadata_faults = [HubFault("status", status=429, headers=(("retry-after", "3600"),))]
    with pytest.raises(ModelError, match=r"HTTP 429\), for 3600 s; what was fetched is kept"):
        await fetching.fetch()


async def test_a_refusal_says_what_to_do(fetching: Fetching) -> None:
    fetching.hub.metadata_faults = [HubFault("status", status=401)]
    with pytest.raises(ModelError, match=r"HTTP 401.*give another host with --base-url"):
        await fetching.fetch()


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (HubFault("hang"), "did not answer in time"),
        (HubFault("stall", after=10), "sent nothing for 0.2 s"),
        (HubFault("trickle", after=10), "sends only"),
        (HubFault("reset"), "cannot be reached"),
        (HubFault("garbage"), "cannot be reached"),
        (HubFault("status", status=503), "has a fault (HTTP 503)"),
        (HubFault("compressed"), "compressed"),
    ],
    ids=lambda value: value.kind if isinstance(value, HubFault) else "",
)
async def test_every_fault_is_told_and_overcome(fetching: Fetching, fault: HubFault, told: str) -> None:
    fetching.hub.faults = [fault]
    assert _is_whole(await fetching.fetch(connect_s=2.0, stall_s=0.2))
    assert told in fetching.notes[0]


async def test_a_host_that_only_fails_is_given_up(fetching: Fetching) -> None:
    fetching.hub.faults = [HubFault("status", status=500)] * 3
    with pytest.raises(ModelError, match=r"has a fault \(HTTP 500\), 3 times"):
        await fetching.fetch(attempts=3)


async def test_the_content_hosts_signed_addresses_are_in_no_message(fetching: Fetching) -> None:
    fetching.hub.faults = [HubFault("status", status=404)]
    with pytest.raises(ModelError) as refusal:
        await fetching.fetch()
    assert "secret" not in str(refusal.value)


async def test_a_disk_that_is_too_small_is_told_before_anything_comes(fetching: Fetching) -> None:
    with pytest.raises(ModelError, match=r"the model tiny needs 70.2 MB more in .* and 68.1 MB are free: make room"):
        await fetch_model(MODEL, fetching.data_dir, fetching.settings(), free_bytes=lambda _: SPARE_BYTES + 1_000_000)
    assert fetching.hub.reads() == []


@contextmanager
def _quota(size: int) -> Iterator[None]:
    """No file of this process grows beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_disk_that_fills_up_costs_nothing_of_what_is_there(fetching: Fetching) -> None:
    with _quota(1_500_000), pytest.raises(ModelError, match=r"cannot be stored in .*models.* the space left"):
        await fetching.fetch()
    assert WEIGHTS.startswith(fetching.partial.read_bytes())
    assert _is_whole(await fetching.fetch())
    assert fetching.ranges()[-1] != "all"


async def test_the_old_version_stays_until_the_new_one_is_whole(fetching: Fetching) -> None:
    old = await fetching.fetch()
    newer = WEIGHTS[::-1]
    changed = replace(MODEL, revision="v2", files=(ModelFile("onnx/model.onnx"), ModelFile("config.json")))
    fetching.hub.files[PLACES[0]] = HubFile(newer)
    fetching.hub.faults = [CUT]
    with pytest.raises(ModelError):
        await fetching.fetch(changed, attempts=1)
    assert _is_whole(old)
    assert find_installed(fetching.data_dir, MODEL) == old
    new = await fetching.fetch(changed)
    assert (new / "model.onnx").read_bytes() == newer
    assert find_installed(fetching.data_dir, changed) == new
    assert not old.exists()


async def test_a_folder_put_there_by_hand_is_replaced(fetching: Fetching) -> None:
    by_hand = models_folder(fetching.data_dir) / "tiny"
    by_hand.mkdir(parents=True)
    (by_hand / "model.onnx").write_bytes(b"another model")
    assert _is_whole(await fetching.fetch())
    assert by_hand.is_symlink()


async def test_a_damaged_model_is_fetched_again(fetching: Fetching) -> None:
    folder = await fetching.fetch()
    (folder / "model.onnx").write_bytes(b"")
    assert find_installed(fetching.data_dir, MODEL) is None
    assert _is_whole(await fetching.fetch())


async def test_two_fetches_of_one_model_do_not_meet(fetching: Fetching) -> None:
    with changing(fetching.data_dir, "tiny"), pytest.raises(ModelError, match=r"another process \(pid \d+\)"):
        await fetching.fetch()
    assert _is_whole(await fetching.fetch())


async def test_a_hub_whose_certificate_is_not_trusted_is_told(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    async with serve_files(tls=tls) as hub:
        fetching = Fetching(hub, tmp_path)
        with pytest.raises(ModelError, match=r"certificate of https://127.0.0.1:\d+ is not trusted.*SSL_CERT_FILE"):
            await fetching.fetch()
        assert fetching.notes == []


async def test_the_manifest_names_no_machine(fetching: Fetching) -> None:
    folder = await fetching.fetch()
    assert str(fetching.data_dir) not in json.dumps(read_manifest(folder))


async def test_a_hub_of_ones_own_is_trusted_by_its_root_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    async with serve_files(tls=tls) as hub:
        assert _is_whole(await Fetching(hub, tmp_path).fetch())


async def test_nothing_is_fetched_from_a_content_host_without_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    async with serve_files(tls=tls) as hub:
        hub.content_url = hub.content_url.replace("https:", "http:")
        with pytest.raises(ModelError, match="redirects to an address without TLS"):
            await Fetching(hub, tmp_path).fetch()
