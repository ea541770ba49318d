"""Saliency scores that can be chosen by name: the formula of each, and what it cannot see.

x is the vector of a structure's own parameters, #x how many they are, g the gradient of the loss f by them,
H its second derivative, d the update direction of the base optimizer; |.|_2 is a length, <.,.> an inner
product. A smaller score means a more redundant structure.
"""

from __future__ import annotations

from nasviz.catalog.entry import Entry

__all__ = ["COPY", "SALIENCIES", "STEP"]

STEP = "step"
"""Family of the scores that any step of an optimizer gives by the way: optimizers offer these."""
COPY = "copy"
"""Family of the scores that need passes of their own, on a copy of the network."""

SALIENCIES: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            "snip",
            "SNIP",
            "How much the loss depends on each parameter of the structure, one by one. The default: the"
            " best on average where every score was compared on digits.",
            formula="s = sum of |x_i g_i|",
            citation="Lee et al., SNIP: Single-shot Network Pruning based on Connection Sensitivity, 2019,"
            " arXiv:1810.02340",
            caution="Grows with the number of parameters, so small structures go first and save less;"
            " effects that cancel out inside of a structure are counted in full.",
            family=STEP,
        ),
        Entry(
            "taylor",
            "First-order Taylor",
            "How much the loss would change, to first order, if the structure's parameters became zero.",
            formula="s = |<x, g>|",
            citation="Molchanov et al., Importance Estimation for Neural Network Pruning, 2019,"
            " arXiv:1906.10771",
            caution="Behind a batch norm only the norm's own parameters count: scores lie close together, and"
            " which of two parallel branches stays is nearly a toss; both may look needless.",
            family=STEP,
        ),
        Entry(
            "documents",
            "Cosine and average magnitude",
            "The documents' score: small weights that the update already pulls towards zero are redundant.",
            formula="s = a / (2 |a|_2) - c / (2 |c|_2) with a = |x|_2 / #x and c = cos(x, d),"
            " both normalised over all structures",
            citation="Chen et al., Automated Search-Space Generation Neural Architecture Search, 2023,"
            " arXiv:2305.18030",
            caution="The average magnitude falls with the number of parameters, so the largest structures go"
            " first: misleading where sizes differ much.",
            family=STEP,
        ),
        Entry(
            "magnitude",
            "Average magnitude",
            "Length of the parameter vector, divided by how many parameters there are.",
            formula="s = |x|_2 / #x",
            citation="Li et al., Pruning Filters for Efficient ConvNets, 2017, arXiv:1608.08710",
            caution="Knows nothing of the data, and prefers to remove large structures.",
            family=STEP,
        ),
        Entry(
            "random",
            "Random",
            "A random order, fixed by the seed: what every other score has to beat.",
            formula="s ~ U(0, 1)",
            caution="Sees nothing at all; the validity of what remains is still assured.",
            family=STEP,
        ),
        Entry(
            "cosine",
            "Cosine similarity",
            "Structures that the update already draws straight towards zero are redundant.",
            formula="s = -cos(x, d)",
            citation="Chen et al., OTOv3: Towards Automatic Sub-Network Search Within General Super Deep"
            " Neural Networks, 2023, section 3.2, arXiv:2305.18030v1",
            caution="Blind to size; for weights in front of a batch norm the cosine is nearly zero, so that"
            " noise decides.",
            family=STEP,
        ),
        Entry(
            "hesso",
            "HESSO's mixture",
            "Five scores at equal parts: length, average magnitude, cosine, first and second-order Taylor.",
            formula="s = mean of |x|_2, |x|_2 / #x, 1 - cos(x, d), |<x, d>|, <x, d>^2 / 2,"
            " each divided by its length over all structures",
            citation="Chen et al., HESSO: Towards Automatic Efficient and User Friendly Any Neural Network"
            " Training and Pruning, 2024, arXiv:2409.09085",
            caution="What five scores have in common; the square repeats the Taylor term, and the public code"
            " has the sign of the cosine the other way round.",
            family=STEP,
        ),
        Entry(
            "taylor2",
            "Second-order Taylor",
            "How much the loss would change, to second order, if the structure's parameters became zero.",
            formula="s = |-<x, g> + <x, H x> / 2|, H x taken for all structures at once",
            citation="Hassibi and Stork, Second Order Derivatives for Network Pruning: Optimal Brain"
            " Surgeon, 1992",
            caution="Terms between two structures are shared among both; far from a quadratic loss a second"
            " order says no more than a first.",
            family=COPY,
        ),
        Entry(
            "grasp",
            "GraSP",
            "Structures without which the gradient would be larger, so that training went faster, go first.",
            formula="s = <x, H g>, the published -<x, H g> turned round, of which the largest go",
            citation="Wang et al., Picking Winning Tickets Before Training by Preserving Gradient Flow, 2020,"
            " arXiv:2002.07376",
            caution="Made for networks before training: near a minimum g and all scores are zero.",
            family=COPY,
        ),
        Entry(
            "fisher",
            "Fisher",
            "How strongly the loss reacts, example by example, to silencing what leaves the structure.",
            formula="s = sum over the examples of <a, df/da>^2 with a the output of the structure",
            citation="Theis et al., Faster gaze prediction with dense networks and Fisher pruning, 2018,"
            " arXiv:1801.05787",
            caution="A slope squared in place of a curvature: right on average at a minimum only.",
            family=COPY,
        ),
        Entry(
            "synflow",
            "SynFlow",
            "Share of the structure in the flow from input to output, all parameters positive; without data.",
            formula="s = sum of |x_i dR/dx_i|, R the summed output for an input of ones and parameters |x|",
            citation="Tanaka et al., Pruning neural networks without any data by iteratively conserving"
            " synaptic flow, 2020, arXiv:2006.05467",
            caution="Knows neither data nor signs; biases, and norms that measure their input, break the"
            " conservation that it rests on.",
            family=COPY,
        ),
        Entry(
            "zico",
            "ZiCo",
            "Layers whose gradients are large and alike from batch to batch are worth keeping.",
            formula="s = mean over the layers of log z, z = sum of mean |g_i| / std(g_i) over the batches",
            citation="Li et al., ZiCo: Zero-shot NAS via Inverse Coefficient of Variation on Gradients, 2023,"
            " arXiv:2301.11300",
            caution="z grows with the size of a layer, and two batches measure a spread badly.",
            family=COPY,
        ),
        Entry(
            "naswot",
            "NASWOT",
            "Without which structure do the ReLUs tell examples apart less well? For random weights.",
            formula="s = n(N) - n(N without g), n = log |det K|, K_ij = ReLUs on which two examples agree",
            citation="Mellor et al., Neural Architecture Search without Training, 2021, arXiv:2006.04647",
            caution="Sees nothing that has no ReLU, looks at random weights instead of yours, and mostly"
            " counts ReLUs.",
            family=COPY,
        ),
        Entry(
            "zen",
            "Zen-score",
            "Without which structure do the features react less to the input? For random weights.",
            formula="s = z(N) - z(N without g), z = log mean |f(x) - f(x + 0.01 e)|_1"
            " + sum over batch norms of log sqrt(mean variance)",
            citation="Lin et al., Zen-NAS: A Zero-Shot NAS for High-Performance Image Recognition, 2021,"
            " arXiv:2102.01063",
            caution="Made for chains of layers: over parallel branches it mainly counts batch norms. Looks"
            " at random weights, and takes 16 passes for each structure.",
            family=COPY,
        ),
        Entry(
            "te_nas",
            "TE-NAS",
            "Structures without which a random network trains most easily and cuts finest go first.",
            formula="s = rank of kappa(N without g) + rank of the regions lost, kappa = the condition number"
            " of the neural tangent kernel",
            citation="Chen et al., Neural Architecture Search on ImageNet in Four GPU Hours, 2021,"
            " arXiv:2102.11535",
            caution="Looks at random weights and few examples, which nearly all lie in regions of their own;"
            " one backward pass for each example and structure.",
            family=COPY,
        ),
    )
}
"""By name, the default first."""
