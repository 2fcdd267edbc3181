"""The network: an encoder and one or several heads, for one seed or several at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from drugtail.features.batch import Batch, InputShape
from drugtail.models.classifiers import Head
from drugtail.models.encoder import join_seeds, make_encoder
from drugtail.models.experts import combine_by_evidence
from drugtail.models.stacked import Dropout, stack

if TYPE_CHECKING:
    from drugtail.config.components.network import Experts, LastLayer
    from drugtail.config.encoder import EncoderSettings


@dataclass(frozen=True)
class Output:
    """Output of a network for a batch.

    Attributes
    ----------
    embedding : Tensor
        [S, B, D], not normalised.
    features : Tensor
        What the last layer of the first head got, [S, B, H].
    experts : Tensor
        Logits of every head, [S, E, B, C].
    logits : Tensor
        [S, B, C].
    uncertainty : Tensor or None
        Of each molecule, in (0, 1], [S, B]; only where experts are combined by evidence.
    """

    embedding: Tensor
    features: Tensor
    experts: Tensor
    logits: Tensor
    uncertainty: Tensor | None = None

    def first(self, molecules: int) -> Output:
        """Return what is said of the first molecules of each seed, without their uncertainty."""
        part = slice(molecules)
        return Output(
            self.embedding[:, part], self.features[:, part], self.experts[:, :, part],
            self.logits[:, part],
        )  # fmt: skip


class Network(nn.Module):
    """Encoder and heads.

    Parameters
    ----------
    encoder
        Settings of both.
    shape
        What the encoder gets.
    classes
        Number of classes.
    seeds
        Seeds of the initial weights, one for each of the S networks; the global random state is
        left as it was.
    last_layer
        Last layer of every head; None is a linear one.
    experts
        How many heads, and how they are combined; None is one head.
    """

    # Added to the logits at prediction, [S, C].
    shift: Tensor

    def __init__(
        self,
        encoder: EncoderSettings,
        shape: InputShape,
        classes: int,
        seeds: Sequence[int],
        last_layer: LastLayer | None = None,
        experts: Experts | None = None,
    ) -> None:
        super().__init__()
        made = []
        for seed in seeds:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                module = make_encoder(encoder, shape)
                heads = nn.ModuleList(
                    Head(
                        cast(int, module.width), encoder.head, classes, last_layer, encoder.dropout
                    )
                    for _ in range(1 if experts is None else experts.number)
                )
                made.append((module, heads))
        self.encoder = join_seeds(encoder, [module for module, _ in made])
        self.heads = stack([heads for _, heads in made])
        self.by_evidence = experts is not None and experts.combine == "evidence"
        # Learned by a second stage, if at all.
        self.scale = nn.Parameter(torch.ones(len(made), classes), requires_grad=False)
        self.offset = nn.Parameter(torch.zeros(len(made), classes), requires_grad=False)
        self.register_buffer("shift", torch.zeros(len(made), classes))

    @property
    def width(self) -> int:
        """Width D of the embeddings."""
        return cast(int, self.encoder.width)

    @property
    def head(self) -> Head:
        """The only head, or the first one."""
        return cast(Head, self.heads[0])

    def forward(self, batch: Batch, keys: Tensor | None = None) -> Output:
        """Embeddings and logits of a batch.

        Parameters
        ----------
        batch
            The molecules of S seeds.
        keys
            Source of randomness of each seed, int64 [S], for an encoder that draws in training.
        """
        return self.classify(self.encoder(batch, keys))

    def draw_from(self, keys: Tensor) -> None:
        """Let dropout of the next step draw from a source of randomness per seed, int64 [S]."""
        places = (module for module in self.modules() if isinstance(module, Dropout))
        for number, place in enumerate(places):
            place.keys = keys + number

    def classify(self, embedding: Tensor) -> Output:
        """Logits of embeddings, [S, B, D]; in evaluation mode as for prediction."""
        each = [head(embedding) for head in self.heads]
        experts = torch.stack([logits for _, logits in each], dim=1)
        uncertainty = None
        if self.by_evidence:
            logits, uncertainty = combine_by_evidence(experts)
        else:
            logits = experts.mean(dim=1)
        return Output(embedding, each[0][0], experts, self._adjusted(logits), uncertainty)

    def classify_features(self, features: Tensor) -> Output:
        """Logits of what the last layer of the only head gets, [S, B, H]."""
        logits = self._adjusted(self.head.last(features))
        return Output(features, features, logits[:, None], logits)

    def classify_branches(self, first: Tensor, second: Tensor, share: Tensor) -> Output:
        """Logits of two heads, each with embeddings of its own, [S, B, D].

        Parameters
        ----------
        first, second
            Embeddings for the first and the second head.
        share
            How much of the logits is the first head's, a scalar; at prediction it is a half.
        """
        features, own = self.heads[0](first)
        _, other = self.heads[1](second)
        logits = share * own + (1 - share) * other
        return Output(first, features, torch.stack([own, other], dim=1), self._adjusted(logits))

    def _adjusted(self, logits: Tensor) -> Tensor:
        logits = torch.addcmul(self.offset[:, None], logits, self.scale[:, None])
        return logits if self.training else logits + self.shift[:, None]
