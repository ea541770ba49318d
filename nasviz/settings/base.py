"""Base class of all settings: frozen, strict, and with uniform error messages.

Every message states the given value, the accepted values and the default.
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
    """Immutable settings, validated on creation.

    Raises:
        InvalidSettingError: A value is out of range or a name is unknown; the message states the
            alternatives.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        arbitrary_types_allowed=True,
        defer_build=True,  # on first use: a process uses few of the methods
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
        """Return the error for a name that is not a setting of this class."""
        return InvalidSettingError(f"there is no setting {name!r}{nearest(name, cls.fields())}")

    @classmethod
    def _explain(cls, error: ValidationError) -> Exception:
        """Return the first validation error as an error of nasviz."""
        mistake = error.errors(include_url=False)[0]
        cause = mistake.get("ctx", {}).get("error")
        if isinstance(cause, NasvizError):
            return cause
        name = str(mistake["loc"][0]) if mistake["loc"] else ""
        if mistake["type"] == "extra_forbidden":
            return cls.unknown(name)
        if mistake["type"] == "missing":
            return InvalidSettingError(f"{name!r} is missing and has no default; give a value")
        if name not in cls.model_fields:
            return InvalidSettingError(str(mistake["msg"]))
        field = describe_field(name, cls.model_fields[name])
        return refuse(name, mistake["input"], field.describe(), field.default)

    def _check_conflicts(self) -> None:
        """Refuse values together for which the message about `needs` would not say what to do."""

    @model_validator(mode="after")
    def _check_fields(self) -> Self:
        """Check choices that are not in the type, and reject values of settings that would have no effect."""
        self._check_conflicts()
        for field in describe(type(self)):
            value = getattr(self, field.name)
            # `setting(choices=...)` is not part of the annotation, so pydantic cannot check it.
            if field.kind == "choice" and value not in field.choices:
                raise refuse(field.name, value, field.describe(), field.default)
            if value == field.default:
                continue
            for needed, possible in field.needs:
                actual = getattr(self, needed)
                if actual not in possible:
                    expected = (
                        f"{field.default!r} if {needed} is {actual!r}: it only has an effect with {needed}"
                        f" {_join(possible)}"
                    )
                    raise refuse(field.name, value, expected, field.default)
        return self


def refuse(name: str, value: object, expected: str, default: object) -> InvalidSettingError:
    """Return the error for a setting with an invalid value."""
    return InvalidSettingError(
        f"{name}={value!r} is invalid: {name} must be {expected}; the default is {default!r}"
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a message that suggests names similar to a misspelled one; empty if there are none.

    Examples:
        >>> nearest("momentun", ["momentum", "lr"])
        '; nearest: momentum'
    """
    found = get_close_matches(name.lower().replace("-", "_"), list(known), n=3, cutoff=0.6)
    return f"; nearest: {', '.join(found)}" if found else ""


def _join(values: Sequence[object]) -> str:
    return " or ".join(repr(value) for value in values)
