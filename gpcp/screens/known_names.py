"""The names that the field's tools give to columns, controls and kinds, as tables: what can be recognised in a file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import final

from gpcp.core.perturbations import Kind


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Convention:
    """How one tool names what was done to a cell.

    Parameters
    ----------
    name : str
    columns : tuple of str
        Columns of ``obs`` that may hold the perturbation, lower case.
    controls : tuple of str
        What controls are called by this tool, lower case.
    beside : tuple of str
        Other columns, one of which has to be there; none has to where it is empty.
    """

    name: str
    columns: tuple[str, ...]
    controls: tuple[str, ...]
    beside: tuple[str, ...] = ()


CONVENTIONS: tuple[Convention, ...] = (
    Convention(name="gears", columns=("condition",), controls=("ctrl",)),
    Convention(
        name="cpa",
        columns=("condition", "cond_harm", "condition_id", "drug", "product_name"),
        controls=("control", "vehicle", "dmso", "ctrl"),
        beside=("dose_val", "dosage", "cov_drug_dose_name", "cov_drug_dose", "cov_drug", "drug_dose_name"),
    ),
    Convention(name="perturbench", columns=("condition",), controls=("control",)),
    Convention(name="cell-load", columns=("gene",), controls=("non-targeting",), beside=("gem_group",)),
    Convention(name="cell-eval2", columns=("target_gene", "target"), controls=("non-targeting",)),
    Convention(name="cell-load", columns=("gene",), controls=("non-targeting",)),
    Convention(name="scperturb", columns=("perturbation",), controls=("control",)),
    Convention(name="pertpy", columns=("gene_target",), controls=("nt", "control")),
    Convention(name="pertpy", columns=("perturbation",), controls=("nt",)),
)
"""From the most specific to the least: of two that fit the same column equally well the first is taken."""

_NUMBER = r"(?:[-_. ]?(?:sg|g|guide|sgrna|grna)?[-_. ]?\d+)?"
_SEPARATED_NUMBER = r"(?:[-_. ]?(?:sg|g|guide|sgrna|grna)[-_. ]?\d+|[-_. ]\d+)?"
CONTROL_GROUPS: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "control": re.compile(
            rf"(?:ctrl|control|ctl|neg(?:ative)?[-_. ]?(?:ctrl|control|ctl)){_NUMBER}", re.IGNORECASE
        ),
        "guides without a target": re.compile(
            rf"(?:non?[-_. ]?targeting(?:[-_. ]?control)?|safe[-_. ]?(?:targeting|harbou?r)|intergenic){_NUMBER}"
            rf"|(?:nt|ntc){_SEPARATED_NUMBER}",
            re.IGNORECASE,
        ),
        "vehicle": re.compile(r"(?:dmso|dmso_tf|vehicle|pbs|mock)", re.IGNORECASE),
        "untreated": re.compile(
            r"(?:untreated|unperturbed|unstimulated|no[-_. ]?(?:perturbation|treatment))", re.IGNORECASE
        ),
    }
)
"""What controls are called, whole labels: words of one group may occur together, words of two may not."""

GUIDE_COLUMNS = (
    *(
        "guide_id",
        "guide_identity",
        "guide",
        "guides",
        "guide_ids",
        "guide_rna",
        "sgrna",
        "sgrna_id",
        "grna",
        "grna_id",
    ),
    *("sgid", "sgid_ab", "guide_target", "protospacer", "feature_call"),
)
DOSE_COLUMNS = ("dose", "dose_val", "dose_value", "dosage", "drug_dose", "dose_um", "concentration")
KIND_COLUMNS = ("perturbation_type", "crispr_type", "perturbation_kind", "pert_type", "crispr", "perturbation_method")
CONTEXT_COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "cell_type": ("cell_type", "celltype", "cell_line", "cellline", "cell_type_name", "context"),
        "batch": ("batch", "gem_group", "gemgroup", "batch_var", "bio_rep", "replicate", "plate", "library", "lane"),
        "donor": ("donor", "donor_id", "patient", "patient_id"),
        "dataset": ("dataset", "dataset_id", "study"),
        "assay": ("assay", "library_preparation_protocol"),
        "tissue": ("tissue", "tissue_type"),
        "disease": ("disease",),
    }
)
"""By our name of a covariate, the columns that may hold it, lower case; the first that is there is taken."""

_WORDS: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        "knocked down": ("crispri", "knockdown", "kd", "rnai", "sirna", "shrna", "dcas9-krab", "knocked down"),
        "activated": ("crispra", "activation", "oe", "overexpression", "orf", "activated"),
        "knocked out": ("crispr", "crispr-ko", "knockout", "ko", "cas9", "knocked out"),
        "compound": ("drug", "compound", "chemical", "small molecule"),
        "set": ("set",),
        "shifted": ("shifted",),
    }
)
"""What a column of kinds says, lower case, in our words."""

JOINERS = ("+", ";", "|", "&")
"""Characters that no gene's name has: they join targets wherever each part looks like a name."""

JOINERS_OF_KNOWN = ("_", ",")
"""Characters that names have, too: they join targets only where every part is known by itself."""

GUIDE_SUFFIXES: tuple[tuple[str, str], ...] = (
    (r"(?:[-_. ](?i:sgrna|sg|grna|guide|g)|sg|g)[-_. ]?\d+$", "a guide's number such as _sg1 or g2"),
    (r"[-_]\d+$", "a guide's number such as -1 or _2"),
)
"""What ends a label that names a guide, and how it is described."""


def control_group(label: str) -> str | None:
    """The group of :data:`CONTROL_GROUPS` whose word a label is; None for a label that is none."""
    for group, pattern in CONTROL_GROUPS.items():
        if pattern.fullmatch(label.strip()):
            return group
    return None


def kind_of(word: str) -> Kind:
    """What a word of a column of kinds means; ``"unknown"`` where it is none that is known."""
    for kind, words in _WORDS.items():
        if _plain(word) in map(_plain, words):
            return kind
    return "unknown"


def _plain(word: str) -> str:
    return re.sub(r"[-_ ]+", "", word.strip().lower())
