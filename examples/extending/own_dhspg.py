"""An optimizer of a known family in one file: DHSPG that keeps the network connected.

It has the settings of DHSPG, so only its name and its description are new.
"""

from __future__ import annotations

from typing import Any, Literal

import nasviz
from nasviz.settings import DHSPGSettings


@nasviz.register_method
class ConnectedDHSPGSettings(DHSPGSettings):
    """The steps of DHSPG on structures without which the network stays connected."""

    title = "Connected DHSPG"
    summary = "The steps of DHSPG, on structures without which the network stays connected."
    citation = ""
    caution = "The regularizer alone seldom reaches zero; the rest is set to zero when the projection ends."

    name: Literal["connected_dhspg"] = "connected_dhspg"  # type: ignore[assignment]

    def build(self, net: Any, space: Any, training: Any) -> Any:
        """Return the optimizer; torch is imported here, in the worker."""
        from nasviz.optim import DHSPG, build

        class ConnectedDHSPG(DHSPG):
            """DHSPG with a hierarchy."""

            is_hierarchical = True

        return build(net, space, self, training, kind=ConnectedDHSPG)
