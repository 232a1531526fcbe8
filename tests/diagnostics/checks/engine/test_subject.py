"""A subject and its parts: how plain modules are called, what is refused, and the step that is made of the parts."""

import numpy as np
import pytest
import torch
from hypothesis import given
from torch import Tensor, nn

from diagnostics.checks.engine.subject import Subject, existing, forward_of, input_columns
from gpcp.core.errors import InputError
from gpcp.model.batch import ModelBatch
from gpcp.training.loss import masked_loss
from tests.diagnostics.checks.subjects import PartlyMeasured, adamw, pairs_of, transformer
from tests.gpcp.model.model_cases import N_GENES, batches
from tests.gpcp.screens.test_h5ad_screen import read, screen


class Keeps(nn.Module):
    """Remembers what it was called with; answers with ten times each gene's own number."""

    def forward(self, before_BG: Tensor, target_BG: Tensor, measured_BG: Tensor, perturbed_BG: Tensor) -> Tensor:
        self.seen = (before_BG, target_BG, measured_BG, perturbed_BG)
        return (10.0 * torch.arange(before_BG.shape[1])).expand_as(before_BG)


@given(batches())
def test_a_dense_module_sees_every_place_at_its_gene_and_answers_for_it(batch: ModelBatch):
    model = Keeps()
    answer_BL = forward_of(model, N_GENES)(model, batch)
    shape = batch.before_BL.shape
    token_BL = batch.token_BL.expand(shape)
    assert torch.equal(answer_BL, 10.0 * token_BL)
    before_BG, target_BG, measured_BG, perturbed_BG = model.seen
    expected = [torch.zeros(shape[0], N_GENES, dtype=one.dtype) for one in model.seen]
    for row in range(shape[0]):
        for place in range(shape[1]):
            gene = token_BL[row, place]
            if batch.measured_BL[row, place]:
                expected[0][row, gene] = batch.before_BL[row, place]
                expected[2][row, gene] = True
            if batch.perturbed_BL[row, place]:
                expected[1][row, gene] = batch.target_BL[row, place]
                expected[3][row, gene] = True
    for seen, right in zip((before_BG, target_BG, measured_BG, perturbed_BG), expected, strict=True):
        assert torch.equal(seen, right)


def test_padding_never_overwrites_the_gene_whose_token_it_borrows():
    batch = ModelBatch(
        token_BL=torch.tensor([[0, 1, 0, 1]]),
        before_BL=torch.tensor([[1.0, 2.0, float("nan"), 9.0]]),
        target_BL=torch.tensor([[3.0, 0.0, float("nan"), 9.0]]),
        measured_BL=torch.tensor([[True, True, False, False]]),
        perturbed_BL=torch.tensor([[True, False, False, False]]),
    )
    model = Keeps()
    forward_of(model, 2)(model, batch)
    before_BG, target_BG, measured_BG, perturbed_BG = model.seen
    assert before_BG.tolist() == [[1.0, 2.0]]
    assert target_BG.tolist() == [[3.0, 0.0]]
    assert measured_BG.tolist() == [[True, True]]
    assert perturbed_BG.tolist() == [[True, False]]


class OneArgument(nn.Module):
    def forward(self, batch: ModelBatch, scale: float = 2.0) -> Tensor:
        return scale * batch.before_BL


class ThreeArguments(nn.Module):
    def forward(self, before_BG: Tensor, target_BG: Tensor, measured_BG: Tensor) -> Tensor:
        return before_BG


class WrongWidth(nn.Module):
    def forward(self, before_BG: Tensor, target_BG: Tensor, measured_BG: Tensor, perturbed_BG: Tensor) -> Tensor:
        return before_BG[:, 1:]


class OneNumber(nn.Module):
    def forward(self, batch: ModelBatch) -> Tensor:
        return batch.before_BL.mean(dim=1)


def first_batch(n_genes: int = 5) -> ModelBatch:
    from gpcp.model.batch import model_batch

    return model_batch(next(pairs_of(n_genes).pairs(batch_size=4, seed=0)))[0]


def test_a_module_of_one_argument_gets_the_batch_itself():
    batch = first_batch()
    assert torch.equal(forward_of(OneArgument(), 5)(OneArgument(), batch), 2 * batch.before_BL)


def test_a_module_that_cannot_be_called_is_perturbed_how_models_are_called():
    with pytest.raises(InputError, match=r"needs 3 arguments.*before_BG, target_BG, measured_BG, perturbed_BG"):
        Subject(pairs=pairs_of(), model=ThreeArguments())


@pytest.mark.parametrize(
    ("model", "words"),
    [(WrongWidth(), r"\(4, 4\), expected \(4, 5\)"), (OneNumber(), r"\(4,\), expected one expression for each of")],
)
def test_an_answer_of_the_wrong_shape_is_refused(model: nn.Module, words: str):
    asked = Subject(pairs=pairs_of(5), model=model)
    with pytest.raises(InputError, match=words):
        asked.predict(model, first_batch())


def test_an_answer_that_is_no_tensor_is_refused():
    asked = Subject(pairs=pairs_of(5), model=OneArgument(), forward=lambda model, batch: [1.0])  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="answers with list"):
        asked.predict(OneArgument(), first_batch())


def test_nothing_is_no_subject():
    with pytest.raises(InputError, match="nothing to diagnose"):
        Subject()


def test_the_number_of_genes_comes_from_the_pairs_or_from_the_model():
    assert Subject(pairs=pairs_of(5)).n_genes == 5
    assert Subject(model=transformer("default", 6)).n_genes == 6
    with pytest.raises(InputError, match="set the attribute n_genes"):
        Subject(model=OneArgument()).n_genes  # noqa: B018


def test_a_step_made_of_the_parts_is_the_step_written_out():
    pairs = next(PartlyMeasured(pairs_of()).pairs(batch_size=16, seed=0))
    one, other = transformer(), transformer()
    asked = Subject(pairs=pairs_of(), model=one, loss=masked_loss)
    said = asked.step(one, torch.optim.SGD(one.parameters(), lr=0.1), pairs)
    from gpcp.model.batch import model_batch

    batch, after_BL = model_batch(pairs)
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
    loss = masked_loss(other(batch), after_BL, batch.scored_BL)
    loss.backward()
    optimizer.step()
    assert said == float(loss.detach())
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_a_step_of_ones_own_may_report_a_tensor_with_its_graph():
    model = transformer()

    def step(model, optimizer, pairs):
        return Subject(pairs=pairs_of(), model=model).composed_loss(model, pairs)

    asked = Subject(pairs=pairs_of(), model=model, training_step=step)
    assert asked.step(model, adamw(model), next(pairs_of().pairs(batch_size=4, seed=0))) > 0


def test_an_optimiser_that_exists_is_handed_out_as_it_is():
    optimizer = adamw(transformer())
    assert existing(optimizer)(transformer()) is optimizer


def test_the_partly_measured_pairs_of_these_tests_keep_a_sources_promises():
    source = PartlyMeasured(pairs_of(3))
    whole = next(source.pairs(batch_size=200, seed=1))
    parts = list(source.pairs(batch_size=7, seed=1))
    assert (whole.measured_BG == np.concatenate([part.measured_BG for part in parts])).all()
    assert not whole.measured_BG.all()
    assert whole.perturbed_BG.any(axis=1).all()
    assert whole.scored_BG.any(axis=1).all()


class OfNames(nn.Module):
    """A module that shows what it is given of each perturbation."""

    def __init__(self, n_genes: int, n_inputs: int) -> None:
        super().__init__()
        self.effect = nn.Linear(n_inputs, n_genes, bias=False)

    def forward(self, perturbation: Tensor, before: Tensor) -> Tensor:
        return before + self.effect(perturbation)


def test_a_module_of_a_screen_is_given_which_perturbation_it_was_whether_the_target_is_measured_or_not() -> None:
    source = read(screen(96))
    n_genes = len(source.vocab)
    assert input_columns(source.perturbations, n_genes)[1] == n_genes + 1
    pairs = next(source.pairs(batch_size=96, seed=0))
    assert pairs.applied is not None
    model = OfNames(n_genes, n_genes + 1)
    subject = Subject(pairs=source, model=model)
    batch, _ = subject.collate(pairs)
    place = {"AAA": 0, "BBB": 1, "UNMEASURED": n_genes}
    weight_GF = model.effect.weight.detach()
    columns = [[place[one] for one in label.split("+")] for label in pairs.applied.labels()]
    wanted_BG = torch.stack([weight_GF[:, some].sum(dim=1) for some in columns])
    effect_BG = subject.predict(model, batch).detach() - batch.before_BL
    assert torch.allclose(effect_BG, wanted_BG, atol=1e-5)


def test_two_arguments_are_refused_where_perturbations_have_no_names() -> None:
    with pytest.raises(InputError, match="forward needs 2 arguments"):
        forward_of(OfNames(N_GENES, N_GENES), N_GENES)
