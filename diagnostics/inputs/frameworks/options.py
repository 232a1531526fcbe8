"""``Options``: what a person may say beside the model, its data and its training, which a framework knows already."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict, final

from diagnostics.checks.engine.intent import Given, Intent
from diagnostics.inputs.loaders.batch_fields import BatchFields, Entry


@final
class Options(TypedDict, total=False):
    """What :func:`diagnostics.inputs.diagnose.diagnose` may be given beside the model, its data and its training."""

    fields: Mapping[str, Entry] | BatchFields
    predict: Callable[..., Any]
    loss: Callable[..., Any]
    intent: Intent
    given: Given
    genes: Sequence[str]
    targets: Sequence[int]
    only: Sequence[str]
    ignore: Mapping[str, str] | Sequence[str]
    stop_early: bool
    cures: bool
    seed: int
