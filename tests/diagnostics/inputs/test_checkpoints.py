"""Files of weights with fields missing or odd: a model, or one line."""

from pathlib import Path
from typing import Any

import pytest
import torch

from diagnostics.inputs.models import fit_config_of, load_weights, model_of_checkpoint, read_checkpoint
from gpcp.core.errors import InputError
from gpcp.model.config import ModelConfig
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.config import FitConfig
from tests.alterations import ODD, alterations

CONFIG = ModelConfig(n_genes=3, width=8, n_heads=2, n_decoder_blocks=1)
MADE_WITH = {"model configuration": CONFIG.to_json(), "fit configuration": FitConfig(batch_size=4).to_json()}


def taken(state: Any, path: Path) -> str:
    """What reading a model from such a file is refused with, in one line; nothing where it is not."""
    torch.save(state, path)
    why = ""
    try:
        held = read_checkpoint(path)
        model = model_of_checkpoint(held, path)
        fit_config_of(held)
        load_weights(model, held, path)
    except InputError as error:
        why = str(error)
    assert "\n" not in why
    return why


@pytest.mark.slow
def test_every_alteration_of_the_configurations_and_the_weights(tmp_path: Path):
    weights = GenePerturbationTransformer(CONFIG).state_dict()
    path = tmp_path / "weights.pt"
    assert not taken({"made_with": MADE_WITH, "model": weights}, path)
    n_refused = 0
    for _, made_with in alterations({"model configuration": MADE_WITH["model configuration"]}):
        n_refused += bool(taken({"made_with": made_with, "model": weights}, path))
    assert n_refused > 150
    for fit in ODD:
        assert not taken({"made_with": {**MADE_WITH, "fit configuration": fit}, "model": weights}, path)
    name = next(iter(weights))
    for odd in (*ODD, torch.zeros(1), torch.zeros(0, 3)):
        assert taken({"made_with": MADE_WITH, "model": {**weights, name: odd}}, path)
    assert taken({"made_with": MADE_WITH, "model": {**weights, 3: weights[name]}}, path)
    assert "not of this model" in taken(
        {"made_with": MADE_WITH, "model": {n: weights[n] for n in weights if n != name}}, path
    )


@pytest.mark.parametrize("content", [b"", b"odd", b"PK\x03\x04", b"\x80\x02}q\x00.", b"\x80\x04\x95"])
def test_another_file_is_no_file_of_weights(content: bytes, tmp_path: Path):
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"no file of weights|holds no weights"):
        read_checkpoint(path)
