"""What a sweep varies: hyperparameters by name, over a range or among choices, and the configurations that they make.

Every field of a model's or a training's configuration can be varied. A query form and a head must fit, so that where
both are varied they are one hyperparameter, :data:`JOINT`, of the pairs that do.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from gpcp.core.errors import InputError, nearest
from gpcp.model.config import ModelConfig
from gpcp.model.heads.registry import HEADS
from gpcp.training.config import FitConfig
from gpcp.training.fields import parse_field, parse_fields, replace_fields

Value = float | int | str | bool | None
JOINT = "query_form+head"

_FIXED = frozenset(
    {"n_genes", "seed", "n_steps", "warmup_steps", "evaluate_every", "checkpoint_every", "patience", "accelerator"}
    | {"recompute", "perturbations"}
)
"""Fields that a sweep sets itself, or that are no matter of learning."""

_MODEL = {field.name for field in fields(ModelConfig)} - _FIXED
_FIT = {field.name for field in fields(FitConfig)} - _FIXED
_USUAL: Mapping[str, Any] = {
    **{name: getattr(FitConfig(), name) for name in _FIT},
    **{name: getattr(ModelConfig(n_genes=2), name) for name in _MODEL},
}


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Hyperparameter:
    """One thing that a sweep varies.

    Parameters
    ----------
    name : str
        A field of :class:`gpcp.model.config.ModelConfig` or :class:`gpcp.training.config.FitConfig`.
    low, high : float
        A range, where there are no choices.
    log : bool
        Whether equal ratios of the range count alike, not equal differences.
    choices : tuple
        Values to choose among; numbers stand in their order.

    Raises
    ------
    InputError
        The name is unknown, the range is empty or not finite, or a choice is named twice.
    """

    name: str
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    choices: tuple[Value, ...] = ()

    def __post_init__(self) -> None:
        if self.name != JOINT and self.name not in _USUAL:
            raise InputError(f"{self.name!r} is nothing that a sweep can vary; {nearest(self.name, sorted(_USUAL))}")
        if self.choices:
            if self.ordered:
                object.__setattr__(self, "choices", tuple(sorted(self.choices, key=lambda one: float(str(one)))))
            if len(set(self.choices)) < len(self.choices):
                raise InputError(f"{self.name}: a choice is named twice in {', '.join(map(str, self.choices))}")
        elif not (math.isfinite(self.low) and self.low < self.high < math.inf) or (self.log and self.low <= 0):
            raise InputError(
                f"{self.name}: {self.low:g}..{self.high:g} is no range: write LOW..HIGH, both finite"
                + (", above 0" if self.log else "")
            )

    @property
    def ordered(self) -> bool:
        """Whether its values are numbers, so that one of them can be the largest."""
        return not self.choices or all(type(one) in (int, float) for one in self.choices)

    @property
    def distribution(self) -> BaseDistribution:
        """As Optuna samples it."""
        if self.choices:
            return CategoricalDistribution(self.choices)
        return FloatDistribution(self.low, self.high, log=self.log)

    def at(self, place: float) -> Value:
        """The value at a place of 0 .. 1: the range's own scale, or equal shares for each choice."""
        if self.choices:
            return self.choices[min(int(place * len(self.choices)), len(self.choices) - 1)]
        if self.log:
            exponent = math.log(self.low) + place * (math.log(self.high) - math.log(self.low))
            return min(max(math.exp(exponent), self.low), self.high)
        return min(self.low + place * (self.high - self.low), self.high)

    def place(self, value: Value) -> float:
        """Where a value lies in 0 .. 1, the way back from :meth:`at`; of a choice the middle of its share."""
        if self.choices:
            return (self.choices.index(value) + 0.5) / len(self.choices)
        number = float(value)  # pyright: ignore[reportArgumentType]  (a range has numbers alone)
        if self.log:
            return (math.log(number) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (number - self.low) / (self.high - self.low)

    def to_json(self) -> dict[str, Any]:
        """The fields that say something, as JSON's types."""
        if self.choices:
            return {"name": self.name, "choices": list(self.choices)}
        return {"name": self.name, "low": self.low, "high": self.high, "log": self.log}


def usual_space() -> dict[str, Hyperparameter]:
    """What is varied, and how, where nothing else is said; in the order of the tables."""
    heads = tuple(name for name in HEADS if name in ("linear", "mlp", "per_gene", "per_gene_mlp", "bilinear", "pooled"))
    usual = (
        Hyperparameter(name="learning_rate", low=1e-4, high=1e-1, log=True),
        Hyperparameter(name="dropout", choices=(0.0, 0.1, 0.3)),
        Hyperparameter(name="weight_decay", choices=(0.0, 1e-4, 1e-2)),
        Hyperparameter(name="batch_size", choices=(64, 128, 256)),
        Hyperparameter(name="width", choices=(16, 32, 64)),
        Hyperparameter(name="n_decoder_blocks", choices=(1, 2, 3)),
        Hyperparameter(
            name="value_embedding",
            choices=("product", "identity_plus_product", "identity_plus_mlp", "concatenation"),
        ),
        Hyperparameter(name="query_form", choices=("all_genes", "perturbed_genes")),
        Hyperparameter(name="head", choices=heads),
    )
    return {one.name: one for one in usual}


def hyperparameter_of(text: str) -> Hyperparameter:
    """``NAME``, over its usual range; ``NAME=LOW..HIGH``; or ``NAME=A,B,C``.

    A range of whole numbers is its numbers where they are few, and doublings where they are many.

    Raises
    ------
    InputError
        The name or a value is no good.
    """
    name, given, values = text.partition("=")
    usual = usual_space()
    if not given:
        if name in usual:
            return usual[name]
        Hyperparameter(name=name, choices=(0,))
        raise InputError(f"{name} has no usual range: write {name}=LOW..HIGH or {name}=A,B,C")
    if ".." not in values:
        return Hyperparameter(
            name=name,
            choices=tuple(_value_of(name, one) for one in values.split(",")),
        )
    low, high = (_value_of(name, one) for one in values.split("..", 1))
    if not (isinstance(low, (int, float)) and isinstance(high, (int, float))):
        raise InputError(f"{name}={values} is no range of numbers: write {name}=A,B,C")
    if type(_USUAL.get(name)) is int:
        return Hyperparameter(name=name, choices=_whole_numbers(name, int(low), int(high)))
    return Hyperparameter(name=name, low=low, high=high, log=low > 0 and high >= 10 * low)


def _value_of(name: str, text: str) -> Value:
    return parse_field(name, text, ModelConfig, FitConfig, names=_USUAL)


def settings_of(texts: Iterable[str]) -> dict[str, Value]:
    """Values of what is not varied, from texts ``NAME=VALUE``; see :func:`gpcp.training.fields.parse_fields`."""
    return parse_fields(texts, ModelConfig, FitConfig, names=_USUAL)


def _whole_numbers(name: str, low: int, high: int) -> tuple[int, ...]:
    if not low < high:
        raise InputError(f"{name}={low}..{high} is no range: write the smaller number first")
    if high - low < 4 or low < 1:
        return tuple(range(low, high + 1))
    return tuple(low * 2**power for power in range(int(math.log2(high / low)) + 1))


def configs_of(values: Mapping[str, Value], model: ModelConfig, fit: FitConfig) -> tuple[ModelConfig, FitConfig]:
    """A model's and a training's configuration with some fields set.

    Raises
    ------
    InputError
        The parts do not fit together, or a value is out of range.
    """
    unknown = [name for name in values if name not in _USUAL]
    if unknown:
        raise InputError(f"{unknown[0]!r} is nothing that can be set; {nearest(unknown[0], sorted(_USUAL))}")
    return replace_fields(model, values), replace_fields(fit, values)


@final
class Space:
    """All that a sweep varies, around a base configuration.

    Parameters
    ----------
    hyperparameters : sequence of Hyperparameter
    model : ModelConfig
    fit : FitConfig
        What is not varied; the query form and the head may not fit the base, since they are varied together.

    Raises
    ------
    InputError
        A name is there twice, there is none, or values do not fit the base or each other.
    """

    def __init__(self, hyperparameters: Sequence[Hyperparameter], model: ModelConfig, fit: FitConfig) -> None:
        names = [one.name for one in hyperparameters]
        if not names or len(set(names)) < len(names):
            raise InputError(f"a sweep varies each thing once, and at least one: not {', '.join(names) or 'nothing'}")
        self.hyperparameters = tuple(hyperparameters)
        self.model, self.fit = model, fit
        self.searched = self._searched()
        self._check()

    @property
    def names(self) -> tuple[str, ...]:
        """Fields that are varied."""
        return tuple(one.name for one in self.hyperparameters)

    def fields_of(self, searched: Mapping[str, Value]) -> dict[str, Value]:
        """The fields that a point of the search sets, :data:`JOINT` taken apart, in the order of :attr:`names`."""
        found = dict(searched)
        if JOINT in found:
            found["query_form"], found["head"] = str(found.pop(JOINT)).split("+")
        return {name: found[name] for name in self.names if name in found}

    def searched_of(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """The way back from :meth:`fields_of`; what is not varied is left out, and so is a value that is not tried."""
        found = {name: value for name, value in values.items() if name in self.names}
        if any(one.name == JOINT for one in self.searched):
            base = {"query_form": self.model.query_form, "head": self.model.head}
            base |= {name: str(found.pop(name)) for name in base if name in found}
            found[JOINT] = f"{base['query_form']}+{base['head']}"
        kept: dict[str, Value] = {}
        for one in self.searched:
            value = found.get(one.name)
            inside = value in one.choices if one.choices else isinstance(value, float) and one.low <= value <= one.high
            if one.name in found and inside:
                kept[one.name] = value
        return kept

    def configs(self, searched: Mapping[str, Value]) -> tuple[ModelConfig, FitConfig]:
        """The configurations at a point of the search."""
        return configs_of(self.fields_of(searched), self.model, self.fit)

    def spread(self, n_points: int, rng: np.random.Generator) -> list[dict[str, Value]]:
        """Points that fill the space evenly: a Latin hypercube, of which each range is covered share by share."""
        from scipy.stats import qmc

        if n_points < 1:
            return []
        points: NDArray[np.float64] = qmc.LatinHypercube(len(self.searched), rng=rng).random(n_points)
        return [
            {one.name: one.at(float(place)) for one, place in zip(self.searched, point, strict=True)}
            for point in points
        ]

    def _searched(self) -> tuple[Hyperparameter, ...]:
        by_name = {one.name: one for one in self.hyperparameters}
        if not {"query_form", "head"} <= set(by_name):
            return self.hyperparameters
        forms, heads = by_name["query_form"].choices, by_name["head"].choices
        fitting = [f"{form}+{head}" for form, head in product(forms, heads) if self._fits(query_form=form, head=head)]
        for name, choices, part in (("query_form", forms, 0), ("head", heads, 1)):
            lost = [one for one in choices if one not in {pair.split("+")[part] for pair in fitting}]
            if lost:
                raise InputError(f"{name} {lost[0]!r} fits none of the others that are varied: leave it out")
        others = [one for one in self.hyperparameters if one.name not in ("query_form", "head")]
        return (*others, Hyperparameter(name=JOINT, choices=tuple(fitting)))

    def _fits(self, **values: Value) -> bool:
        try:
            configs_of(values, self.model, self.fit)
        except InputError as error:
            if "unknown" in str(error):
                raise
            return False
        return True

    def _check(self) -> None:
        """Every value once, and every combination of widths and heads of attention."""
        base = {one.name: one.at(0.0) for one in self.searched if one.name == JOINT}
        for one in self.searched:
            for value in one.choices or (one.low, one.high):
                if one.name not in ("width", "n_heads"):
                    configs_of(self.fields_of({**base, one.name: value}), self.model, self.fit)
        both = [
            [(one.name, value) for value in one.choices] for one in self.searched if one.name in ("width", "n_heads")
        ]
        for values in product(*both):
            configs_of(self.fields_of({**base, **dict(values)}), self.model, self.fit)
