"""Switches of a network: insert them, read them, make them independent, fold them into the weights."""

from nasviz.switches.folding import fold_switches
from nasviz.switches.inserting import Switched, add_switches
from nasviz.switches.settling import settle_switches
from nasviz.switches.values import set_switches_, split_parameters, switch_values

__all__ = [
    "Switched",
    "add_switches",
    "fold_switches",
    "set_switches_",
    "settle_switches",
    "split_parameters",
    "switch_values",
]
