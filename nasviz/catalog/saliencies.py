"""Saliency scores that can be chosen by name: the formula of each, and what it cannot see.

x is the vector of a structure's own parameters, |x| how many they are, g the gradient of the loss by them,
d the update direction of the base optimizer. A smaller score means a more redundant structure.
"""

from __future__ import annotations

from nasviz.catalog.entry import Entry

__all__ = ["SALIENCIES"]

SALIENCIES: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            "taylor",
            "First-order Taylor",
            "How much the loss would change, to first order, if the structure's parameters became zero.",
            formula="s = |<x, g>|",
            citation="Molchanov et al., Importance Estimation for Neural Network Pruning, 2019,"
            " arXiv:1906.10771",
            caution="Sees one straight step: two structures that replace each other both look needless, and"
            " behind a batch norm only the norm's own parameters count.",
        ),
        Entry(
            "documents",
            "Cosine and average magnitude",
            "The documents' score: small weights that the update already pulls towards zero are redundant.",
            formula="s = a / (2 |a|) - c / (2 |c|) with a = |x|_2 / |x| and c = cos(x, d),"
            " both normalised over all structures",
            citation="Chen et al., Automated Search-Space Generation Neural Architecture Search, 2023,"
            " arXiv:2305.18030",
            caution="The average magnitude falls with the number of parameters, so the largest structures go"
            " first: misleading where sizes differ much.",
        ),
        Entry(
            "magnitude",
            "Average magnitude",
            "Length of the parameter vector, divided by how many parameters there are.",
            formula="s = |x|_2 / |x|",
            citation="Li et al., Pruning Filters for Efficient ConvNets, 2017, arXiv:1608.08710",
            caution="Knows nothing of the data, and prefers to remove large structures.",
        ),
        Entry(
            "random",
            "Random",
            "A random order, fixed by the seed: what every other score has to beat.",
            formula="s ~ U(0, 1)",
            caution="Sees nothing at all; the validity of what remains is still assured.",
        ),
    )
}
"""By name, the default first."""
