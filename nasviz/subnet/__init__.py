"""Sub-networks: zero, erase, slice, construct, measure, save and export."""

from nasviz.subnet.construct import Subnetwork, construct
from nasviz.subnet.zero import project_to_zero_

__all__ = ["Subnetwork", "construct", "project_to_zero_"]
