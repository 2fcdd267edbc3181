"""The figures of a benchmark."""

from __future__ import annotations

# What the page says below each, by the name that `drugtail plot` takes.
PLOTS = {
    "class_sizes": "Training molecules per class.",
    "recall_by_class_size": "Test recall of each class against its training size, mean over "
    "seeds: as lines with standard deviations, each method shifted sideways a little, or, of "
    "many methods, as a map with training molecules in brackets.",
    "class_history": "What each re-clustering measured: distance of each class's centroid to "
    "the nearest other one, sub-clusters, class weight, separability (mean silhouette of "
    "validation molecules) and recall on validation molecules; mean over seeds.",
    "embedding_map": "Embeddings of training molecules at a few epochs of one run, in two "
    "principal components of their own each; at most 150 molecules of a class, tail classes "
    "named.",
    "identifiability": "Test recall of each class against its size and against its "
    "separability in the embedding that made the predictions; mean over seeds, with rank "
    "correlation over classes and its 95 % interval.",
}
