"""Jobs of a benchmark: blocks that are trained, and tunings before them."""

from __future__ import annotations

from dataclasses import dataclass

from drugtail.runtime.names import TUNED, block_folder


@dataclass(frozen=True)
class PlannedBlock:
    """One job of training.

    Attributes
    ----------
    dataset, split, encoder, method, seeds
        Names, and the seeds as first-last.
    epochs
        Epochs of each seed; 1 for classical methods, 0 for ensembles.
    settings
        ``default`` or ``tuned``.
    digest
        Short digest of everything that is known of its result beforehand, see `Plan.wanted`.
    members
        Folders below results/runs/ of the blocks that an ensemble averages.
    """

    dataset: str
    split: str
    encoder: str
    method: str
    seeds: str
    epochs: int
    settings: str
    digest: str
    members: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Its folder below results/runs/."""
        return f"{self.setting_path}/seeds{self.seeds}"

    @property
    def setting_path(self) -> str:
        """Folder below results/runs/ of all blocks that differ in seeds only, and of its tuning."""
        folder = block_folder(self.method, self.digest)
        return "/".join([self.dataset, self.split, self.encoder, folder])

    @property
    def title(self) -> str:
        """Its name for people, without the digest."""
        names = [self.dataset, self.split, self.encoder, self.method]
        tuned = " (tuned)" if self.settings == TUNED else ""
        return f"{'/'.join(names)}{tuned}, seeds {self.seeds}"


@dataclass(frozen=True)
class PlannedTuning:
    """One job of tuning; `path` is its folder below results/tuning/."""

    dataset: str
    split: str
    encoder: str
    method: str
    seeds: str
    epochs: int
    trials: int
    path: str
