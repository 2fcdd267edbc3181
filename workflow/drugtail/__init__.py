"""Drugtail: a reproducible benchmark of long-tailed drug classification.

`drugtail.recommend` compares methods on a table (`drugtail.recommendation.recommend.recommend`);
`drugtail.load_model` reads a kept model (`drugtail.predict.classifier.load_model`).
"""

import importlib
from typing import Any

__version__ = "0.2.0"

# Name -> module that has it; imported when it is asked for, since that takes seconds.
PUBLIC = {
    "load_model": "drugtail.predict.classifier",
    "recommend": "drugtail.recommendation.recommend",
}


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'drugtail' has no attribute {name!r}")
    return getattr(importlib.import_module(PUBLIC[name]), name)
