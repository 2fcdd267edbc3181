"""Choice of the epoch that is kept, and early stopping."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drugtail.config.training import Training


@dataclass
class Selection:
    """The choice of an epoch of one seed by its validation scores.

    The best of many noisy scores is above what the chosen weights are worth: with three validation
    molecules in a class, the best of 300 is some two points too high. A mean over the last epochs
    is less so.

    Attributes
    ----------
    scores : list of float
        Validation balanced accuracy of the epochs that can be chosen, in order.
    best_score : float
        What was compared of the chosen one: its score, or the mean up to it.
    best_epoch : int or None
        The chosen epoch, counted from 0.
    """

    scores: list[float] = field(default_factory=list)
    best_score: float = -1.0
    best_epoch: int | None = None

    def forget(self) -> None:
        """Let later epochs be chosen only."""
        self.scores, self.best_score, self.best_epoch = [], -1.0, None

    def note(self, score: float, epoch: int, training: Training) -> bool:
        """Take in the score of an epoch; return whether it is the chosen one for now."""
        self.scores.append(score)
        compared = self._compared(epoch, training)
        if compared is None or compared <= self.best_score:
            return False
        self.best_score, self.best_epoch = compared, epoch
        return True

    def _compared(self, epoch: int, training: Training) -> float | None:
        if training.selection == "last":
            # Every epoch is above those before it.
            return float(epoch)
        if training.selection == "best":
            return self.scores[-1]
        # As many as there will be, where the choice begins late.
        left = training.epochs - 1 - epoch + len(self.scores)
        window = min(training.selection_window, max(1, training.epochs // 4), left)
        if len(self.scores) < window:
            return None
        return sum(self.scores[-window:]) / window

    def is_over(self, epoch: int, training: Training) -> bool:
        """Return whether so many epochs brought no better one that the seed stops."""
        if training.patience is None or self.best_epoch is None:
            return False
        return epoch - self.best_epoch >= training.patience
