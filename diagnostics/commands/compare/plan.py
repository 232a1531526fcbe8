"""From the arguments of ``compare`` to its trainings, each checked before the first one starts."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, final

from diagnostics.cli.experiments import cells_fields, is_screen, is_world, world_fields
from diagnostics.commands.compare.command import Request
from diagnostics.inputs.data import perturbations_read, real_data_of
from diagnostics.runs.experiment import WORLD, Experiment, changes
from gpcp.core.errors import InputError, nearest
from gpcp.core.perturbations import PerturbationVocab
from gpcp.core.registry import Registry
from gpcp.model.config import ModelConfig, preset
from gpcp.model.embedding import VALUE_EMBEDDINGS
from gpcp.model.heads.registry import HEADS, gives_distribution
from gpcp.model.mixing import MIXINGS
from gpcp.model.queries import QUERY_FORMS
from gpcp.training.config import FitConfig
from gpcp.training.fields import parse_fields, replace_fields
from simulators.scm.regimes import regime_of

PARTS: Mapping[str, Registry[Any]] = {
    "head": HEADS,
    "value_embedding": VALUE_EMBEDDINGS,
    "query_form": QUERY_FORMS,
    "query_mixing": MIXINGS,
}
"""What can be compared, by the field of ModelConfig that names it; the option is its plural."""

N_HELD_OUT = 2000
_Reads: TypeAlias = tuple[int, PerturbationVocab | None]
"""Genes, and the perturbations that models read by name, if any."""

_FIXED = ("n_genes", "seed", "n_steps")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Everything that was asked, checked.

    Parameters
    ----------
    data : Experiment
        What all learn from and are measured on; its model and training are those of the preset.
    part : str
        Field of ModelConfig that differs.
    configs : mapping of str to (ModelConfig, FitConfig)
        By the name of the part.
    seeds : tuple of int
    notes : tuple of str
        What was chosen for the user, and how cells became pairs.
    """

    data: Experiment
    part: str
    configs: Mapping[str, tuple[ModelConfig, FitConfig]]
    seeds: tuple[int, ...]
    notes: tuple[str, ...]

    @property
    def runs(self) -> tuple[tuple[str, Experiment], ...]:
        """Trainings with the name of their part, seed by seed, so that an interrupted comparison has whole seeds."""
        return tuple(
            (name, replace(self._run(model, fit), replicate=number))
            for number in self.seeds
            for name, (model, fit) in self.configs.items()
        )

    def _run(self, model: ModelConfig, fit: FitConfig) -> Experiment:
        of_fit = {"n_steps": fit.n_steps, "batch_size": fit.batch_size, "learning_rate": fit.learning_rate}
        run = replace(self.data, **of_fit)
        # Which perturbations are read by name is the data's, and no change of the preset.
        since, usual = run.configs(model.n_genes)
        since = replace(since, perturbations=model.perturbations)
        return replace(run, changed=changes(model, fit, since=(since, usual)))


def plan_of(request: Request) -> Plan:
    """What the arguments ask for.

    Raises
    ------
    InputError
        A name or a value is no good, options exclude each other, or parts do not fit together.
    """
    part, names = _part_of(request)
    data, reads, summary = _data(request)
    base, fit, given = _bases(request, reads, part)
    notes = list(summary)
    if part == "query_form" and "head" not in given and HEADS[base.head][0] == "own":
        base = replace(base, head="pooled")
        notes.append("every query form is read by the head 'pooled', since that of the preset needs all_genes")
    if part == "head" and not names:
        names = [name for name in HEADS if base.query_form == "all_genes" or HEADS[name][0] == "pooled"]
        if left_out := [name for name in HEADS if name not in names]:
            notes.append(f"left out, since they need query_form all_genes: {', '.join(left_out)}")
    names = names or list(PARTS[part])
    if len(names) < 2:
        raise InputError(f"--{part.replace('_', '-')}s names {names[0]!r} alone: give two or more, or none for all")
    if request.reference is not None and request.reference not in names:
        raise InputError(f"--reference {request.reference!r} is not compared; {nearest(request.reference, names)}")
    configs: dict[str, tuple[ModelConfig, FitConfig]] = {}
    for name in names:
        varied: dict[str, Any] = {part: name}
        model = replace(base, **varied)
        likelihood = gives_distribution(model.head) and "objective" not in given
        configs[name] = model, replace(fit, objective="likelihood") if likelihood else fit
        if configs[name][1].objective == "likelihood" and not gives_distribution(model.head):
            raise InputError(
                f"objective=likelihood is set, and the head {model.head!r} gives a mean alone: leave --set objective "
                "out, then heads that give a distribution are trained by likelihood"
            )
    if part == "head" and any(fit.objective == "likelihood" for _, fit in configs.values()):
        notes.append("heads that give a distribution are trained by likelihood and measured by their mean")
    return Plan(data=data, part=part, configs=configs, seeds=request.seeds, notes=tuple(notes))


def _part_of(request: Request) -> tuple[str, list[str]]:
    asked = {part: names for part in PARTS if (names := getattr(request, f"{part}s")) is not None}
    if len(asked) > 1:
        options = " and ".join(f"--{part.replace('_', '-')}s" for part in asked)
        raise InputError(f"{options} exclude each other: one part is compared at a time, others are fixed by --set")
    part = next(iter(asked), "head")
    names = list(dict.fromkeys(asked.get(part, [])))
    for name in names:
        # Raises with the nearest name.
        PARTS[part][name]
    return part, names


def _data(request: Request) -> tuple[Experiment, _Reads, tuple[str, ...]]:
    """What all trainings share, what models of it read, and what was decided on the way to its pairs."""
    usual = FitConfig()
    known = is_world(request.source)
    fields = (
        world_fields(request.source, takes=("network",), n_genes=request.n_genes)
        if known
        else cells_fields(request.source, n_genes=request.n_genes, regimes=(request.regime,))
    )
    run = Experiment(
        **fields,
        regime=regime_of(request.regime or "interventional") if known else "matched",
        n_perturbed=None if is_screen(request.source) and request.n_perturbed == (1, 1) else request.n_perturbed,
        n_held_out=N_HELD_OUT,
        preset=request.preset,
        n_steps=request.steps,
        batch_size=usual.batch_size,
        learning_rate=usual.learning_rate,
        seed=request.seed,
    )
    if not known:
        data = real_data_of(run)
        return run, (len(data.vocab), perturbations_read(data)), data.summary
    made = run.world()
    # Raises where so many genes cannot be perturbed.
    run.pairs(made, 1)
    return replace(run, source=f"{WORLD}:{made.name}"), (made.graph.n_genes, None), ()


def _bases(request: Request, reads: _Reads, part: str) -> tuple[ModelConfig, FitConfig, frozenset[str]]:
    """Both configurations before the part is put in, and which of their fields were set."""
    n_steps: int = request.steps
    model = preset(request.preset, *reads)
    fit = FitConfig().lasting(n_steps)
    given = parse_fields(request.set, ModelConfig, FitConfig, example="NAME=VALUE, such as skip=false")
    for name in given:
        if name in _FIXED or name == part:
            other = "--steps" if name == "n_steps" else "another option, or what is compared"
            raise InputError(f"--set {name}: that is decided by {other}")
    if given.get("patience") is not None:
        raise InputError("--set patience: these trainings have no held-out loss to stop by; set --steps instead")
    # What is to be compared may be needed to fit what is set, and the other way round: the head is put in here.
    if part == "head" and given.get("query_form", model.query_form) != "all_genes":
        return replace_fields(model, given | {"head": "pooled"}), replace_fields(fit, given), frozenset(given)
    return replace_fields(model, given), replace_fields(fit, given), frozenset(given)
