"""Optional packages: imported where they are used; the error for a missing one names the extra to install."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nasviz.errors import MissingPackageError

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["data_frame", "explain", "locate_package", "repr_html", "require_package"]

EXTRAS = {
    "anywidget": "notebook",
    "huggingface_hub": "transformers",
    "mlflow": "mlflow",
    "onnx": "onnx",
    "onnx_ir": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "pandas": "notebook",
    "plotly": "app",
    "pyarrow": "app",
    "pygraphviz": "app",
    "ray": "ray",
    "sklearn": "app",
    "streamlit": "app",
    "tensorboard": "tensorboard",
    "timm": "timm",
    "torchmetrics": "metrics",
    "torchvision": "app",
    "transformers": "transformers",
    "trackio": "trackio",
    "wandb": "wandb",
}
"""The extra of nasviz that installs a package, by the name that is imported."""


def require_package(module: str, purpose: str) -> ModuleType:
    """Import a module of an optional package.

    Args:
        module: Name of the module.
        purpose: What needs it, as the subject of a sentence.

    Raises:
        MissingPackageError: The package is not installed.

    Examples:
        >>> require_package("json", "this example").loads("1")
        1
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (found := explain(error, purpose)) is None:
            raise
        raise found from error


def locate_package(package: str, purpose: str) -> Path:
    """Return the folder of an optional package without importing it; for the arguments see `require_package`.

    Raises:
        MissingPackageError: The package is not installed.

    Examples:
        >>> locate_package("json", "this example").name
        'json'
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise explain(ModuleNotFoundError(name=package), purpose) or MissingPackageError(name=package)
    return Path(spec.origin).parent


def explain(error: ModuleNotFoundError, purpose: str = "this") -> MissingPackageError | None:
    """Return what to install, or None if the module belongs to no extra.

    Examples:
        >>> print(explain(ModuleNotFoundError("No module named 'timm'", name="timm.models"), "timm:vit"))
        timm:vit needs the package timm, which is not installed: pip install 'nasviz[timm]'
    """
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
        return None
    install = f"pip install 'nasviz[{EXTRAS[package]}]'"
    return MissingPackageError(
        f"{purpose} needs the package {package}, which is not installed: {install}", name=package
    )


def data_frame(rows: Any) -> DataFrame:
    """Return rows as a pandas data frame.

    Raises:
        MissingPackageError: pandas is not installed.
    """
    frame: DataFrame = require_package("pandas", "a table").DataFrame(rows)
    return frame


def repr_html(shown: Any) -> str:
    """Return what a notebook shows of an object, as the method `_repr_html_` of its class.

    The rooms that draw are loaded on first use.
    """
    html: str = import_module("nasviz.notebook").html(shown)
    return html
