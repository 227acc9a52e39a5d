"""The breakages that `make mutants` tries are still breakages of this code."""

from __future__ import annotations

from .mutants import MUTANTS, ROOT, is_there


def test_what_each_mutant_breaks_stands_in_the_code_once() -> None:
    assert [mutant.name for mutant in MUTANTS if not is_there(mutant)] == []
    assert all(mutant.old != mutant.new for mutant in MUTANTS)


def test_every_mutant_has_a_name_of_its_own_and_laws_that_exist() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 30
    laws = {law for mutant in MUTANTS for law in mutant.laws}
    assert [law for law in sorted(laws) if not (ROOT / "tests" / law).is_file()] == []
