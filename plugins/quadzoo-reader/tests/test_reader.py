from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from quadzoo.testing import BACKBONE_RULES, Rule
from quadzoo_reader import build, register_models

(MODEL,) = register_models()
QUADZOO = Path(sys.executable).parent / "quadzoo"


@pytest.mark.parametrize("rule", BACKBONE_RULES, ids=str)
def test_rule(rule: Rule) -> None:
    rule("reader")


def test_the_width_keeps_its_resolution() -> None:
    reader = build(pretrained=False, in_channels=1, image_size=(32, 200)).eval()
    with torch.no_grad():
        assert reader.read(torch.randn(2, 1, 32, 200)).shape == (2, 50, 160)
        assert reader(torch.randn(2, 1, 32, 200)).shape == (2, 640)


def test_the_order_of_columns_matters() -> None:
    reader = build(pretrained=False, in_channels=1, image_size=(32, 200)).eval()
    columns = torch.randn(1, 50, 160)
    with torch.no_grad():
        image = torch.randn(1, 1, 32, 200)
        assert not torch.allclose(reader(image), reader(image.flip(3)), atol=1e-2)
        # The four answers are those of four different questions.
        answers = reader.answer(columns).view(4, 160)
        assert torch.cdist(answers, answers).fill_diagonal_(1).min() > 0.1


def test_it_is_small() -> None:
    record = json.loads((MODEL.folder / "record.json").read_text())
    assert record["cost"]["params"] < 3e6
    assert (MODEL.folder / "model.safetensors").stat().st_size < 12e6


def bench(data: Path, out: Path, *flags: str) -> list[dict]:
    subprocess.run(
        [QUADZOO, "bench", "--init", MODEL.name, "--epochs", "0", "--data", data, "--out", out, *flags],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [json.loads(path.read_text()) for path in out.glob("runs/*/record.json")]


def test_it_reads_fresh_equations_in_a_font_of_pillow(tmp_path: Path) -> None:
    subprocess.run([QUADZOO, "data", "make", tmp_path / "drawn", "--n", "500", "--seed", "3"], check=True)
    (record,) = bench(tmp_path / "drawn", tmp_path / "out")
    assert record["weights"] == "reader-equations"
    assert record["metrics"]["test_exact"] > 0.9


def test_it_reads_the_published_images(tmp_path: Path) -> None:
    shared = os.environ.get("QUADZOO_SHARED_DATA")
    if not shared:
        pytest.skip("QUADZOO_SHARED_DATA does not say where the published images are")
    records = bench(Path(shared) / "quadratic", tmp_path / "out", "--folds", "5")
    tested = sum(record["split"]["n_test"] for record in records)
    wrong = sum(
        round((1 - record["metrics"]["test_exact"]) * record["split"]["n_test"]) for record in records
    )
    assert tested == 2000
    assert wrong <= 2
