"""Tracing of any network to one graph of operators on its own modules (see `trace`).

`nasviz.trace` stays callable after this package has been imported.
"""

import sys
from types import ModuleType
from typing import Any

from nasviz.trace.leaves import OutputForm
from nasviz.trace.network import TracedNetwork
from nasviz.trace.parity import Parity
from nasviz.trace.strategies import trace, trace_quietly, warn_of_changes
from nasviz.trace.submodules import splice, trace_submodule

__all__ = ["OutputForm", "Parity", "TracedNetwork", "splice", "trace", "trace_quietly", "trace_submodule"]


class _CallableModule(ModuleType):
    """Make the package `nasviz.trace` callable: importing it hides the function of the same name."""

    def __call__(self, model: Any, example_inputs: Any = None, *, batch_axis: int = 0) -> TracedNetwork:
        network = trace_quietly(model, example_inputs, batch_axis=batch_axis)
        warn_of_changes(network, stacklevel=3)
        return network


sys.modules[__name__].__class__ = _CallableModule
