from __future__ import annotations

import numpy as np
import pytest

from quadzoo.metrics import evaluate, image_errors, mse_of


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


NAN = float("nan")


def test_each_target_counts_for_the_images_that_have_it() -> None:
    truth = np.array([[0.0, NAN], [4.0, 30.0], [2.0, NAN], [NAN, 10.0]])
    prediction = np.array([[1.0, 99.0], [4.0, 26.0], [2.0, -5.0], [70.0, 12.0]])
    arguments = {"names": ["u", "v"], "low": [0, 10], "high": [4, 30]}
    scores = evaluate(prediction, truth, **arguments, integer=[True, True])
    u, v = (1 + 0 + 0) / 3 / 16, (16 + 4) / 2 / 400
    assert scores["mse"] == pytest.approx((u + v) / 2)
    assert scores["rmse"] == pytest.approx({"u": np.sqrt(1 / 3), "v": np.sqrt(10)})
    assert scores["r2"] == pytest.approx({"u": 1 - (1 / 3) / (8 / 3), "v": 1 - 10 / 100})
    assert scores["exact"] == 0.0  # of the one image that has both
    prediction[1, 1] = 30.4
    assert evaluate(prediction, truth, **arguments, integer=[True, True])["exact"] == 1.0
    truth[1, 1] = NAN
    assert evaluate(prediction, truth, **arguments, integer=[True, True])["exact"] is None


def test_a_prediction_that_is_no_number_is_not_taken_for_a_missing_truth() -> None:
    truth, prediction = np.array([[1.0], [2.0], [NAN]]), np.array([[1.0], [NAN], [3.0]])
    scores = evaluate(prediction, truth, names=["u"], low=[0], high=[1], integer=[False])
    assert np.isnan(scores["mse"])


def test_what_images_add_has_the_mse_as_its_mean() -> None:
    rng = np.random.default_rng(0)
    residuals, known = rng.normal(size=(50, 3)), rng.random((50, 3)) < [0.2, 0.7, 1.0]
    errors = image_errors(residuals, known)
    expected = np.mean([np.mean(residuals[known[:, t], t] ** 2) for t in range(3)])
    assert errors.mean() == pytest.approx(expected)
    assert mse_of(np.where(known, residuals, NAN)) == pytest.approx(expected)
    everything = np.ones_like(known)
    assert np.array_equal(image_errors(residuals, everything), (residuals**2).mean(axis=1))
