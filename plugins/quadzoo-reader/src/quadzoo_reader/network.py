"""A small network for one line of text."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_CONVOLUTIONS = ((32, (2, 2)), (64, (2, 2)), (128, (2, 1)), (128, (2, 1)))
"""Channels and stride (height, width): 32 pixels of height become 2 rows, 4 pixels of width one column."""
_ROWS = 2
_WIDTH = 160  # of a column
_HEADS = 5
_QUERIES = 4


class Reader(nn.Module):
    """Images (B, C, H, W) of one line of text to features (B, 640).

    Convolutions make a column of features for every four pixels of the width, as in the CRNN of Shi et al.
    2015 (An End-to-End Trainable Neural Network for Image-based Sequence Recognition, section 2.1). Two
    transformer layers (Vaswani et al. 2017, Attention Is All You Need, section 3, with the normalisation
    first) attend over the columns, and two more decode four learned queries from them (as in DETR; Carion et
    al. 2020, End-to-End Object Detection with Transformers, section 3.2). The features are the four outputs,
    concatenated.
    """

    num_features = _QUERIES * _WIDTH

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = in_channels
        for wider, stride in _CONVOLUTIONS:
            layers += [
                nn.Conv2d(channels, wider, 3, stride, 1, bias=False),
                nn.BatchNorm2d(wider),
                nn.ReLU(inplace=True),
            ]
            channels = wider
        self.convolutions = nn.Sequential(*layers)
        self.columns = nn.Linear(channels * _ROWS, _WIDTH)
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(
                _WIDTH, _HEADS, 2 * _WIDTH, 0.0, "gelu", batch_first=True, norm_first=True
            ),
            num_layers=2,
            norm=nn.LayerNorm(_WIDTH),
            enable_nested_tensor=False,
        )
        self.queries = nn.Parameter(0.02 * torch.randn(1, _QUERIES, _WIDTH))
        self.decoder = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(
                _WIDTH, _HEADS, 4 * _WIDTH, 0.0, "gelu", batch_first=True, norm_first=True
            ),
            num_layers=2,
            norm=nn.LayerNorm(_WIDTH),
        )

    def read(self, images: Tensor) -> Tensor:
        """Map normalised images (B, C, H, W) to columns (B, W/4, 160), from left to right."""
        maps = F.adaptive_avg_pool2d(self.convolutions(images), (_ROWS, None))
        columns = self.columns(maps.flatten(1, 2).transpose(1, 2))
        encoded: Tensor = self.encoder(columns + _positions(columns))
        return encoded

    def answer(self, columns: Tensor) -> Tensor:
        """Map columns (B, N, 160) to features (B, 640)."""
        answers: Tensor = self.decoder(self.queries.expand(columns.shape[0], -1, -1), columns)
        return answers.flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images (B, C, H, W) to features (B, 640)."""
        return self.answer(self.read(images))


def _positions(columns: Tensor) -> Tensor:
    """Return the sines and cosines (1, N, D) of Vaswani et al. 2017, section 3.5, for columns (B, N, D)."""
    _, n, width = columns.shape
    rates = torch.exp(torch.arange(0, width, 2, device=columns.device) * (-math.log(10_000) / width))
    angles = torch.arange(n, device=columns.device)[:, None] * rates
    return torch.stack((angles.sin(), angles.cos()), dim=2).flatten(1)[None]
