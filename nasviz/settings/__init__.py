"""Settings of runs and of search methods, each declared once.

A field says its type, default, bounds, label, unit, help and source. Command line, forms, sweep axes, error
messages, JSON schema, configuration files and the tables of the guide are derived from it.
"""

from nasviz.settings.base import Settings, refuse
from nasviz.settings.fields import AUTO, describe
from nasviz.settings.methods import (
    HALF_SPACE,
    METHODS,
    PROXIMAL,
    PUBLISHED_REGULARIZATION,
    RELAXED,
    WEIGHTS,
    WIDTH,
    DARTSSettings,
    DHSPGSettings,
    GSparsitySettings,
    H2SPGOTOv3Settings,
    H2SPGSettings,
    HSPGSettings,
    MethodSettings,
    MiLeNASSettings,
    RARTSSettings,
    RARTSWidthSettings,
    SiDTSettings,
    SparseNASSettings,
    find_method,
    methods_with,
)
from nasviz.settings.migration import is_flat, migrated_axes
from nasviz.settings.run import METHOD, SEARCH_SPACE, RunSettings
from nasviz.settings.schedule import Schedule, plan_steps

__all__ = [
    "AUTO",
    "HALF_SPACE",
    "METHOD",
    "METHODS",
    "PROXIMAL",
    "PUBLISHED_REGULARIZATION",
    "RELAXED",
    "SEARCH_SPACE",
    "WEIGHTS",
    "WIDTH",
    "DARTSSettings",
    "DHSPGSettings",
    "GSparsitySettings",
    "H2SPGOTOv3Settings",
    "H2SPGSettings",
    "HSPGSettings",
    "MethodSettings",
    "MiLeNASSettings",
    "RARTSSettings",
    "RARTSWidthSettings",
    "RunSettings",
    "Schedule",
    "Settings",
    "SiDTSettings",
    "SparseNASSettings",
    "describe",
    "find_method",
    "is_flat",
    "methods_with",
    "migrated_axes",
    "plan_steps",
    "refuse",
]
