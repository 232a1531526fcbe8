"""Checkpoints with one field missing, odd or of another version: refused in one line, before any of it is taken."""

import copy
import io
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from gpcp.core.errors import InputError
from gpcp.model.config import ModelConfig
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.checkpoint import FIELDS, check_checkpoint
from gpcp.training.fit import FitConfig, fit
from simulators.sources import SimulatedPairs
from simulators.worlds import world
from tests.alterations import alterations

CONFIG = FitConfig(n_steps=2, batch_size=8, warmup_steps=1, evaluate_every=1, accelerator="cpu")
MODEL = ModelConfig(n_genes=4, width=8, n_heads=2, n_decoder_blocks=1)
PAIRS = SimulatedPairs(scm=world("chain/4").scm, regime="matched", n_pairs=32)


def model() -> GenePerturbationTransformer:
    return GenePerturbationTransformer(MODEL)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A checkpoint of two steps."""
    path = tmp_path_factory.mktemp("checkpoint") / "checkpoint.pt"
    fit(model(), PAIRS, CONFIG, checkpoint=path)
    return path.read_bytes()


def read(content: bytes) -> dict[str, Any]:
    return torch.load(io.BytesIO(content), weights_only=True)


def shortened(state: dict[str, Any]) -> dict[str, Any]:
    """With one weight and one parameter's moments: others are alike."""
    optimizer = {**state["optimizer"], "state": dict(list(state["optimizer"]["state"].items())[:1])}
    return {**state, "model": dict(list(state["model"].items())[:1]), "optimizer": optimizer}


def whole(altered: Any, state: dict[str, Any]) -> Any:
    """An alteration of :func:`shortened` with the rest put back."""
    for path in (("model",), ("optimizer", "state")):
        held, known = altered, state
        for name in path:
            held, known = held.get(name) if isinstance(held, dict) else None, known[name]
        if isinstance(held, dict) and held and "odd" not in held:
            held.update(dict(list(known.items())[1:]))
    return altered


def refusal(state: Any, trained: torch.nn.Module, optimizer: torch.optim.Optimizer) -> str | None:
    try:
        check_checkpoint(state, trained, optimizer)
    except InputError as error:
        return str(error)
    return None


def test_every_alteration_is_refused_or_can_be_gone_on_with(written: bytes):
    state = read(written)
    trained = model()
    optimizer = torch.optim.AdamW(trained.parameters(), lr=CONFIG.learning_rate, betas=(0.9, CONFIG.beta2),
                                  weight_decay=CONFIG.weight_decay, fused=True)  # fmt: skip
    check_checkpoint(state, trained, optimizer)
    n_refused = n_taken = 0
    for words, altered in alterations(shortened(state), most_rows=1):
        if not isinstance(altered, dict) or words.startswith("made_with"):
            continue  # Compared before.
        altered = whole(altered, state)
        if (why := refusal(altered, trained, optimizer)) is not None:
            assert "\n" not in why, words
            n_refused += 1
            continue
        n_taken += 1
        own, ours = copy.deepcopy(trained), torch.optim.AdamW(trained.parameters())
        own.load_state_dict(altered["model"])
        ours.load_state_dict(altered["optimizer"])
        for parameter in trained.parameters():
            parameter.grad = torch.zeros_like(parameter)
        ours.step()
    assert n_refused > 500
    assert n_taken < 0.1 * n_refused


@pytest.mark.parametrize("name", FIELDS)
def test_a_missing_field_is_named_before_weights_are_loaded(name: str, written: bytes, tmp_path: Path):
    state, path, mine = read(written), tmp_path / "checkpoint.pt", model()
    del state[name]
    torch.save(state, path)
    before = copy.deepcopy(mine.state_dict())
    with pytest.raises(InputError, match=rf"(it has no {name}|no checkpoint of gpcp).*remove it or name another"):
        fit(mine, PAIRS, CONFIG, checkpoint=path)
    for weight, value in mine.state_dict().items():
        torch.testing.assert_close(value, before[weight])


@pytest.mark.parametrize(
    "content",
    [b"", b"odd", pickle.dumps({"made_with": Path("a")}), pickle.dumps([1, 2]), b"PK\x03\x04", b"\x80\x02}q\x00."],
    ids=["empty", "text", "a path", "a list", "half a zip", "an empty mapping"],
)
def test_another_file_is_no_checkpoint(content: bytes, tmp_path: Path):
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"is no checkpoint of gpcp .*remove it or name another"):
        fit(model(), PAIRS, CONFIG, checkpoint=path)
    assert path.read_bytes() == content


def test_a_checkpoint_that_was_cut_is_no_checkpoint(written: bytes, tmp_path: Path):
    path = tmp_path / "checkpoint.pt"
    for kept in (10, len(written) // 2, len(written) - 30):
        path.write_bytes(written[:kept])
        with pytest.raises(InputError, match="is no checkpoint of gpcp"):
            fit(model(), PAIRS, CONFIG, checkpoint=path)
