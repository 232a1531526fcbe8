"""The output rank of a head: the dimension of the affine span of its predictions, measured.

Measured in double precision at generic weights and generic queries, so that a rank that is possible is seen: the
predictions' singular values about their mean. A skip connection is no part of a head; it adds to each gene's
prediction a multiple of the gene's own value before, whatever the perturbation.
"""

import numpy as np
import torch

from gpcp.core.random import stream
from gpcp.model.heads.registry import HEADS
from gpcp.model.torch_seed import torch_seed

_RELATIVE = 1e-9
"""Singular values below this share of the largest are rounding: double precision leaves 1e-16 times the sizes."""


def generic_head(name: str, n_genes: int, width: int, *, seed: int = 0) -> torch.nn.Module:
    """A head in double precision and evaluation mode whose every parameter is drawn from N(0, 1 / width).

    Raises
    ------
    InputError
        There is no such head.
    """
    _, factory = HEADS[name]
    with torch_seed(seed):
        head = factory(n_genes, width).double().eval()
    rng = stream(seed, "generic head", name)
    with torch.no_grad():
        for parameter in head.parameters():
            drawn = rng.standard_normal(tuple(parameter.shape)) * width**-0.5
            parameter.copy_(torch.as_tensor(drawn))
    return head


def output_rank(name: str, n_genes: int, width: int, *, seed: int = 0) -> int:
    """Dimension of the affine span of a head's predictions, (B, G), over generic queries, one for every gene.

    Parameters
    ----------
    name : str
        In :data:`gpcp.model.heads.registry.HEADS`.
    n_genes, width : int
    seed : int
        Of weights and queries; the rank is the same for almost all of them.

    Raises
    ------
    InputError
        There is no such head.
    """
    n_answers = 4 * max(n_genes, width) + 16
    head = generic_head(name, n_genes, width, seed=seed)
    rng = stream(seed, "generic queries", name)
    query_BQD = torch.as_tensor(rng.standard_normal((n_answers, n_genes, width)))
    attend_BQ = torch.ones((n_answers, n_genes), dtype=torch.bool)
    with torch.no_grad():
        answer_BG = head(query_BQD, attend_BQ, torch.arange(n_genes)[None]).numpy()
    size_G = np.linalg.svd(answer_BG - answer_BG.mean(axis=0), compute_uv=False)
    return int((size_G > _RELATIVE * size_G[0]).sum()) if size_G[0] > 0 else 0
