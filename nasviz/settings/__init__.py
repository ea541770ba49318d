"""Settings of runs and of search methods, each declared once.

A field states type, default, bounds, label, unit, help and source. Command-line options, forms, sweep axes,
error messages, the JSON schema, configuration files and the tables of the guide are derived from it.
"""

from nasviz.settings.base import Settings, refuse
from nasviz.settings.fields import AUTO, Names, Share, Steps, choice, describe, number, setting
from nasviz.settings.method import (
    COSINES,
    METHODS,
    NORMS,
    SALIENCY,
    MethodSettings,
    Phase,
    Vector,
    find_method,
    methods_with,
    register_method,
)
from nasviz.settings.methods import (
    DECISIVE,
    PUBLISHED_ARCHITECTURE_LR,
    PUBLISHED_REGULARIZATION,
    WEIGHTS,
    DARTSSettings,
    DHSPGSettings,
    GSparsitySettings,
    H2SPGOTOv3Settings,
    H2SPGSettings,
    HSPGSettings,
    MiLeNASSettings,
    RARTSSettings,
    RARTSWidthSettings,
    SiDTSettings,
    SparseNASSettings,
)
from nasviz.settings.migration import is_flat, migrated_axes
from nasviz.settings.run import CROSS_ENTROPY, METHOD, SEARCH_SPACE, RunSettings, laid_over
from nasviz.settings.schedule import Schedule, plan_steps

__all__ = [
    "AUTO",
    "COSINES",
    "CROSS_ENTROPY",
    "DECISIVE",
    "METHOD",
    "METHODS",
    "NORMS",
    "PUBLISHED_ARCHITECTURE_LR",
    "PUBLISHED_REGULARIZATION",
    "SALIENCY",
    "SEARCH_SPACE",
    "WEIGHTS",
    "DARTSSettings",
    "DHSPGSettings",
    "GSparsitySettings",
    "H2SPGOTOv3Settings",
    "H2SPGSettings",
    "HSPGSettings",
    "MethodSettings",
    "MiLeNASSettings",
    "Names",
    "Phase",
    "RARTSSettings",
    "RARTSWidthSettings",
    "RunSettings",
    "Schedule",
    "Settings",
    "Share",
    "SiDTSettings",
    "SparseNASSettings",
    "Steps",
    "Vector",
    "choice",
    "describe",
    "find_method",
    "is_flat",
    "laid_over",
    "methods_with",
    "migrated_axes",
    "number",
    "plan_steps",
    "refuse",
    "register_method",
    "setting",
]
