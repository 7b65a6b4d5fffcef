"""Which device a local model runs on, and what becomes of one that fails there."""

from dataclasses import dataclass, field

import pytest

from kamerton.domain.audio import PHONE
from kamerton.domain.errors import ModelError
from kamerton.domain.recognition import RecognitionHint
from kamerton.stt.decode_queue import DecodeRequest
from kamerton.stt.local_recognizer import Device, DeviceWish, devices_to_try, undelivered, warmed
from kamerton.stt.whisper.readings import Transcript

PROBE = DecodeRequest(bytes(320), PHONE, RecognitionHint(), undelivered)


@dataclass
class Decoder:
    """Decodes, or fails as a card without its libraries does."""

    device: Device
    broken: bool = False
    decoded: int = 0
    unloaded: bool = False

    def decode(self, request: DecodeRequest) -> Transcript:
        self.decoded += 1
        if self.broken:
            raise RuntimeError("Library libcublas.so.12 is not found or cannot be loaded")
        return Transcript()

    def unload(self) -> None:
        self.unloaded = True


@dataclass
class Maker:
    broken: tuple[Device, ...] = ()
    absent: tuple[Device, ...] = ()
    made: list[Decoder] = field(default_factory=list)

    def __call__(self, device: Device) -> Decoder:
        if device in self.absent:
            raise ModelError(f"cannot be loaded on {device}")
        self.made.append(Decoder(device, device in self.broken))
        return self.made[-1]


@pytest.mark.parametrize(
    ("wish", "cuda", "devices"),
    [
        ("auto", True, ("cuda", "cpu")),
        ("auto", False, ("cpu",)),
        ("cpu", True, ("cpu",)),
        ("cuda", True, ("cuda",)),
    ],
)
def test_a_card_is_taken_by_itself_and_the_wish_is_kept(
    wish: DeviceWish, cuda: bool, devices: tuple[Device, ...]
) -> None:
    assert devices_to_try(wish, cuda=cuda, fix="install a driver") == devices


def test_a_wish_for_a_card_that_is_not_there_is_told() -> None:
    with pytest.raises(ModelError, match="no graphics card can be used here: install a driver, or set device to auto"):
        devices_to_try("cuda", cuda=False, fix="install a driver")


def test_the_card_is_used_and_measured_with_all_engines() -> None:
    make = Maker()
    warm = warmed(make, ("cuda", "cpu"), PROBE, engines=2)
    assert warm.device == "cuda"
    assert warm.decode_s > 0
    assert [decoder.decoded for decoder in make.made] == [6]


@pytest.mark.parametrize("make", [Maker(broken=("cuda",)), Maker(absent=("cuda",))], ids=["decode", "load"])
def test_a_card_that_fails_gives_way_to_the_processor(make: Maker, caplog: pytest.LogCaptureFixture) -> None:
    warm = warmed(make, ("cuda", "cpu"), PROBE, engines=1)
    assert warm.device == "cpu"
    assert all(decoder.unloaded for decoder in make.made if decoder.device == "cuda")
    assert "the graphics card cannot be used" in caplog.text


def test_a_model_that_fails_everywhere_is_told_and_freed() -> None:
    make = Maker(broken=("cuda", "cpu"))
    with pytest.raises(ModelError, match=r"first decode on cpu: Library libcublas"):
        warmed(make, ("cuda", "cpu"), PROBE, engines=1)
    assert all(decoder.unloaded for decoder in make.made)
