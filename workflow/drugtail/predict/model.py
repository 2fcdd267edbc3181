"""A kept model of a block, ready to be asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from drugtail.config.base import Settings, settings_in, tag_of, validated
from drugtail.config.catalogue import validated_encoder
from drugtail.config.components.ensemble import Ensemble
from drugtail.config.components.network import Experts, LastLayer
from drugtail.config.dataset import Molecules
from drugtail.config.encoder import EncoderSettings, Form
from drugtail.config.prior import Shares
from drugtail.features.arrays import Arrays
from drugtail.features.choice import Computes, GivesArrays, make_featurizer
from drugtail.features.file_vectors import PREFIX, FileVectors, load_vectors
from drugtail.features.stores import STORES, as_table
from drugtail.methods.classical import CLASSIFIERS, unlimited_log_probabilities
from drugtail.methods.ensemble import averaged
from drugtail.methods.kept import Kept, restored
from drugtail.methods.prior import corrected
from drugtail.models.inference import predict as predict_logits
from drugtail.models.network import Network
from drugtail.models.saved import load_model
from drugtail.models.stacked import load_state_of
from drugtail.plugins import encoder_kinds, recipe_model
from drugtail.runtime.digest import file_digest
from drugtail.runtime.errors import DrugtailError

# Molecules that a thread takes at a time.
CHUNK = 1000


class _Head(Settings):
    """Settings of the heads of a kept network."""

    last_layer: LastLayer
    experts: Experts | None


class Given(NamedTuple):
    """Plugins and files of vectors that a model is read with.

    Attributes
    ----------
    plugins : sequence of Path
        Files of the user's.
    vectors : mapping
        NAME -> file.
    rules : Molecules
        How molecules are read.
    """

    plugins: Sequence[Path]
    vectors: Mapping[str, Path]
    rules: Molecules

    def files(self, wanted: Mapping[str, Any], model: Path) -> dict[str, FileVectors]:
        """Read the files of vectors that a model needs: name -> their width and columns."""
        for name, of_training in wanted.items():
            short = name.removeprefix(PREFIX)
            if short not in self.vectors:
                given = ", ".join(self.vectors)
                raise DrugtailError(
                    f"{model}: reads vectors called {short!r}, {of_training['width']:,} numbers "
                    f"per molecule; name a file of those of your molecules: --vectors {short}=FILE"
                    + (f" (given: {given})" if given else "")
                )
        found = load_vectors([*wanted], self.vectors, self.rules)
        for name, file in found.items():
            width, columns = wanted[name]["width"], wanted[name]["columns"]
            if file.width != width:
                raise DrugtailError(
                    f"{file.path}: has {file.width:,} numbers per molecule, but {model} was "
                    f"trained on {width:,}; name vectors made in the same way"
                )
            if columns and file.columns and columns != file.columns:
                one, other = next(
                    pair for pair in zip(file.columns, columns, strict=True) if len({*pair}) > 1
                )
                raise DrugtailError(
                    f"{file.path}: has column {one!r} where {model} was trained on {other!r}; put "
                    "the columns in the order of training"
                )
        return found


class Said(NamedTuple):
    """Answers of a model about some molecules.

    Attributes
    ----------
    logits : numpy.ndarray
        Of each seed, float32 [S, n, C].
    uncertainty : numpy.ndarray or None
        Mean over seeds, [n], of methods that say it.
    """

    logits: NDArray[np.float32]
    uncertainty: NDArray[np.float32] | None


class Model:
    """A model that was read from ``model.pt`` of a block.

    Attributes
    ----------
    class_names : list of str
        Length C.
    reads : str
        ``smiles`` or ``reaction``.
    second : dict or None
        What the second input is.
    molecules : Molecules
        How molecules are read.
    features, featurizer
        Name of what it reads of molecules, and what gives that.
    plugins : set of str
        SHA-256 of the files of plugins that it needs.
    vectors : set of str
        NAMEs of the files of vectors that it reads.
    train_smiles, train_labels
        Training molecules and their classes.
    threshold : float or None
        With two classes, the probability of `rare`, mean over all seeds, from which on a molecule
        is said to be of it.
    kept_threshold : float or None
        The same, also where one seed is asked, for which it does not hold.
    rare : int
        The class with fewest training molecules.
    """

    def __init__(
        self,
        path: Path,
        seed: int | None = None,
        plugins: Sequence[Path] = (),
        vectors: Mapping[str, Path] | None = None,
    ) -> None:
        """Read a model.

        Parameters
        ----------
        path
            ``model.pt``.
        seed
            The only seed that is asked; None takes all.
        plugins
            Files with an encoder, featurizer or estimator that is not the package's.
        vectors
            NAME -> file with vectors of the molecules that are asked about, for models that read
            ``vectors:NAME``.

        Raises
        ------
        DrugtailError
            If there is no such model or seed, a plugin is lacking or is another file than the model
            was trained with, or nothing was kept.
        """
        saved = load_model(path)
        self.path, self._saved = path, saved
        self.class_names: list[str] = saved["class_names"]
        self.reads, self.second = saved["reads"], saved["second"]
        self.molecules = validated(Molecules, saved["molecules"], path)
        self.train_smiles: list[str] = saved["train"]["smiles"]
        self.train_labels = saved["train"]["label"].numpy()
        # It was chosen for the mean of all seeds.
        self.kept_threshold: float | None = saved["threshold"]
        self.threshold = self.kept_threshold if seed is None else None
        counts = np.bincount(self.train_labels, minlength=len(self.class_names))
        self.rare = int(counts.argmin())
        if saved["unkept"]:
            raise DrugtailError(f"{path}: {saved['method']} keeps no model: {saved['unkept']}")
        weights = saved["weights"]
        if seed is not None:
            if str(seed) not in weights:
                raise DrugtailError(f"{path}: has no seed {seed}; there are {', '.join(weights)}")
            weights = {str(seed): weights[str(seed)]}
        if not weights:
            raise DrugtailError(f"{path}: every run of this block diverged; there is no network")
        self.seeds = list(weights)
        self._shares = saved["shares"]
        _check_plugins(saved["plugins"], path, plugins)
        self.plugins = {*saved["plugins"].values()}
        learners = saved.get("members", [saved])
        read = {name for one in learners for name in one.get("vectors", {})}
        self.vectors = {name.removeprefix(PREFIX) for name in read}
        learner = _Ensemble if "ensemble" in saved else _Learner
        asked = learner(saved, self.seeds, path, Given(plugins, vectors or {}, self.molecules))
        self.features, self.featurizer = asked.features, asked.featurizer
        self._ask: Callable[[Arrays, int], Said] = asked

    def ask(self, arrays: Arrays, threads: int = 1) -> Said:
        """Return what the model says of molecules.

        Parameters
        ----------
        arrays
            What `featurizer` gave of them.
        threads
            For estimators; networks take what PyTorch was given.
        """
        return self._ask(arrays, threads)

    def correct(self, logits: NDArray[np.float32], tau: float) -> NDArray[np.float64]:
        """Take τ log π̃ off log-probabilities [S, n, C] (`drugtail.methods.prior`).

        Raises
        ------
        DrugtailError
            If the class shares π̃ that the method has learned are not defined.
        """
        shares = [self._shares[seed] for seed in self.seeds]
        if None in shares:
            raise DrugtailError(
                f"{self.path}: no correction of the prior is defined for {self._saved['method']}, "
                "whose outputs are no probabilities under known class shares; leave --prior out"
            )
        pairs = zip(logits, shares, strict=True)
        return np.stack([corrected(one, share, tau) for one, share in pairs])


class _Learner:
    """Model of one block for some of its seeds; calling it returns their answers."""

    def __init__(
        self, saved: dict[str, Any], seeds: Sequence[str], path: Path, given: Given
    ) -> None:
        encoder = validated_encoder(saved["encoder"], path, encoder_kinds(given.plugins))
        self.features: str = encoder.featurizer
        files = given.files(saved.get("vectors", {}), path)
        self.featurizer = make_featurizer(self.features, saved["second"], saved["reads"], files)
        self.shares: list[Shares] = [saved["shares"][seed] for seed in seeds]
        states = [saved["weights"][seed] for seed in seeds]
        form, classes = self.featurizer.form, len(saved["class_names"])
        if "classifier" in saved:
            settings = _classifier_settings(saved["classifier"], path, given.plugins)
            self._ask: Callable[[Arrays, int], Said] = _Estimators(
                settings, states, form, classes, path
            )
        else:
            assert isinstance(encoder, EncoderSettings)
            head = validated(_Head, {key: saved[key] for key in _Head.model_fields}, path)
            self._ask = _Networks(encoder, head, states, form, classes)

    def __call__(self, arrays: Arrays, threads: int) -> Said:
        return self._ask(arrays, threads)


class _Ensemble:
    """Members' models in one; each reads features of its own."""

    def __init__(
        self, saved: dict[str, Any], seeds: Sequence[str], path: Path, given: Given
    ) -> None:
        self.settings = validated(Ensemble, saved["ensemble"], path)
        self.counts = np.bincount(
            saved["train"]["label"].numpy(), minlength=len(saved["class_names"])
        ).tolist()
        self.members = [
            _Learner(one, list(one["weights"]) if self.settings.over_seeds else seeds, path, given)
            for one in saved["members"]
        ]
        self._parts = {one.features: one.featurizer for one in self.members}
        self.features = "+".join(self._parts)
        alone = len(self._parts) == 1
        self.featurizer: GivesArrays = (
            self.members[0].featurizer if alone else _SeveralFeatures(self._parts)
        )

    def __call__(self, arrays: Arrays, threads: int) -> Said:
        said = [member(self._read_by(member, arrays), threads).logits for member in self.members]
        if self.settings.over_seeds:
            # All seeds of all members are one answer.
            every = [logits for member in said for logits in member]
            shares = [one for member in self.members for one in member.shares]
            runs = [(every, shares)]
        else:
            runs = [
                ([logits[i] for logits in said], [member.shares[i] for member in self.members])
                for i in range(len(said[0]))
            ]
        tau = self.settings.tau
        found = [averaged(logits, shares, self.counts, tau) for logits, shares in runs]
        return Said(np.stack(found), None)

    def _read_by(self, member: _Learner, arrays: Arrays) -> Arrays:
        if len(self._parts) == 1:
            return arrays
        start = f"{member.features}/"
        return {
            key.removeprefix(start): one for key, one in arrays.items() if key.startswith(start)
        }


class _SeveralFeatures:
    """Featurizers whose arrays stand side by side, each under the name of its features."""

    def __init__(self, parts: dict[str, Computes]) -> None:
        self.parts = parts

    def arrays(self, texts: Any) -> Arrays:
        """Return the arrays of all."""
        return {
            f"{name}/{key}": array
            for name, part in self.parts.items()
            for key, array in part.arrays(texts).items()
        }


class _Estimators:
    """Estimators of S seeds, one after the other."""

    def __init__(
        self, settings: Any, kept: list[Kept], form: Form, classes: int, path: Path
    ) -> None:
        make = partial(CLASSIFIERS[settings.name], settings, 0, 1)
        self.estimators = [restored(one, make, classes, path) for one in kept]
        self.form, self.classes = form, classes

    def __call__(self, arrays: Arrays, threads: int) -> Said:
        number = len(next(iter(arrays.values())))
        pieces = [np.arange(start, min(start + CHUNK, number)) for start in range(0, number, CHUNK)]

        def of_piece(rows: NDArray[np.int64]) -> list[NDArray[np.float32]]:
            x = as_table(self.form, arrays, rows)
            return [unlimited_log_probabilities(one, x, self.classes) for one in self.estimators]

        from threadpoolctl import threadpool_limits

        # Each piece on one thread, since a forest's sums depend on their number.
        with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(of_piece, pieces))
        return Said(np.stack([np.concatenate(seed) for seed in zip(*found, strict=True)]), None)


class _Networks:
    """Networks of S seeds, one after the other."""

    def __init__(
        self,
        encoder: EncoderSettings,
        head: _Head,
        states: list[dict[str, Tensor]],
        form: Form,
        classes: int,
    ) -> None:
        self.encoder, self.head, self.states = encoder, head, states
        self.form, self.classes = form, classes

    def __call__(self, arrays: Arrays, threads: int) -> Said:
        store = STORES[self.form](arrays, torch.device("cpu"))
        network = Network(
            self.encoder, store.shape, self.classes, [0], self.head.last_layer, self.head.experts
        )
        everything = torch.arange(len(store))[None]
        logits, unsure = [], []
        for state in self.states:
            load_state_of(network, 0, state)
            found = predict_logits(network, store, everything)
            logits.append(found.logits[0].numpy())
            if found.uncertainty is not None:
                unsure.append(found.uncertainty[0].numpy())
        return Said(np.stack(logits), np.mean(unsure, axis=0) if unsure else None)


def _classifier_settings(saved: dict[str, Any], path: Path, plugins: Sequence[Path]) -> Any:
    known = settings_in(recipe_model(plugins).model_fields["classifier"].annotation)
    named = {tag_of(one): one for one in known}
    return validated(named[saved["name"]], saved, path)


def _check_plugins(wanted: dict[str, str], model: Path, plugins: Sequence[Path]) -> None:
    """Refuse to rebuild a network with other files than it was trained with."""
    given = {file_digest(path): path for path in plugins}
    for name, digest in wanted.items():
        if digest in given:
            continue
        kept = model.parent / "plugins" / Path(name).name
        copy = f", or its copy: --plugin {kept}" if kept.is_file() else ""
        changed = [sha for sha, path in given.items() if path.name == Path(name).name]
        if changed:
            raise DrugtailError(
                f"{model}: {name} has changed since it was trained (SHA-256 {changed[0][:16]}…, "
                f"was {digest[:16]}…); name the file as it was{copy}"
            )
        raise DrugtailError(
            f"{model}: needs an encoder, featurizer or estimator of {name}; name the file that it "
            f"was trained with: --plugin {name}{copy}"
        )
