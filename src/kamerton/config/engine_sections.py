"""Sections of the settings that name engines: a chain of names, and a typed section for every engine there is.

The sections are made from what registered itself (`vendors/registry.py`), so a new engine needs no line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator, model_validator
from pydantic_settings import NoDecode

from kamerton.vendors import registry

SectionT = TypeVar("SectionT", bound="EngineSection")


class Section(BaseModel):
    """A part of the settings tree: its names are known, its values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EngineSection(Section):
    """Which engines do a part's work, and each one's own section, under its name."""

    package: ClassVar[str] = ""
    """Where these engines register themselves."""

    engine: Annotated[tuple[str, ...], NoDecode] = ()
    """The first one works; when it fails, the next one goes on. Written as a name, a list, or names with commas."""

    @property
    def chain(self) -> tuple[str, ...]:
        """The engines to be used, best first."""
        return self.engine

    def options(self, name: str) -> Any:
        """An engine's own section."""
        return getattr(self, name)

    @field_validator("engine", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @field_validator("engine")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        engines = registry.engines_in(cls.package)
        for name in names:
            if name not in engines:
                raise ValueError(f"there is no engine '{name}'; known are {', '.join(engines)}")
        if len(set(names)) < len(names):
            raise ValueError("an engine is named twice; name each once, best first")
        return names

    @model_validator(mode="before")
    @classmethod
    def _no_stranger(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            for name in values:
                if name not in cls.model_fields:
                    raise ValueError(f"there is no setting '{name}'; known are {', '.join(cls.model_fields)}")
        return values


class LocalReserveSection(EngineSection):
    """A part that this machine can do by itself when every service is away."""

    local_engines: ClassVar[tuple[str, ...]] = ()
    """What needs nobody else, best first."""

    local_reserve: bool = True
    """Put the engines of this machine at the end of the chain, so that a call survives when every service is down."""

    @property
    def chain(self) -> tuple[str, ...]:
        """The engines to be used, best first, with those of this machine behind them."""
        if self.engine and not self.local_reserve:
            return self.engine
        return self.engine + tuple(name for name in self.local_engines if name not in self.engine)


def with_engines(base: type[SectionT]) -> type[SectionT]:
    """The section with a field for each engine of its package."""
    fields: dict[str, Any] = {
        name: (engine.options, Field(default_factory=engine.options))
        for name, engine in registry.engines_in(base.package).items()
    }
    return create_model(base.__name__, __base__=base, __doc__=base.__doc__, **fields)


def accounts_section() -> type[Section]:
    """A section with a field for each account."""
    fields: dict[str, Any] = {
        name: (account, Field(default_factory=account)) for name, account in registry.accounts().items()
    }
    doc = "Credentials at vendors, shared by everything that is used of one."
    return create_model("AccountSettings", __base__=Section, __doc__=doc, **fields)
