"""What the parts that were handed in are taken for, in words: every inference is shown in the report."""

from diagnostics.checks.engine.intent import Intent
from diagnostics.inputs.loaders.batch_fields import read
from diagnostics.inputs.loaders.loader_pairs import LoaderPairs
from diagnostics.inputs.own_parts import OwnParts
from diagnostics.inputs.tried_once import shape_of


def taken_as(parts: OwnParts, pairs: LoaderPairs, intent: Intent, *, held_out: LoaderPairs | None) -> dict[str, str]:
    """Which entry of a batch is what, how perturbations are coded, and what the model is given of them.

    Parameters
    ----------
    parts : OwnParts
        What was given is not called inferred.
    pairs, held_out : LoaderPairs
    intent : Intent
    """
    shapes = {name: shape_of(read(pairs.first_batch, entry)) for name, entry in pairs.fields.present.items()}
    found = {name: f"batch[{entry!r}], {shapes[name]}" for name, entry in pairs.fields.present.items()}
    if pairs.entry is not None:
        found["perturbation"] += f": {_coding(pairs)}"
        if held_out is not None and held_out.beyond is not None:
            found["perturbation"] += f"; held-out pairs hold the number {held_out.beyond}, which training does not know"
    if pairs.fields.measured is None:
        found["measured"] = "where the values are no NaN" if pairs.has_nan else "every gene"
    is_given = parts.given is not None or parts.intent is not None
    found["given"] = f"{intent.given} of a perturbation, {'as it is given' if is_given else 'by the form of its entry'}"
    if intent.set_size > 1:
        found["cells"] = f"in sets of {intent.set_size}"
    found["loss"] = "as given" if parts.loss is not None else "none given: mean squared error"
    if parts.objective is not None:
        found["objective"] = "as given: training lowers it, and not the loss"
    return found


def _coding(pairs: LoaderPairs) -> str:
    entry = pairs.entry
    assert entry is not None
    if entry.form == "mask":
        return "a mask over the genes"
    if entry.form == "doses":
        return "a mask over the genes that holds the doses"
    if entry.inferred:
        return f"numbers of genes; {entry.inferred}"
    if entry.gene_of_number == tuple(range(entry.n_genes)):
        return "numbers of genes, counted from 0" + ("; below 0: nothing is perturbed" if entry.nothing == -1 else "")
    return "numbers, each of the gene that targets= gives"
