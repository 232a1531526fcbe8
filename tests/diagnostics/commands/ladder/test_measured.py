"""The measured rates are counted right, and the documentation has those of the file."""

from dataclasses import asdict

from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.commands.ladder.measured import CAUSES, KINDS, Measured
from tests.source_tree import REPO

RIGHT = dict(zip(KINDS, ("none", "bug", "learning rate", "architecture", "pairing", "measurement"), strict=False)) | {
    "few cells": "too little data",
    "no signal": "no signal",
    "normalisation": "measurement",
}


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(list(KINDS)), st.sampled_from(CAUSES), st.sampled_from(CAUSES)), max_size=30))
def test_every_situation_is_counted_once(found: list[tuple[str, str, str]]):
    rows = [
        {"name": f"{kind} {number}", "kind": kind, "cause": RIGHT[kind], "named": named, "again": False}
        for number, (kind, named, _) in enumerate(found)
    ]
    rows += [{**row, "named": again, "again": True} for row, (_, _, again) in zip(rows, found, strict=True)]
    counted = Measured.of(rows, "")
    assert sum(sum(counts.values()) for counts in counted.confusion.values()) == len(found)
    assert counted.n_again == len(found)
    assert counted.n_same == sum(first == again for _, first, again in found)
    known = [kind for kind in KINDS if kind in counted.cause]
    assert sum(counted.right(kind)[0] for kind in known) == sum(RIGHT[kind] == named for kind, named, _ in found)


def test_the_documentation_has_the_measured_tables():
    text = (REPO / "docs" / "how_to" / "ladder.md").read_text(encoding="utf-8")
    for line in Measured.read().markdown().splitlines():
        assert line in text
    assert set(asdict(Measured.read())["confusion"]) == set(KINDS)
