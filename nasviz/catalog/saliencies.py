"""Saliency scores by name, with formulas and limitations.

x is the vector of the parameters of a structure, #x their number, g the gradient of the loss f with respect
to x, H the Hessian, d the update direction of the base optimizer, |.|_2 the norm and <.,.> the inner
product. A smaller score means a more redundant structure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from nasviz.catalog.entry import Entry
from nasviz.errors import InvalidSettingError

__all__ = ["COPY", "SALIENCIES", "STEP", "SaliencyEntry", "register_saliency", "step_saliencies"]

STEP = "step"
"""Family of scores computed from the optimizer step at no extra cost, available for training."""
COPY = "copy"
"""Family of scores that need additional passes on a copy of the network."""


@dataclass(frozen=True, slots=True)
class SaliencyEntry(Entry):
    """A saliency, with what computes it."""

    function: str | Callable[..., Any] = ""
    """Takes `nasviz.saliency.Reductions`, or of family `COPY` a `Probe`; a text names a function of
    nasviz.saliency, `module:function`, which is imported when it is used."""
    needs_gradient: bool = True
    needs_direction: bool = False
    needs_generator: bool = False
    needs_batches: bool = True


SALIENCIES: dict[str, SaliencyEntry] = {
    entry.name: entry
    for entry in (
        SaliencyEntry(
            "snip",
            "SNIP",
            "Sensitivity of the loss to each parameter of the structure. The default: best on average in a"
            " comparison of all scores on digits.",
            formula="s = sum of |x_i g_i|",
            citation="Lee et al., SNIP: Single-shot Network Pruning based on Connection Sensitivity, 2019,"
            " arXiv:1810.02340",
            caution="Grows with the number of parameters, so small structures are removed first and save"
            " less; effects that cancel within a structure are counted in full.",
            family=STEP,
            function="scores:snip",
        ),
        SaliencyEntry(
            "taylor",
            "First-order Taylor",
            "First-order estimate of the change of the loss if the parameters become zero.",
            formula="s = |<x, g>|",
            citation="Molchanov et al., Importance Estimation for Neural Network Pruning, 2019,"
            " arXiv:1906.10771",
            caution="Before a batch norm, only the parameters of the norm contribute: scores are close"
            " together, the choice between parallel branches is close to random, and both may be ranked"
            " redundant.",
            family=STEP,
            function="scores:taylor",
        ),
        SaliencyEntry(
            "documents",
            "Cosine and average magnitude",
            "Score of ASGNAS and OTOv3: small weights that the update moves towards zero are redundant.",
            formula="s = a / (2 |a|_2) - c / (2 |c|_2) with a = |x|_2 / #x and c = cos(x, d),"
            " both normalised over all structures",
            citation="Chen et al., Automated Search-Space Generation Neural Architecture Search, 2023,"
            " arXiv:2305.18030",
            caution="The average magnitude decreases with the number of parameters, so the largest structures"
            " are removed first: misleading if sizes differ much.",
            family=STEP,
            function="scores:documents",
            needs_direction=True,
        ),
        SaliencyEntry(
            "magnitude",
            "Average magnitude",
            "Norm of the parameter vector divided by the number of parameters.",
            formula="s = |x|_2 / #x",
            citation="Li et al., Pruning Filters for Efficient ConvNets, 2017, arXiv:1608.08710",
            caution="Ignores the data, and tends to remove large structures.",
            family=STEP,
            function="scores:magnitude",
            needs_gradient=False,
        ),
        SaliencyEntry(
            "random",
            "Random",
            "Random order given by the seed: the baseline for every other score.",
            formula="s ~ U(0, 1)",
            caution="Ignores weights and data; the sub-network is still valid.",
            family=STEP,
            function="scores:random",
            needs_gradient=False,
            needs_generator=True,
        ),
        SaliencyEntry(
            "cosine",
            "Cosine similarity",
            "Structures that the update moves directly towards zero are redundant.",
            formula="s = -cos(x, d)",
            citation="Chen et al., OTOv3: Towards Automatic Sub-Network Search Within General Super Deep"
            " Neural Networks, 2023, section 3.2, arXiv:2305.18030v1",
            caution="Ignores the size; for weights before a batch norm the cosine is close to zero, so noise"
            " dominates.",
            family=STEP,
            function="scores:cosine",
            needs_direction=True,
        ),
        SaliencyEntry(
            "hesso",
            "HESSO's mixture",
            "Mean of five scores: norm, average magnitude, cosine, first- and second-order Taylor.",
            formula="s = mean of |x|_2, |x|_2 / #x, 1 - cos(x, d), |<x, d>|, <x, d>^2 / 2,"
            " each divided by its norm over all structures",
            citation="Chen et al., HESSO: Towards Automatic Efficient and User Friendly Any Neural Network"
            " Training and Pruning, 2024, arXiv:2409.09085",
            caution="The square repeats the Taylor term; the public code inverts the sign of the cosine.",
            family=STEP,
            function="scores:hesso",
            needs_direction=True,
        ),
        SaliencyEntry(
            "taylor2",
            "Second-order Taylor",
            "Second-order estimate of the change of the loss if the parameters become zero.",
            formula="s = |-<x, g> + <x, H x> / 2|, H x computed for all structures at once",
            citation="Hassibi and Stork, Second Order Derivatives for Network Pruning: Optimal Brain"
            " Surgeon, 1992",
            caution="Mixed terms of two structures are split between both; if the loss is far from quadratic,"
            " the second order adds no information.",
            family=COPY,
            function="second_order:second_order_taylor",
        ),
        SaliencyEntry(
            "grasp",
            "GraSP",
            "Structures whose removal increases the gradient norm, and so speeds up training, are redundant.",
            formula="s = <x, H g>, the negative of the published -<x, H g>, whose largest values are removed",
            citation="Wang et al., Picking Winning Tickets Before Training by Preserving Gradient Flow, 2020,"
            " arXiv:2002.07376",
            caution="Designed for untrained networks: near a minimum, g and all scores are zero.",
            family=COPY,
            function="second_order:grasp",
        ),
        SaliencyEntry(
            "fisher",
            "Fisher",
            "Sensitivity of the loss, per example, to removing the output of the structure.",
            formula="s = sum over the examples of <a, df/da>^2 with a the output of the structure",
            citation="Theis et al., Faster gaze prediction with dense networks and Fisher pruning, 2018,"
            " arXiv:1801.05787",
            caution="Uses squared gradients for the curvature, which is valid on average at a minimum only.",
            family=COPY,
            function="fisher:fisher",
        ),
        SaliencyEntry(
            "synflow",
            "SynFlow",
            "Contribution of the structure to the flow from input to output with positive"
            " parameters; no data.",
            formula="s = sum of |x_i dR/dx_i|, R the summed output for an input of ones and parameters |x|",
            citation="Tanaka et al., Pruning neural networks without any data by iteratively conserving"
            " synaptic flow, 2020, arXiv:2006.05467",
            caution="Ignores data and signs; biases and norms with batch statistics violate the conservation"
            " law behind it.",
            family=COPY,
            function="synflow:synflow",
            needs_batches=False,
        ),
        SaliencyEntry(
            "zico",
            "ZiCo",
            "Layers with large gradients that vary little between batches are important.",
            formula="s = mean over the layers of log z, z = sum of mean |g_i| / std(g_i) over the batches",
            citation="Li et al., ZiCo: Zero-shot NAS via Inverse Coefficient of Variation on Gradients, 2023,"
            " arXiv:2301.11300",
            caution="z grows with the size of a layer, and two batches are a poor estimate of the deviation.",
            family=COPY,
            function="zico:zico",
        ),
        SaliencyEntry(
            "naswot",
            "NASWOT",
            "How much worse the ReLU patterns separate examples without the structure; random weights.",
            formula="s = n(N) - n(N without g), n = log |det K|, K_ij = ReLUs on which two examples agree",
            citation="Mellor et al., Neural Architecture Search without Training, 2021, arXiv:2006.04647",
            caution="Ignores structures without ReLU, uses random weights, and mainly counts ReLUs.",
            family=COPY,
            function="codes:naswot",
            needs_batches=False,
        ),
        SaliencyEntry(
            "zen",
            "Zen-score",
            "How much less the features respond to the input without the structure; random weights.",
            formula="s = z(N) - z(N without g), z = log mean |f(x) - f(x + 0.01 e)|_1"
            " + sum over batch norms of log sqrt(mean variance)",
            citation="Lin et al., Zen-NAS: A Zero-Shot NAS for High-Performance Image Recognition, 2021,"
            " arXiv:2102.01063",
            caution="Designed for chains of layers: with parallel branches it mainly counts batch norms. Uses"
            " random weights, and needs 16 passes per structure.",
            family=COPY,
            function="zen:zen",
            needs_batches=False,
        ),
        SaliencyEntry(
            "te_nas",
            "TE-NAS",
            "Structures without which a random network is most trainable and expressive are redundant.",
            formula="s = rank of kappa(N without g) + rank of the regions lost, kappa = the condition number"
            " of the neural tangent kernel",
            citation="Chen et al., Neural Architecture Search on ImageNet in Four GPU Hours, 2021,"
            " arXiv:2102.11535",
            caution="Uses random weights and few examples, nearly all of which lie in different regions;"
            " needs one backward pass per example and structure.",
            family=COPY,
            function="te_nas:te_nas",
            needs_batches=False,
        ),
    )
}
"""Saliencies by name, the default first."""
Function = TypeVar("Function", bound=Callable[..., Any])


def step_saliencies() -> tuple[str, ...]:
    """Return the names of the saliencies that an optimizer can read from its steps."""
    return tuple(name for name, entry in SALIENCIES.items() if entry.family == STEP)


def register_saliency(
    name: str,
    *,
    title: str = "",
    formula: str = "",
    citation: str = "",
    caution: str = "",
    is_proxy: bool = False,
    needs_gradient: bool = True,
    needs_direction: bool = False,
    needs_generator: bool = False,
) -> Callable[[Function], Function]:
    """Return a decorator that registers a function as a saliency, which optimizers and forms then offer.

    The module of the function must be importable without torch: the server reads it.

    Args:
        name: Its name in settings, in lower case.
        title: Its name for people; made from `name` when left out.
        formula: How it is computed, with the symbols at the top of `nasviz.catalog.saliencies`.
        citation: Where it is published.
        caution: What it cannot see.
        is_proxy: Whether it takes a `nasviz.saliency.Probe`, with a copy of the network to run. Otherwise it
            takes the `nasviz.saliency.Reductions` of a step. Both return one number for each structure, the
            smallest for what is redundant. The first line of its docstring is its summary.
        needs_gradient: Whether it says nothing without data; of a proxy: whether it reads the batches.
        needs_direction: Whether it reads the direction of the step.
        needs_generator: Whether it draws numbers: it is then called with `generator` as a keyword.

    Raises:
        InvalidSettingError: The name is none, or is taken.

    Examples:
        >>> length = register_saliency("length", needs_gradient=False)(lambda reductions: reductions.norm)
        >>> SALIENCIES.pop("length").title
        'Length'
    """
    if not name.isidentifier() or name != name.lower():
        raise InvalidSettingError(f"{name!r} is no name of a saliency: use lower case, without spaces")

    def register(function: Function) -> Function:
        known = SALIENCIES.get(name)
        if known is not None and _place(known.function) != _place(function):
            raise InvalidSettingError(f"saliency {name!r} is registered already, as {known.title}")
        SALIENCIES[name] = SaliencyEntry(
            name,
            title or name.replace("_", " ").capitalize(),
            (function.__doc__ or "").strip().partition("\n")[0],
            citation=citation,
            formula=formula,
            caution=caution,
            family=COPY if is_proxy else STEP,
            function=function,
            needs_gradient=needs_gradient,
            needs_direction=needs_direction,
            needs_generator=needs_generator,
            needs_batches=needs_gradient,
        )
        return function

    return register


def _place(function: str | Callable[..., Any]) -> str:
    """Return where a function is defined: a module that is imported again registers the same one."""
    return function if isinstance(function, str) else f"{function.__module__}:{function.__qualname__}"
