"""SynFlow (Tanaka et al., 2020): the share of a structure in the flow from input to output, without data."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasviz.errors import NonFiniteLossError
from nasviz.saliency.probe import Probe, derivatives, tensors_in

__all__ = ["synflow"]


def synflow(probe: Probe) -> Tensor:
    """Sum of |x dR/dx|, with R the sum of the outputs for an input of ones and positive variables.

    Batch norms only scale their input by their own variables. Double precision is used, because R grows with
    every layer. Without biases and norms, a cut through a network of linear layers and ReLUs scores R.

    Raises:
        NonFiniteLossError: R overflows.
    """
    network = probe.network.double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._NormBase) and module.track_running_stats:
                module.reset_running_stats()
    ones = tuple(
        torch.ones_like(x[:1], dtype=torch.float64 if x.is_floating_point() else x.dtype)
        for x in probe.examples()
    )
    flow = torch.stack([output.sum() for output in tensors_in(network(*ones))]).sum()
    if not flow.isfinite():
        raise NonFiniteLossError("the flow of synflow is not finite: the network is too deep for this score")
    slopes = derivatives(flow, probe.index.tensors)
    values = [tensor.detach() for tensor in probe.index.tensors]
    products = [
        None if slope is None else (value * slope).abs() for value, slope in zip(values, slopes, strict=True)
    ]
    weights = [None if product is None else torch.ones_like(product) for product in products]
    return probe.index.dot(products, weights)
