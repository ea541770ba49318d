"""nasviz: see what a network could lose, watch it being cut down, take the exact sub-network home.

The public names below are resolved on first use, so that `import nasviz` loads neither torch nor Streamlit.
"""

from importlib import import_module
from typing import Any

__all__ = [
    "NasvizError",
    "NasvizWarning",
    "add_switches",
    "construct",
    "export_onnx",
    "export_pt2",
    "fit_budget",
    "fold_switches",
    "load",
    "load_extension",
    "nas",
    "optim",
    "project_to_zero_",
    "register_dataset",
    "register_method",
    "register_network",
    "register_operator",
    "register_saliency",
    "save",
    "search_space",
    "settle_switches",
    "splice",
    "trace",
    "trace_submodule",
    "view",
    "watch",
    "zoo",
]

__version__ = "0.1.0"

_HOMES = {
    "NasvizError": ("nasviz.errors", "NasvizError"),
    "NasvizWarning": ("nasviz.errors", "NasvizWarning"),
    "trace": ("nasviz.trace", None),
    "trace_submodule": ("nasviz.trace", "trace_submodule"),
    "splice": ("nasviz.trace", "splice"),
    "search_space": ("nasviz.graph", "search_space"),
    "fit_budget": ("nasviz.graph", "fit_budget"),
    "project_to_zero_": ("nasviz.subnet", "project_to_zero_"),
    "construct": ("nasviz.subnet", "construct"),
    "export_onnx": ("nasviz.subnet", "export_onnx"),
    "export_pt2": ("nasviz.subnet", "export_pt2"),
    "save": ("nasviz.subnet", "save"),
    "load": ("nasviz.subnet", "load"),
    "add_switches": ("nasviz.switches", "add_switches"),
    "fold_switches": ("nasviz.switches", "fold_switches"),
    "settle_switches": ("nasviz.switches", "settle_switches"),
    "load_extension": ("nasviz.extensions", "load_extension"),
    "register_dataset": ("nasviz.catalog", "register_dataset"),
    "register_method": ("nasviz.settings", "register_method"),
    "register_network": ("nasviz.catalog", "register_network"),
    "register_saliency": ("nasviz.catalog", "register_saliency"),
    "register_operator": ("nasviz.graph.operators.table", "register_operator"),
    "optim": ("nasviz.optim", None),
    "nas": ("nasviz.nas", None),
    "watch": ("nasviz.train.watching", "watch"),
    "zoo": ("nasviz.models", None),
    "view": ("nasviz.notebook", "view"),
}


def __getattr__(name: str) -> Any:
    try:
        module, attribute = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module 'nasviz' has no attribute {name!r}") from None
    home = import_module(module)
    if not name.startswith("register_"):  # which extensions use themselves
        import_module("nasviz.extensions").load_extensions()
    value = getattr(home, attribute) if attribute else home
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
