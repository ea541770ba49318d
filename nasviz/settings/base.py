"""Base of all settings classes: frozen, strict, and with one form of error message.

Every message says what was asked, what is possible and what the default is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from nasviz.catalog import Setting
from nasviz.errors import InvalidSettingError, NasvizError
from nasviz.settings.fields import describe, describe_field

__all__ = ["Settings", "nearest", "refuse"]


class Settings(BaseModel):
    """Values that are checked when they are given, and never change afterwards.

    Raises:
        InvalidSettingError: A value is out of its range, or a name is unknown; the message says what can be.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise self._explain(error) from None

    @classmethod
    def fields(cls) -> dict[str, Setting]:
        """Return the settings by name, in the order of declaration."""
        return {found.name: found for found in describe(cls)}

    @classmethod
    def unknown(cls, name: str) -> NasvizError:
        """Return the error for a name that is no setting of this class."""
        return InvalidSettingError(f"no setting is called {name!r}{nearest(name, cls.fields())}")

    @classmethod
    def _explain(cls, error: ValidationError) -> Exception:
        """Return the first mistake as an error of nasviz."""
        mistake = error.errors(include_url=False)[0]
        cause = mistake.get("ctx", {}).get("error")
        if isinstance(cause, NasvizError):
            return cause
        name = str(mistake["loc"][0]) if mistake["loc"] else ""
        if mistake["type"] == "extra_forbidden":
            return cls.unknown(name)
        if mistake["type"] == "missing":
            return InvalidSettingError(f"settings hold no {name!r}; it has no default, so name one")
        if name not in cls.model_fields:
            return InvalidSettingError(str(mistake["msg"]))
        field = describe_field(name, cls.model_fields[name])
        return refuse(name, mistake["input"], field.describe(), field.default)

    @model_validator(mode="after")
    def _check_fields(self) -> Self:
        """Check names from tables, and that a setting without effect is at its default.

        So nothing is accepted and then ignored.
        """
        for field in describe(type(self)):
            value = getattr(self, field.name)
            if field.kind == "choice" and value not in field.choices:
                raise refuse(field.name, value, field.describe(), field.default)
            if value == field.default:
                continue
            for needed, possible in field.needs:
                actual = getattr(self, needed)
                if actual not in possible:
                    words = (
                        f"{field.default!r} where {needed} is {actual!r}: it has an effect only with {needed}"
                        f" {_joined(possible)}"
                    )
                    raise refuse(field.name, value, words, field.default)
        return self


def refuse(name: str, value: object, expected: str, default: object) -> InvalidSettingError:
    """Return the error for a setting that breaks its rule."""
    return InvalidSettingError(
        f"{name}={value!r} was asked for, but {name} must be {expected}; the default is {default!r}"
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a message that names what is close to a misspelled name; empty where nothing is.

    Examples:
        >>> nearest("momentun", ["momentum", "lr"])
        '; nearest: momentum'
    """
    found = get_close_matches(name.lower().replace("-", "_"), list(known), n=3, cutoff=0.6)
    return f"; nearest: {', '.join(found)}" if found else ""


def _joined(values: Sequence[object]) -> str:
    return " or ".join(repr(value) for value in values)
