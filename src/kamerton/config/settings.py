"""The settings tree: defaults, then `kamerton.yaml`, then environment variables `KAMERTON_…`; read once.

Every package owns its own frozen settings; this module only parses and composes them. An environment variable names
its place in the tree with double underscores: `KAMERTON_AUDIOSOCKET__PORT=9093`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

from kamerton.domain.errors import ConfigurationError
from kamerton.listening.listener import ListeningSettings
from kamerton.orchestrator.settings import CallSettings
from kamerton.transports.admission import CallLimits
from kamerton.transports.audiosocket.settings import AudioSocketSettings
from kamerton.transports.browser.settings import BrowserSettings
from kamerton.webapi.settings import WebSettings

CHECKOUT: Final = Path(__file__).resolve().parents[3]
"""The project's own folder; relative paths of the defaults start here."""

CONFIG_FILE: Final = "kamerton.yaml"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LogSettings(_Section):
    """What is logged and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class RecognizerSettings(_Section):
    """Speech to text."""

    engine: Literal["whisper"] = "whisper"
    threads: Annotated[int, Field(ge=1, le=64)] = 2
    """CPU threads of the local recogniser."""


class VoiceSettings(_Section):
    """Text to speech: the best available of Piper, Festival and eSpeak NG is taken, in this order."""

    piper_voice: Path | None = None
    """Piper voice file (`.onnx`, its `.onnx.json` beside it)."""
    festival_processes: Annotated[int, Field(ge=1, le=16)] = 2
    memory_mb: Annotated[int, Field(ge=1)] = 64
    """Rendered audio kept in memory."""


class UnderstandingSettings(_Section):
    """Intent classification."""

    model_folder: Path | None = None
    """Folder of a local ONNX embedding model; without it the bundled multilingual-e5-small is used."""
    threads: Annotated[int, Field(ge=1, le=64)] = 1


class Settings(BaseSettings):
    """Everything that can be configured."""

    model_config = SettingsConfigDict(
        env_prefix="KAMERTON_", env_nested_delimiter="__", extra="forbid", frozen=True, yaml_file=None
    )

    assistant: str = "insurance"
    assistant_folders: tuple[Path, ...] = (CHECKOUT / "assistants",)
    data_dir: Path = CHECKOUT / "var"
    """Prepared models, rendered prompts and vectors; may be deleted, is made again."""
    page_folder: Path | None = CHECKOUT / "frontend"
    log: LogSettings = LogSettings()
    limits: CallLimits = CallLimits()
    audiosocket: AudioSocketSettings = AudioSocketSettings()
    browser: BrowserSettings = BrowserSettings()
    web: WebSettings = WebSettings()
    recognizer: RecognizerSettings = RecognizerSettings()
    voice: VoiceSettings = VoiceSettings()
    understanding: UnderstandingSettings = UnderstandingSettings()
    listening: ListeningSettings = ListeningSettings()
    call: CallSettings = CallSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line first, then the environment, then the file."""
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls)


def load_settings(config_file: Path | None = None, **overrides: Any) -> Settings:
    """Read and validate the whole tree.

    Args:
        config_file: a YAML file; by default `kamerton.yaml` of the working directory, if there is one.
        overrides: values that win over file and environment.

    Raises:
        ConfigurationError: every wrong value is listed with its place.
    """
    if config_file is not None and not config_file.is_file():
        raise ConfigurationError(f"settings file {config_file} does not exist; check the path given with --config")
    path = config_file or Path(CONFIG_FILE)

    class FileSettings(Settings):
        model_config = SettingsConfigDict(yaml_file=path if path.is_file() else None)

    try:
        return FileSettings(**overrides)
    except ValidationError as error:
        problems = [f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()]
        source = f"{path} and KAMERTON_… variables" if path.is_file() else "KAMERTON_… variables"
        raise ConfigurationError("\n  - ".join((f"settings from {source} are wrong", *problems))) from error
