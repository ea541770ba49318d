"""Distillation of the unpruned network into the pruned one (dissertation, section 4.2; Hinton et al.)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from nasviz.errors import InvalidSettingError

__all__ = ["TEMPERATURE", "distillation_loss"]

TEMPERATURE = 4.0


def distillation_loss(teacher: Tensor, student: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """L_KD = mean over samples of sum_i p_i log(p_i / q_i), p and q the softmax of logits / T.

    Not negative, and 0 exactly where the logits of each sample differ by a constant.

    Args:
        teacher: Logits of the unpruned network, `(N, classes)`; nothing flows back into it.
        student: Logits of the pruned network, `(N, classes)`.
        temperature: T, above 0.

    Raises:
        InvalidSettingError: The shapes differ, or the temperature is not above 0.

    Examples:
        >>> from torch import tensor
        >>> teacher, student = tensor([[3.0, 1.0, -1.0]]), tensor([[2.0, 1.0, 0.0]])
        >>> loss = distillation_loss(teacher.double(), student.double())
        >>> round(loss.item(), 7)
        0.0191076
    """
    if teacher.shape != student.shape or teacher.dim() != 2:
        raise InvalidSettingError(
            f"distillation needs logits of one shape (N, classes); the teacher's are {tuple(teacher.shape)},"
            f" the student's {tuple(student.shape)}"
        )
    if not temperature > 0:
        raise InvalidSettingError(f"temperature={temperature!r}: must be above 0")
    p = functional.log_softmax(teacher.detach() / temperature, dim=1)
    q = functional.log_softmax(student / temperature, dim=1)
    return functional.kl_div(q, p, reduction="batchmean", log_target=True)
