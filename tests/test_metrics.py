from __future__ import annotations

import numpy as np
import pytest

from quadzoo.metrics import evaluate


def test_by_hand() -> None:
    truth = np.array([[0.0, 10.0], [4.0, 30.0]])
    prediction = np.array([[1.0, 10.0], [4.4, 26.0]])
    scores = evaluate(prediction, truth, names=["u", "v"], low=[0, 10], high=[4, 30], integer=[True, True])
    # u: errors 1 and 0.4 of a range of 4; v: 0 and -4 of a range of 20
    u, v = (1 + 0.16) / 2 / 16, (0 + 16) / 2 / 400
    assert scores["mse"] == pytest.approx((u + v) / 2)
    assert scores["rmse"] == pytest.approx({"u": np.sqrt(0.58), "v": np.sqrt(8)})
    assert scores["r2"] == pytest.approx({"u": 1 - 0.58 / 4, "v": 1 - 8 / 100})
    assert scores["exact"] == 0.0


def test_exact_needs_every_target_right_and_integers() -> None:
    truth = np.array([[1.0, 2.0], [3.0, 4.0]])
    prediction = np.array([[1.4, 1.6], [3.0, 4.6]])
    arguments = {"names": ["u", "v"], "low": [0, 0], "high": [1, 1]}
    assert evaluate(prediction, truth, **arguments, integer=[True, True])["exact"] == 0.5
    assert evaluate(prediction, truth, **arguments, integer=[True, False])["exact"] is None


def test_r2_of_a_constant_is_unknown() -> None:
    truth = np.array([[5.0], [5.0]])
    assert evaluate(truth, truth, names=["u"], low=[0], high=[9], integer=[False])["r2"] == {"u": None}
