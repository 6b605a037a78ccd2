from __future__ import annotations

import pytest
import torch
from torch import Tensor

from quadzoo.model.augment import augment


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def dots(n: int, channels: int = 1) -> Tensor:
    """White images (n, channels, 100, 200), uint8, with a black square of 10x10 in the middle."""
    images = torch.full((n, channels, 100, 200), 255, dtype=torch.uint8)
    images[:, :, 45:55, 95:105] = 0
    return images


def centres(images: Tensor) -> Tensor:
    """Where the ink's centre of gravity lies, (n, 2): row and column."""
    ink = (255 - images.float()).sum(dim=1)
    ink = ink / ink.sum(dim=(1, 2), keepdim=True)
    rows, columns = torch.arange(ink.shape[1]) + 0.5, torch.arange(ink.shape[2]) + 0.5
    return torch.stack([ink.sum(dim=2) @ rows, ink.sum(dim=1) @ columns], dim=1)


def test_none_is_the_image_itself() -> None:
    images = dots(2)
    assert augment(images, "none") is images


@pytest.mark.parametrize("kind", ["shift", "photo"])
@pytest.mark.parametrize("channels", [1, 3])
def test_shape_range_and_order(kind: str, channels: int) -> None:
    noise = torch.randint(0, 256, (4, channels, 24, 40), dtype=torch.uint8)
    changed = augment(noise, kind)
    assert (changed.shape, changed.dtype) == (noise.shape, torch.float32)
    assert changed.is_contiguous(memory_format=torch.channels_last)
    assert 0 <= changed.min() < changed.max() <= 255


def test_shifts_are_small_and_each_image_has_its_own() -> None:
    moved = centres(augment(dots(400), "shift")) - torch.tensor([50.0, 100.0])
    assert moved[:, 0].abs().max() <= 2 / 0.96 + 0.01  # 2 % of 100 rows, at most magnified
    assert moved[:, 1].abs().max() <= 4 / 0.96 + 0.01
    assert moved.abs().max(dim=0).values.tolist() == pytest.approx([2, 4], rel=0.1)
    assert moved.mean(dim=0).abs().max() < 0.3
    assert len({round(float(x), 4) for x in moved[:, 1]}) > 390


def test_scaling_is_small_and_keeps_the_aspect() -> None:
    images = torch.full((300, 1, 100, 200), 255, dtype=torch.uint8)
    images[:, :, 30:70, 80:120] = 0
    ink = (255 - augment(images, "shift")) / 255
    area = ink.sum(dim=(1, 2, 3)) / 1600
    assert area.min() == pytest.approx(1 / 1.04**2, abs=0.01)
    assert area.max() == pytest.approx(1 / 0.96**2, abs=0.01)
    height = ink[:, 0].amax(dim=2).gt(0.5).sum(dim=1)
    width = ink[:, 0].amax(dim=1).gt(0.5).sum(dim=1)
    assert (height - width).abs().max() <= 1


def test_what_comes_in_from_outside_repeats_the_edge() -> None:
    plain = torch.full((50, 3, 20, 30), 77, dtype=torch.uint8)
    assert torch.allclose(augment(plain, "shift"), plain.float(), atol=1e-3)


def test_nothing_is_mirrored() -> None:
    images = torch.full((200, 1, 40, 60), 255, dtype=torch.uint8)
    images[:, :, :10, :15] = 0
    corner = augment(images, "photo")[:, 0]
    assert corner[:, :6, :10].mean() < 20
    assert corner[:, -20:, -30:].min() > 150


def test_photo_changes_the_light_of_each_image() -> None:
    levels = torch.full((400, 1, 8, 8), 100, dtype=torch.uint8)
    levels[:, :, :, 4:] = 200
    changed = augment(levels, "photo")
    mean = changed.mean(dim=(1, 2, 3))
    assert 115 < mean.min() < 125
    assert 175 < mean.max() < 185
    contrast = changed[..., 7].mean(dim=(1, 2)) - changed[..., 0].mean(dim=(1, 2))
    assert 60 < contrast.min() < 85
    assert 115 < contrast.max() < 145


def test_photo_changes_colours_only_where_there_are_some() -> None:
    grey = torch.randint(0, 256, (8, 1, 24, 24), dtype=torch.uint8).expand(-1, 3, -1, -1)
    changed = augment(grey, "photo")
    assert torch.allclose(changed[:, 0], changed[:, 2], atol=0.01)
    red = torch.zeros((100, 3, 8, 8), dtype=torch.uint8)
    red[:, 0] = 120
    share = augment(red, "photo")
    assert (share[:, 1].mean(dim=(1, 2)) > 1).any()  # less saturation lets some grey in


def test_same_seed_same_change() -> None:
    torch.manual_seed(5)
    first = augment(dots(8), "photo")
    torch.manual_seed(5)
    assert torch.equal(augment(dots(8), "photo"), first)
    assert not torch.equal(augment(dots(8), "photo"), first)


def test_autocast_does_not_touch_it() -> None:
    noise = torch.randint(0, 256, (4, 1, 32, 200), dtype=torch.uint8)
    torch.manual_seed(5)
    expected = augment(noise, "photo")
    torch.manual_seed(5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(augment(noise, "photo"), expected)
