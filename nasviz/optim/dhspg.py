"""DHSPG: dual half-space projected gradient (OTOv2), the baseline that does not look at the hierarchy."""

from __future__ import annotations

from nasviz.optim.h2spg_otov3 import H2SPGOTOv3

__all__ = ["DHSPG"]


class DHSPG(H2SPGOTOv3):
    """The steps of `H2SPGOTOv3` on the K structures of lowest score, connected or not.

    Nothing stops the training of an invalid selection; `is_valid` tells, and `nasviz.construct` refuses it.
    """

    is_hierarchical = False
