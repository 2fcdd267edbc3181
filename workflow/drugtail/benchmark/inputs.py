"""Features that the encoders of a benchmark read, and the user's files that these come from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from drugtail.benchmark.additions import Additions, folder_of
from drugtail.config.encoder import Encoder
from drugtail.features.choice import Features, class_of, features_of, is_librarys, parts_of
from drugtail.features.file_vectors import PREFIX, is_file_vectors, no_file
from drugtail.plugins import FEATURIZERS
from drugtail.runtime.errors import DrugtailError


class Inputs:
    """Featurizers of a benchmark's encoders, checked, and the files that they depend on.

    Parameters
    ----------
    encoders
        Encoders of the benchmark, by name.
    vectors
        Files of vectors, by the NAME of ``vectors:NAME``.
    additions
        What the benchmark's plugins add.
    where
        Place of the encoders, for messages.

    Attributes
    ----------
    features : dict
        Encoder -> form of its features, and what they are made of.

    Raises
    ------
    DrugtailError
        If a featurizer is unknown, does not go with another that it is joined with, or lacks its
        file.
    """

    def __init__(
        self,
        encoders: Mapping[str, Encoder],
        vectors: Mapping[str, Path],
        additions: Additions,
        where: str,
    ) -> None:
        self.encoders, self.vectors, self.additions = encoders, vectors, additions
        self.features: dict[str, Features] = {}
        for name, encoder in encoders.items():
            place = f"{where}: encoder {name}: featurizer"
            parts = [
                class_of(part)
                if is_librarys(part) or is_file_vectors(part)
                else additions.find(FEATURIZERS, part, place)
                for part in parts_of(encoder.featurizer)
            ]
            self.features[name] = features_of(encoder.featurizer, parts)
            # Refuses featurizers of several files.
            self.plugin(name)
            for part in filter(is_file_vectors, parts_of(encoder.featurizer)):
                if part.removeprefix(PREFIX) not in vectors:
                    raise DrugtailError(f"{place}: {no_file(part)}")

    def plugin(self, encoder: str) -> Path | None:
        """Return the file that an encoder's featurizer is from; None if from the package."""
        return self.additions.one_path(FEATURIZERS, parts_of(self.encoders[encoder].featurizer))

    def folder(self, encoder: str) -> str:
        """Return the folder of what an encoder reads, below results/features/{dataset}/."""
        featurizer = self.encoders[encoder].featurizer
        files = [self.plugin(encoder), *self.vectors_of(featurizer).values()]
        return folder_of([path for path in files if path is not None]) + featurizer

    def vectors_of(self, featurizer: str) -> dict[str, Path]:
        """Return the files of vectors that a featurizer reads, by their NAMEs."""
        named = [part for part in parts_of(featurizer) if is_file_vectors(part)]
        return {name: self.vectors[name] for name in (part.removeprefix(PREFIX) for part in named)}

    def unread(self) -> list[str]:
        """Return NAMEs of the files of vectors that no encoder reads."""
        read = {n for one in self.encoders.values() for n in self.vectors_of(one.featurizer)}
        return [name for name in self.vectors if name not in read]
