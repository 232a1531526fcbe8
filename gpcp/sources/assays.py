"""Which assays read whole transcripts: their counts grow with a gene's length, those of UMI assays do not."""

from collections.abc import Iterable

FULL_LENGTH = {
    "EFO:0003755": "FL-cDNA",
    "EFO:0008441": "full length single cell RNA sequencing",
    "EFO:0008747": "FRISCR",
    "EFO:0008763": "Hi-SCL",
    "EFO:0008797": "MATQ-seq",
    "EFO:0008877": "Quartz-seq",
    "EFO:0008930": "Smart-seq",
    "EFO:0008931": "Smart-seq2",
    "EFO:0008956": "SUPeR-seq",
    "EFO:0009810": "full length single nucleus RNA sequencing",
    "EFO:0009999": "G&T-Seq",
    "EFO:0010004": "SCRB-seq",
    "EFO:0010006": "scM&T-seq",
    "EFO:0010022": "Smart-3Seq",
    "EFO:0010058": "Fluidigm C1-based library preparation",
    "EFO:0010184": "Smart-like",
    "EFO:0022396": "TruSeq",
    "EFO:0022488": "Smart-seq3",
    "EFO:0022839": "STORM-seq",
    "EFO:0030031": "SCOPE-chip",
    "EFO:0030060": "mCT-seq",
    "EFO:0030061": "mcSCRB-seq",
    "EFO:0700016": "Smart-seq v4",
}
"""By terms of the Experimental Factor Ontology: the assays whose counts CELLxGENE Census divides by gene lengths."""

ASSAY_COLUMNS = ("assay", "assay_ontology_term_id")
"""Under which names files that follow CELLxGENE's schema hold the assay."""

_ALSO = "Fluidigm C1-based SMARTer library preparation"  # EFO:0010058 until 2024
_NAMES = {name.casefold() for name in (*FULL_LENGTH, *FULL_LENGTH.values(), _ALSO)}


def full_length(assays: Iterable[str]) -> list[str]:
    """Those assays, by their names or ontology terms, that read whole transcripts."""
    return sorted({assay for assay in assays if assay.strip().casefold() in _NAMES})
