from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeCV

from quadzoo.model.closed_form import drawn, fit_ridge
from tests.model.test_heads import build

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(3.0, [0.1] * 16 + [10.0] * 16, (200, 32))
TARGETS = FEATURES[:, [0, 20]] * [5.0, 0.1] + RNG.normal(0, 0.05, (200, 2))


def test_a_linear_function_is_found_whatever_the_features_scales() -> None:
    fit = fit_ridge(FEATURES.astype(np.float32), TARGETS)
    error = (fit.predict(FEATURES) - TARGETS).var(axis=0)
    assert (error < 0.02 * TARGETS.var(axis=0)).all()
    assert fit.weight.shape == (2, 32)
    assert fit.alphas.shape == (2,)


def test_a_constant_feature_and_one_target() -> None:
    features = FEATURES.copy()
    features[:, 3] = 7.0
    fit = fit_ridge(features, TARGETS[:, :1])
    assert np.isfinite(fit.predict(features)).all()
    assert fit.predict(features).shape == (200, 1)


def test_all_rows_up_to_5000_and_then_always_the_same() -> None:
    assert drawn(np.array([3, 1, 2])).tolist() == [1, 2, 3]
    many = drawn(np.arange(6000))
    assert len(many) == 5000
    assert np.array_equal(many, drawn(np.arange(6000)))


@pytest.mark.parametrize("name", ["skip", "linear", "ridge"])
def test_heads_hold_the_fit(name: str) -> None:
    head = build(name).eval()
    features, target = torch.tensor(FEATURES).float(), torch.tensor(TARGETS).float()
    head.start(features, target)
    expected = fit_ridge(FEATURES.astype(np.float32), TARGETS).predict(FEATURES)
    if name == "ridge":
        expected = expected.clip(TARGETS.min(axis=0), TARGETS.max(axis=0))
    with torch.no_grad():
        found = head.predict(head(features[:, :, None, None])).numpy()
    assert np.allclose(found, expected, atol=0.02 * TARGETS.std())


def test_ridge_predicts_nothing_outside_the_training_range() -> None:
    head = build("ridge").eval()
    features, target = torch.tensor(FEATURES).float(), torch.tensor(TARGETS).float()
    head.start(features, target)
    found = head.predict(head(100 * features[:, :, None, None]))
    assert (found >= target.amin(dim=0)).all()
    assert (found <= target.amax(dim=0)).all()
    assert not list(head.parameters())


def test_skip_begins_at_the_mean_and_takes_one_image() -> None:
    head = build("skip").train()
    for features in (torch.randn(5, 32, 2, 3), torch.randn(1, 32, 1, 1)):
        assert torch.equal(head.predict(head(features)), torch.zeros(len(features), 2))


def test_each_target_is_fitted_to_the_rows_that_have_it() -> None:
    targets = np.column_stack([TARGETS, TARGETS.sum(axis=1), TARGETS[:, 0]])
    targets[::3, 0], targets[::2, 1], targets[1:, 3] = np.nan, np.nan, np.nan
    fit = fit_ridge(FEATURES, targets)
    scaled = (FEATURES - FEATURES.mean(axis=0)) / FEATURES.std(axis=0)
    for target in range(3):
        known = ~np.isnan(targets[:, target])
        one = RidgeCV(alphas=np.logspace(-2, 6, 17)).fit(scaled[known], targets[known, target])
        assert fit.alphas[target] == pytest.approx(one.alpha_)
        assert fit.predict(FEATURES)[:, target] == pytest.approx(one.predict(scaled))
    assert fit.predict(FEATURES)[:, 3] == pytest.approx(np.repeat(TARGETS[0, 0], 200))


@pytest.mark.parametrize("name", ["skip", "linear", "ridge"])
def test_heads_start_without_missing_targets(name: str) -> None:
    head, values = build(name).eval(), TARGETS.copy()
    values[::3, 0] = np.nan
    features = torch.tensor(FEATURES).float()
    head.start(features, torch.tensor(values).float())
    expected = fit_ridge(FEATURES.astype(np.float32), values).predict(FEATURES)
    if name == "ridge":
        expected = expected.clip(np.nanmin(values, axis=0), np.nanmax(values, axis=0))
    with torch.no_grad():
        found = head.predict(head(features[:, :, None, None])).numpy()
    assert np.allclose(found, expected, atol=0.02 * TARGETS.std())
