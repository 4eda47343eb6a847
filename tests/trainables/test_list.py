"""The laboratory's list of families, which one entry point names, and what each family in it brings."""

from __future__ import annotations

import pytest

from leadline import Claim, Command, Study, registry
from leadline.dotted import load
from trainables import FAMILIES
from trainables.collatz.family import COLLATZ


def test_a_family_of_the_laboratory_by_its_name() -> None:
    assert set(FAMILIES) <= set(registry.names())
    assert registry.family("collatz") is COLLATZ


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_known_by_its_own_name_and_what_it_brings_can_be_loaded(name: str) -> None:
    family = registry.family(name)
    assert family.name == name
    for command in family.commands.values():
        assert isinstance(load(command, "command"), Command)
    for study, answer in family.studies.items():
        found = load(answer, "study")
        assert isinstance(found, Study)
        assert (found.name, found.family) == (study, name)
    assert not family.claims or all(isinstance(claim, Claim) for claim in load(family.claims, "claims"))
