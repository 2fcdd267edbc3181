"""Learning from what another network says."""

from __future__ import annotations

from torch import Tensor


def distillation(logits: Tensor, teacher: Tensor, *, temperature: float, power: float) -> Tensor:
    """T² KL(q ‖ softmax(s/T)) of each molecule, q ∝ softmax(teacher/T)^power.

    Hinton et al. (arXiv:1503.02531); a power below 1 flattens the teacher's outputs, so that more
    of what rare classes share with frequent ones reaches the student (DiVE; He, Wu, Wei, ICCV 2021,
    equation 8).

    Parameters
    ----------
    logits, teacher
        Of the student and the teacher, [B, C]; no gradient flows to the teacher.
    temperature
        T > 0.
    power
        In (0, 1]; 1 leaves the outputs as they are.

    Returns
    -------
    Tensor
        [B].
    """
    teacher = teacher.detach().to(logits.dtype)
    wanted = (teacher * (power / temperature)).log_softmax(dim=1)
    student = (logits / temperature).log_softmax(dim=1)
    return temperature**2 * (wanted.exp() * (wanted - student)).sum(dim=1)
