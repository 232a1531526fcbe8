"""Which perturbations texts name."""

import pytest

from gpcp.core.errors import InputError
from gpcp.in_silico.perturbations import ScreenPerturbation, combinations_named, screened, table_of
from tests.gpcp.in_silico.screen_cases import GENES, VOCAB

A, B, C, D = GENES


def test_texts_name_genes_and_combinations_each_once():
    assert combinations_named([f"{A}.7", f"{B}+{A}", f"{A}+{B},{C} + {D}", " "], VOCAB) == [(A,), (B, A), (C, D)]


@pytest.mark.parametrize(
    ("text", "message"), [("ENSG00000000005", "nearest: ENSG0000000000"), (f"{A}+", "gene ''"), (f"{A}+{A}", "twice")]
)
def test_texts_that_name_no_genes(text: str, message: str):
    with pytest.raises(InputError, match=message):
        combinations_named([text], VOCAB)


def test_values_of_all_genes_or_of_each():
    assert screened([(A, B)], 2.0) == [ScreenPerturbation(genes=(A, B), values=(2.0, 2.0))]
    assert screened([(A, B)], {A: 1.0, B: 3.0})[0].values == (1.0, 3.0)
    with pytest.raises(InputError, match="1 values for 2 genes"):
        ScreenPerturbation(genes=(A, B), values=(1.0,))
    with pytest.raises(InputError, match="names no gene"):
        ScreenPerturbation(genes=(), values=())


def test_the_table_has_every_entry():
    table = table_of(screened([(C,), (B, A)], {A: 1.0, B: 2.0, C: 3.0}), VOCAB, shifts=True, least=0.0)
    assert (len(table), table.row_E.tolist(), table.token_E.tolist()) == (2, [0, 1, 1], [2, 1, 0])
    assert table.value_E.tolist() == [3.0, 2.0, 1.0]
