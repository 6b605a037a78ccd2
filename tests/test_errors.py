from __future__ import annotations

import inspect

from quadzoo import errors


def test_docstring_draws_every_error() -> None:
    classes = [
        cls for _, cls in inspect.getmembers(errors, inspect.isclass) if cls.__module__ == errors.__name__
    ]
    assert len(classes) > 1
    for cls in classes:
        assert issubclass(cls, errors.QuadzooError)
        assert cls.__name__ in (errors.__doc__ or "")
