"""The models that `kamerton models` knows: what they are, where they come from, and how their files are told apart.

Digests and sizes were taken from published lists (2026-11): of Whisper, GigaAM and T-one the sha256 that several
independent projects pin for the same revision, of Piper's voices the MD5 of its own `voices.json`. None could be
compared with the hub when this was written: a file that does not match is refused, and the message says so. A file
without a digest is checked against what the hub itself tells of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

ModelKind = Literal["whisper", "onnx", "piper"]


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model."""

    path: str
    """In the repository."""
    size: int | None = None
    """Bytes; None: as the hub tells."""
    digest: str = ""
    """`sha256:…` or `md5:…` in lower-case hex; empty: as the hub tells."""

    @property
    def name(self) -> str:
        """In the model's folder, which has no folders of its own."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class CatalogueModel:
    """A model that can be fetched."""

    name: str
    kind: ModelKind
    repository: str
    """On the Hugging Face hub."""
    revision: str
    """A commit, or a tag that does not move."""
    files: tuple[ModelFile, ...]
    languages: tuple[str, ...]
    licence: str
    good_for: str
    setting: str
    """What to write into `kamerton.yaml` to use it."""

    @property
    def size(self) -> int:
        """Bytes of all files whose size is known: within a few kilobytes of the whole."""
        return sum(file.size or 0 for file in self.files)

    @property
    def largest(self) -> str:
        """Name of the file that is the model."""
        return max(self.files, key=lambda file: file.size or 0).name


def _piper(name: str, onnx: tuple[int, str], config: tuple[int, str], good_for: str) -> CatalogueModel:
    """A voice of `rhasspy/piper-voices`, laid out as LANGUAGE/REGION/SPEAKER/QUALITY."""
    region, speaker, quality = name.split("-")
    folder = f"{region[:2]}/{region}/{speaker}/{quality}"
    return CatalogueModel(
        name=name,
        kind="piper",
        repository="rhasspy/piper-voices",
        revision="v1.0.0",
        files=(
            ModelFile(f"{folder}/{name}.onnx", onnx[0], f"md5:{onnx[1]}"),
            ModelFile(f"{folder}/{name}.onnx.json", config[0], f"md5:{config[1]}"),
            ModelFile(f"{folder}/MODEL_CARD"),
        ),
        languages=(region[:2],),
        licence="MIT (of the recordings: MODEL_CARD)",
        good_for=good_for,
        setting=f"voice: {{engine: piper, piper: {{voice_file: {name}}}}}",
    )


def _gigaam(name: str, stems: Mapping[str, tuple[int, str]], vocabulary: ModelFile, good_for: str) -> CatalogueModel:
    """An int8 export of GigaAM v3 for onnx-asr."""
    config = ModelFile("config.json", 135, "sha256:0641fcf73f4af791c73f05083e38a658ff5dcbee3534a0c61396c10f4b97f0fe")
    networks = tuple(ModelFile(f"{stem}.int8.onnx", *sized) for stem, sized in stems.items())
    return CatalogueModel(
        name=name,
        kind="onnx",
        repository="istupakov/gigaam-v3-onnx",
        revision="322c3b29492673eb7d0b434bfa9dfb8653e34d02",
        files=(*networks, vocabulary, config),
        languages=("ru",),
        licence="MIT",
        good_for=good_for,
        setting=f"recognizer: {{engine: onnx, onnx: {{model: {name}}}}}",
    )


def _whisper(name: str, repository: str, revision: str, files: tuple[ModelFile, ...], good_for: str) -> CatalogueModel:
    """Weights of Whisper in CTranslate2's form, float16; a processor runs them in int8."""
    return CatalogueModel(
        name=name,
        kind="whisper",
        repository=repository,
        revision=revision,
        files=files,
        languages=("ru", "uk"),
        licence="MIT",
        good_for=good_for,
        setting=f"recognizer: {{engine: whisper, whisper: {{model: {name}}}}}",
    )


_SHA: Final = "sha256:"

_MODELS: Final = (
    _whisper(
        "whisper-small",
        "Systran/faster-whisper-small",
        "536b0662742c02347bc0e980a01041f333bce120",
        (
            ModelFile(
                "model.bin", 483_546_902, f"{_SHA}3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671"
            ),
            ModelFile("config.json", 2370, f"{_SHA}b55496ac7940a7ae47d2c01eab40edfd8701feec1229d9cce3b40014383fb828"),
            ModelFile(
                "tokenizer.json", 2_203_239, f"{_SHA}fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab"
            ),
            ModelFile(
                "vocabulary.txt", 459_861, f"{_SHA}34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913"
            ),
        ),
        "fewer wrong words than Whisper base at three times its work; four cores and more",
    ),
    _whisper(
        "whisper-large-v3-turbo",
        "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
        "0a363e9161cbc7ed1431c9597a8ceaf0c4f78fcf",
        (
            ModelFile(
                "model.bin", 1_617_884_929, f"{_SHA}e76620f83d5f5b69efd3d87e3dc180c1bd21df9fbebacfd4335e5e1efcc018da"
            ),
            ModelFile("config.json", 2263, f"{_SHA}b0253ea6c0d3bea6b1e19e91a02acfd3b53f4467362efcb5a3e6b16c9b3a9b7e"),
            ModelFile(
                "preprocessor_config.json",
                340,
                f"{_SHA}7ccc62c6f2765af1f3b46c00c9b5894426835a05021c8b9c01eecb6dfb542711",
            ),
            ModelFile(
                "tokenizer.json", 2_710_337, f"{_SHA}297b13372ac43916285644fb9687add3cc62ee2a1adb60da3dc25cc94c1871fd"
            ),
            ModelFile(
                "vocabulary.json", 1_068_114, f"{_SHA}c69260f2ab26d659b7c398f9a2b2b48ed0df16c3b47d7326782fd9cba71690c1"
            ),
        ),
        "the best of Whisper for Russian and Ukrainian; needs a graphics card to answer in time",
    ),
    _gigaam(
        "gigaam-v3-ctc",
        {"v3_ctc": (224_721_181, f"{_SHA}ceb61454e2e1a2dec5872cbac1de0fe0a4271d1148f6b26b5bda53ff30a12acd")},
        ModelFile("v3_vocab.txt", 198, f"{_SHA}a9143c30844d3c0bee3e9e927e4084774eb1b9eeaafc473b2c4521e4911a7c07"),
        "Russian on processors: fast and accurate; words only, numbers spelled out",
    ),
    _gigaam(
        "gigaam-v3-e2e-ctc",
        {"v3_e2e_ctc": (224_893_347, f"{_SHA}2e3fcb7a7b66030336fd10c2fcfb033bd1dc7e1bf238fe5cfd83b1d0cfc9d28e")},
        ModelFile(
            "v3_e2e_ctc_vocab.txt", 2007, f"{_SHA}142de7570b3de5b3035ce111a89c228e80e6085273731d944093ddf24fa539cd"
        ),
        "as gigaam-v3-ctc, with punctuation, capitals and numbers in digits",
    ),
    _gigaam(
        "gigaam-v3-e2e-rnnt",
        {
            "v3_e2e_rnnt_encoder": (
                224_570_477,
                f"{_SHA}4e0e076a6076cd110277e529b8ac8f32cd5297f7fbebad5341ae8ddb7d00817b",
            ),
            "v3_e2e_rnnt_decoder": (
                1_159_170,
                f"{_SHA}89014e134865615b91e037157e46e389b1271e6072460efc010ea08e61e23146",
            ),
            "v3_e2e_rnnt_joint": (687_791, f"{_SHA}ade116563dbf66e503b0994efab6b5861412743e52bf31c39fc3fffa3783d5d1"),
        },
        ModelFile(
            "v3_e2e_rnnt_vocab.txt", 13_354, f"{_SHA}39abae20e692998290c574e606f11a9edef2902a1995463fcff63d1490cf22b7"
        ),
        "as gigaam-v3-e2e-ctc, a little better and slower",
    ),
    CatalogueModel(
        name="t-one",
        kind="onnx",
        repository="t-tech/T-one",
        revision="106f3b0b32a9e107eb613312e4ebc61ff3d53926",
        files=(
            ModelFile(
                "model.onnx", 144_193_371, f"{_SHA}707e4a282d5036304a0b8603ad83945840c3075f53c49911ef88c19bcc5a7d52"
            ),
            ModelFile("config.json"),
        ),
        languages=("ru",),
        licence="Apache-2.0",
        good_for="Russian on the telephone (8 kHz); words only, numbers spelled out",
        setting="recognizer: {engine: onnx, onnx: {model: t-one}}",
    ),
    _piper(
        "ru_RU-irina-medium",
        (63_201_294, "21fbe77fdc68bdc35d7adb6bf4f52199"),
        (6846, "b915de8ef7523207d131bba462be11f3"),
        "Russian, a woman's voice",
    ),
    _piper(
        "ru_RU-dmitri-medium",
        (63_201_294, "589ccc91745a1e2353508ff62c5941b7"),
        (6921, "d9eff56c1b8441273bf83441e51ca06e"),
        "Russian, a man's voice",
    ),
    _piper(
        "ru_RU-denis-medium",
        (63_201_294, "76c2f14e521fef3ed574f97ad492728e"),
        (6920, "cdecd72b59bbd7b22f406d91e0680beb"),
        "Russian, a man's voice",
    ),
    _piper(
        "ru_RU-ruslan-medium",
        (63_201_294, "731eb188e63b4c57320e38047ba2d850"),
        (7007, "b5b2edc5be5ce94e32ccb5239d18c012"),
        "Russian, a man's voice",
    ),
    _piper(
        "uk_UA-ukrainian_tts-medium",
        (76_735_663, "3366c3d4f31cb77966fb14d042956b4f"),
        (2650, "f1aabbcfec611bfb1c7b12cf00156a39"),
        "Ukrainian, three speakers; the first of them (lada) is used",
    ),
    _piper(
        "uk_UA-lada-x_low",
        (20_628_813, "b84110e3923d64cdd4e0056a22090557"),
        (5952, "0d75a309a184f4db1a3d51872a5737d5"),
        "Ukrainian, a woman's voice; small and fast, 16 kHz",
    ),
)

CATALOGUE: Final[Mapping[str, CatalogueModel]] = {model.name: model for model in _MODELS}
"""By name, in the order in which they are listed."""
