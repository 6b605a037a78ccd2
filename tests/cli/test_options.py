from __future__ import annotations

from quadzoo.cli.options import with_flags


def test_parameters_are_written_as_flags() -> None:
    assert with_flags("`group_column` who: `folds` 3 needs it") == "--group-column who: --folds 3 needs it"
    assert with_flags("`mean` of a spec, `quadzoo data check`") == "`mean` of a spec, `quadzoo data check`"
