"""The settings tree: defaults, then `kamerton.yaml`, then environment variables `KAMERTON_…`; read once.

Every package owns its own frozen settings; this module only parses and composes them. An environment variable names
its place in the tree with double underscores: `KAMERTON_AUDIOSOCKET__PORT=9093`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml
from dotenv import dotenv_values
from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from kamerton.cache.opening import StoreSettings
from kamerton.config.engine_sections import Section
from kamerton.config.engine_settings import (
    AccountSettings,
    ModelSettings,
    RecognizerSettings,
    UnderstandingSettings,
    VoiceSettings,
)
from kamerton.config.price_settings import PriceSettings, price_list
from kamerton.domain.errors import ConfigurationError
from kamerton.listening.listener import ListeningSettings
from kamerton.models.settings import ModelsSettings
from kamerton.orchestrator.settings import CallSettings
from kamerton.transports.admission import CallLimits
from kamerton.transports.asterisk.settings import AmiSettings
from kamerton.transports.audiosocket.settings import AudioSocketSettings
from kamerton.transports.browser.settings import BrowserSettings
from kamerton.webapi.settings import WebSettings

CHECKOUT: Final = Path(__file__).resolve().parents[3]
"""The project's own folder; relative paths of the defaults start here."""

CONFIG_FILE: Final = "kamerton.yaml"
ENV_FILE: Final = ".env"
"""Variables of the working directory; those of the process win."""

ENV_PREFIX: Final = "KAMERTON_"
ENV_DELIMITER: Final = "__"


class LogSettings(Section):
    """What is logged and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class AnswerSettings(Section):
    """Instant answers."""

    budget_ms: Annotated[float, Field(gt=0, le=2000)] = 200.0
    """Time for both searches together."""
    remember: bool = True
    """Keep answers of the language model that are asked for again."""
    elastic_url: str | None = None
    """Search in this Elasticsearch (`http://127.0.0.1:9200`) instead of in the process."""
    elastic_api_key: SecretStr | None = None
    elastic_timeout_ms: Annotated[float, Field(gt=0, le=2000)] = 150.0
    """Of one search; below `budget_ms`."""


class ManagerSettings(Section):
    """Asterisk's manager interface (AMI), which tells of holds; without `host` it is not used."""

    host: str | None = None
    port: int = 5038
    user: str = "kamerton"
    secret: SecretStr | None = None
    connect_s: float = 3.0
    action_s: float = 5.0
    ping_s: float = 15.0
    retry_s: float = 1.0
    longest_retry_s: float = 30.0

    def client(self) -> AmiSettings | None:
        """How to log in, if there is an interface to log in to.

        Raises:
            ConfigurationError: a value cannot work.
        """
        if self.host is None:
            return None
        return AmiSettings(
            host=self.host,
            port=self.port,
            user=self.user,
            secret=self.secret.get_secret_value() if self.secret is not None else "",
            connect_s=self.connect_s,
            action_s=self.action_s,
            ping_s=self.ping_s,
            retry_s=self.retry_s,
            longest_retry_s=self.longest_retry_s,
        )

    @model_validator(mode="after")
    def _usable(self) -> Self:
        """Wrong values are found when the settings are read."""
        try:
            self.client()
        except ConfigurationError as error:
            raise ValueError(str(error)) from error
        return self


class Settings(BaseSettings):
    """Everything that can be configured."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter=ENV_DELIMITER, extra="forbid", frozen=True
    )

    assistant: str = "insurance"
    assistant_folders: tuple[Path, ...] = (CHECKOUT / "assistants",)
    data_dir: Path = CHECKOUT / "var"
    """Prepared models, rendered prompts and vectors; may be deleted, is made again."""
    page_folder: Path | None = CHECKOUT / "frontend"
    warm_up: bool = True
    """At the start every configured service is checked and gets one small request, beside the first calls."""
    log: LogSettings = LogSettings()
    limits: CallLimits = CallLimits()
    audiosocket: AudioSocketSettings = AudioSocketSettings()
    ami: ManagerSettings = ManagerSettings()
    browser: BrowserSettings = BrowserSettings()
    web: WebSettings = WebSettings()
    accounts: AccountSettings = AccountSettings()
    models: ModelsSettings = ModelsSettings()
    recognizer: RecognizerSettings = RecognizerSettings()
    voice: VoiceSettings = VoiceSettings()
    understanding: UnderstandingSettings = UnderstandingSettings()
    answers: AnswerSettings = AnswerSettings()
    model: ModelSettings = ModelSettings()
    prices: tuple[PriceSettings, ...] = ()
    """What services ask for what is used of them; what has no price is counted without a cost."""
    store: StoreSettings = StoreSettings()
    listening: ListeningSettings = ListeningSettings()
    call: CallSettings = CallSettings()

    @field_validator("prices")
    @classmethod
    def _one_price_each(cls, prices: tuple[PriceSettings, ...]) -> tuple[PriceSettings, ...]:
        price_list(prices)
        return prices

    @field_validator("*", mode="wrap")
    @classmethod
    def _place_named(cls, value: Any, judge: ValidatorFunctionWrapHandler) -> Any:
        """A section that refuses its own values is one problem among others, with its place."""
        try:
            return judge(_parsed(value))
        except ConfigurationError as error:
            raise ValueError(str(error)) from error


def _parsed(value: Any) -> Any:
    """Lists that came as JSON text, as they do in environment variables, as lists."""
    if isinstance(value, dict):
        return {name: _parsed(inner) for name, inner in value.items()}
    if isinstance(value, str) and value.startswith("["):
        try:
            return json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(f"{value!r} is no list in JSON: {error}") from error
    return value


def load_settings(config_file: Path | None = None, **overrides: Any) -> Settings:
    """Read and validate the whole tree.

    Args:
        config_file: a YAML file; by default `kamerton.yaml` of the working directory, if there is one. Variables in
            `.env` of the working directory win over it, those of the environment over both.
        overrides: values that win over file and environment.

    Raises:
        ConfigurationError: every wrong value is listed with its place.
    """
    if config_file is not None and not config_file.is_file():
        raise ConfigurationError(f"settings file {config_file} does not exist; check the path given with --config")
    path = config_file or Path(CONFIG_FILE)
    values = _read_file(path) if path.is_file() else {}
    problems = list(_unknown_variables({**_read_env_file(Path(ENV_FILE)), **os.environ}))
    try:
        settings = _layered(values)(**overrides)
    except ValidationError as error:
        problems += [f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()]
    except SettingsError as error:
        problems.append(f"{error}; write a section of the environment as JSON, or set its values one by one")
    if problems:
        files = [str(file) for file in (path, Path(ENV_FILE)) if file.is_file()]
        source = " and ".join([*files, f"{ENV_PREFIX}… variables"])
        raise ConfigurationError("\n  - ".join((f"settings from {source} are wrong", *problems)))
    return settings


def _layered(values: Mapping[str, Any]) -> type[Settings]:
    """The tree with the file's values below the environment's, and those below the command line's."""

    class FileSettings(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            env_file = DotEnvSettingsSource(settings_cls, env_file=ENV_FILE, dotenv_filtering="only_existing")
            return init_settings, env_settings, env_file, InitSettingsSource(settings_cls, dict(values))

    return FileSettings


def _read_file(path: Path) -> Mapping[str, Any]:
    """The file as a mapping; an empty one is empty settings.

    Raises:
        ConfigurationError: it is no YAML, not UTF-8, or its top level is no mapping.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"settings file {path} cannot be read as YAML: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ConfigurationError(f"settings file {path} must hold settings by name, such as 'assistant: insurance'")
    return values


def _read_env_file(path: Path) -> Mapping[str, str | None]:
    """The variables of a `.env` file; none when there is no such file.

    Raises:
        ConfigurationError: it cannot be read.
    """
    if not path.is_file():
        return {}
    try:
        return dotenv_values(path, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read ({error}); it must be text in UTF-8") from error


def _unknown_variables(environment: Iterable[str]) -> Iterator[str]:
    """Variables that look like settings and are none: a slip of the pen must not be ignored in silence."""
    for variable in sorted(environment):
        if variable.upper().startswith(ENV_PREFIX):
            section = variable[len(ENV_PREFIX) :].partition(ENV_DELIMITER)[0].lower()
            if section not in Settings.model_fields:
                known = ", ".join(Settings.model_fields)
                yield f"{variable}: there is no setting '{section}'; known are {known}"
