"""The trained model of a checkpoint, as a predictor."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from gpcp.core.errors import InputError
from gpcp.core.files import existing_file
from gpcp.core.genes import GeneVocab
from gpcp.core.perturbations import KINDS, PerturbationVocab
from gpcp.model.config import ModelConfig
from gpcp.model.predictor import ModelPredictor
from gpcp.model.transformer import GenePerturbationTransformer

GENES = "set of genes"
"""What a checkpoint calls the ids of its pairs, in the order of tokens; those of before it existed have none."""

PERTURBATIONS = "perturbations"
"""What a checkpoint calls target and kind of each perturbation that the model reads by name."""


def names_of(perturbations: PerturbationVocab | None) -> dict[str, list[list[str]]]:
    """What a checkpoint keeps of the perturbations of its pairs; nothing where they have no names."""
    if perturbations is None:
        return {}
    return {PERTURBATIONS: [list(one) for one in zip(perturbations.target, perturbations.kind, strict=True)]}


def trained_predictor(path: str | Path, *, vocab: GeneVocab | None = None) -> ModelPredictor:
    """The model that :func:`gpcp.training.fit.fit` has trained so far, with the weights that it would end with.

    Parameters
    ----------
    path : str or Path
        Of the checkpoint.
    vocab : GeneVocab, optional
        The genes of its pairs, for a checkpoint that does not hold them.

    Raises
    ------
    InputError
        It is no checkpoint, does not say which genes it has, or ``vocab`` has more or fewer.
    """
    file = existing_file(path, what="checkpoint")
    try:
        state: Any = torch.load(file, map_location="cpu", weights_only=True)
        made_with: Mapping[str, Any] = state["made_with"]
        # Early stopping ends with the best weights, not with the last.
        weights: Mapping[str, Any] = state.get("best_weights") or state["model"]
        config = ModelConfig(**made_with["model configuration"])
        n_values = sum(weight.numel() for weight in weights.values())
        # Numbers beyond those of the weights would take for ever to build.
        if any(isinstance(number, int) and number > n_values for number in config.to_json().values()):
            raise ValueError("a size is larger than all weights together")
        # Of the precision that it was trained in.
        model = GenePerturbationTransformer(config).to(weights["query_identity.weight"].dtype)
        model.load_state_dict(dict(weights))
        genes = made_with.get(GENES)
        own = None if genes is None else GeneVocab(feature_id=tuple(genes))
        perturbations = _perturbations(config, made_with.get(PERTURBATIONS))
    except Exception as error:
        # A reader of damaged files may stumble over anything; it is the file that cannot be used all the same.
        raise InputError(f"{str(path)!r} is no checkpoint of gpcp ({type(error).__name__})") from error
    genes = _genes(str(path), own, vocab, config.n_genes)
    return ModelPredictor(model.eval(), genes, perturbations=perturbations)


def _perturbations(config: ModelConfig, names: Sequence[Sequence[str]] | None) -> PerturbationVocab | None:
    """The perturbations of a checkpoint's model, whose genes and kinds its configuration holds."""
    if not config.perturbations:
        return None
    if names is None or len(names) != len(config.perturbations):
        raise ValueError("perturbations without names")
    return PerturbationVocab(
        target=tuple(target for target, _ in names),
        kind=tuple(KINDS[kind] for _, kind in config.perturbations),
        gene=tuple(gene for gene, _ in config.perturbations),
    )


def _genes(path: str, own: GeneVocab | None, vocab: GeneVocab | None, n_genes: int) -> GeneVocab:
    """The genes of a checkpoint's tokens."""
    known = vocab if own is None else own
    if known is None:
        raise InputError(f"the checkpoint {path!r} does not say which genes its {n_genes} tokens are: give vocab")
    if len(known) != n_genes:
        raise InputError(f"the checkpoint {path!r} is of a model of {n_genes} genes, and not of these {len(known)}")
    return known
