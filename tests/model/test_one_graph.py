"""What `--compile` gets of a backbone: one graph that is never compiled again, and that a GPU may replay."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from functorch.compile import make_boxed_func
from torch._dynamo.backends.common import aot_autograd
from torch._inductor.utils import get_first_incompatible_cudagraph_node

from quadzoo.model.build import build_backbone, join
from quadzoo.model.recipe import Recipe
from quadzoo.registry import catalogue
from tests.model.nets import Line

pytestmark = pytest.mark.filterwarnings("ignore")  # of torch's compiler
SIZE = 64, 64
OTHERS = ("resnet50", "mobilenetv3_small_100", "convnext_atto", "regnetx_002", "vit_tiny_patch16_224",
          "mobilevit_xxs", "hgnetv2_b0")  # fmt: skip


@pytest.mark.parametrize(
    "backbone",
    [
        "tiny_cnn",
        "resnet18",
        "efficientnet_b0",
        *(pytest.param(one, marks=pytest.mark.slow) for one in OTHERS),
    ],
)
def test_one_graph(backbone: str) -> None:
    torch._dynamo.reset()
    spec = catalogue.load().backbones[backbone].spec
    net = build_backbone(spec, pretrained=False, in_channels=3, image_size=SIZE)
    module = join(spec, net, Line(), Recipe(), 3).train()
    graphs: list[torch.fx.GraphModule] = []

    def keep(graph: torch.fx.GraphModule, _: Any) -> Any:
        graphs.append(graph)
        return make_boxed_func(graph.forward)

    compiled = torch.compile(
        module._backbone_features, fullgraph=True, dynamic=False,
        backend=aot_autograd(fw_compiler=keep, bw_compiler=keep),
    )  # fmt: skip
    places = {name: buffer.data_ptr() for name, buffer in module.named_buffers()}
    for step in range(3):
        torch.manual_seed(step)
        images = torch.randint(0, 256, (2, *SIZE, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
        module.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            features = compiled(images)
        features.float().square().mean().backward()
    assert len(graphs) == 2  # forward and backward
    assert [get_first_incompatible_cudagraph_node(graph) for graph in graphs] == [None, None]
    assert places == {name: buffer.data_ptr() for name, buffer in module.named_buffers()}
