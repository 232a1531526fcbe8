"""Which rows of a table of features are genes: guides, antibodies, peaks and spike-ins are none.

They are no genes of the vocabulary, and no part of a cell's total: guides differ with the perturbation, so that totals
with them would make depth depend on it.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

TYPE_COLUMNS = ("feature_types", "feature_type", "feature_biotype", "modality")
"""Columns of ``var`` that say what a feature is: 10x Genomics', muon's, and that of CELLxGENE's schema."""

_GENES = {"gene expression", "gene", "genes", "gex", "rna", "expression"}
"""What such a column calls a gene, in lower case. A column that has none of these words (``feature_type`` may hold
biotypes, as ``protein_coding``) says nothing of the kind."""

_SPIKE_IN = re.compile(r"^(ERCC-\d{5}|SIRV\d+|Sequin[-_].*)$", re.IGNORECASE)
_SPIKE_INS = {"spike-in", "spike_in", "spikein", "ercc"}


def genes_among(var: "pd.DataFrame", label_G: Sequence[str]) -> tuple[NDArray[np.bool_], list[str]]:
    """True where a feature is a gene, and what the others are.

    Parameters
    ----------
    var : DataFrame
    label_G : sequence of str
        Names of the features: those of ERCC, SIRV and sequins are spike-ins without any column.
    """
    kind_G = ["spike-in" if _SPIKE_IN.match(label) else "" for label in label_G]
    for column in TYPE_COLUMNS:
        if column not in var.columns:
            continue
        words = [str(value).strip() for value in var[column].astype(object).tolist()]
        lowered = {word.lower() for word in words}
        some_genes = bool(lowered & _GENES)
        for place, word in enumerate(words):
            other = word.lower() not in _GENES if some_genes else word.lower() in _SPIKE_INS
            if other and word.lower() not in ("", "nan", "none"):
                kind_G[place] = kind_G[place] or word
    n_of = Counter(kind for kind in kind_G if kind)
    lines = [f"{n} features that are no genes ({kind}) are left out, of totals too" for kind, n in sorted(n_of.items())]
    return np.array([not kind for kind in kind_G], dtype=np.bool_), lines
