"""What is done to an image before a network sees it, as torch operations that any image size goes through.

`quadzoo.data.geometry.fit` does it for training, with OpenCV, image by image. Here cutting, scaling and
centring are one product of matrices for the rows and one for the columns: their weights are those of OpenCV,
computed from the sizes, so that they can be in an ONNX graph. Where one side grows and the other shrinks,
OpenCV computes in whole numbers and rounds down, which the graph repeats step by step. An 8-bit image comes
out as OpenCV gives it but for single steps of 1/255 in few pixels, whose sums lie between two steps.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from quadzoo.data.geometry import filling
from quadzoo.inference.view import View
from quadzoo.model.regressor import RegressionModule
from quadzoo.targets import TargetInfo

_WHITE = {"uint8": 255.0, "uint16": 65535.0}
_A = -0.75  # of OpenCV's cubic
_STEPS = 2048  # of OpenCV's weights for 8 bits
_LEAST = 1e-3  # of a pixel: OpenCV leaves out what overlaps less


class Preprocessing(nn.Module):
    """Images (B, H, W, C) of any size to what the network of a view sees, float32 (B, C, h, w) from 0 to 255.

    The images have the type that `input_type` says, and as many bands as the network.
    """

    fill: Tensor

    def __init__(self, view: View) -> None:
        super().__init__()
        self.geometry, self.originals = view.geometry, view.originals
        fill = torch.from_numpy(filling(view.geometry).astype(np.float32))
        self.register_buffer("fill", fill.view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, H, W, C) to float32 (B, C, h, w) from 0 to 255."""
        geometry = self.geometry
        deep = geometry.dtype != "uint8"
        height, width = _lengths(images)
        values = images.permute(0, 3, 1, 2)
        values = self._unit(values) if deep else values.float()
        (top, bottom), (left, right) = self._box(height, width)
        rows, columns = self._scaled(bottom - top, right - left)
        inputs, outputs = (bottom - top, right - left), (rows, columns)
        shrunk = rows * columns < inputs[0] * inputs[1]
        vertical, horizontal = (
            _weights(length, at, given, made, canvas=size, area=shrunk)
            for length, at, given, made, size in zip(
                (height, width), (top, left), inputs, outputs, geometry.size, strict=True
            )
        )
        canvas = vertical @ (values @ horizontal.T)
        if not deep:
            canvas = _rounded(canvas, inputs, outputs, geometry.channels).clamp(0, 255)
        if geometry.resize == "stretch":  # a letterbox scales both sides alike
            mixed = shrunk & ((rows > inputs[0]) | (columns > inputs[1]))
            taps = [
                _Taps.of(at, given, made)
                for at, given, made in zip((top, left), inputs, geometry.size, strict=True)
            ]
            canvas = torch.where(mixed, _linear(values, *taps, deep=deep), canvas)
        inside = _inside(rows, geometry.size[0])[:, None] & _inside(columns, geometry.size[1])
        canvas = torch.where(inside, canvas, self.fill)
        if not deep:
            return canvas
        canvas = canvas.clamp(0, 1)
        if geometry.dtype == "uint16":
            canvas = torch.round(canvas * _WHITE["uint16"]) / _WHITE["uint16"]
        return canvas * 255

    def _unit(self, values: Tensor) -> Tensor:
        geometry = self.geometry
        low, high = geometry.value_range or (0.0, _WHITE["uint16"])
        # uint16 has few operations in torch; all its values are float32, too.
        return ((values.float().double() - low) / (high - low)).clamp(0, 1).float()

    def _box(self, height: Tensor, width: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return top and bottom, left and right of what is cut out of an image; `View.show` says of which."""
        zero = torch.zeros_like(height)
        crop, known = self.geometry.crop, self.originals
        if crop is None:
            return (zero, height), (zero, width)
        sizes = (known.height, known.width) if known else ((crop[2], 1 << 30), (crop[3], 1 << 30))
        ours = torch.ones_like(height, dtype=torch.bool)
        for side, (low, high) in zip((height, width), sizes, strict=True):
            ours = ours & (side >= low) & (side <= high)
        top, left, bottom, right = (torch.full_like(height, side) for side in crop)
        return (
            (torch.where(ours, top, zero), torch.where(ours, bottom, height)),
            (torch.where(ours, left, zero), torch.where(ours, right, width)),
        )

    def _scaled(self, height: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        """Return the height and the width in pixels that an image is scaled to."""
        geometry = self.geometry
        if geometry.resize == "stretch":
            return torch.full_like(height, geometry.size[0]), torch.full_like(width, geometry.size[1])
        scale = torch.minimum(_quotient(geometry.size[0], height), _quotient(geometry.size[1], width))
        if geometry.max_scale is not None:
            scale = scale.clamp(max=geometry.max_scale)
        rows, columns = (torch.round(side * scale).clamp(min=1).long() for side in (height, width))
        return rows, columns


class Graph(nn.Module):
    """A network with all that is done before and after it: what is exported.

    It maps images (B, H, W, C) of one size, of `input_type`, to predictions, float64 (B, T) in original
    units. They are computed in float32 but for the last step, to original units.
    """

    low: Tensor
    spread: Tensor

    def __init__(self, network: RegressionModule, view: View, unit: TargetInfo) -> None:
        super().__init__()
        self.preprocessing, self.network = Preprocessing(view), network
        low, high = (torch.tensor(ends, dtype=torch.float64) for ends in (unit.low, unit.high))
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("spread", high - low, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, H, W, C) to predictions, float64 (B, T) in original units."""
        scaled: Tensor = self.network.predict(self.preprocessing(images))
        return scaled.double() * self.spread + self.low


def input_type(view: View) -> torch.dtype:
    """Return the type of the images that the graph of a view takes.

    That is uint8 where the network sees 8 bits, uint16 where all values are whole numbers from 0 to 65535,
    else float32.
    """
    geometry = view.geometry
    if geometry.dtype == "uint8":
        return torch.uint8
    low, high = geometry.value_range or (0, _WHITE["uint16"])
    whole = geometry.dtype == "uint16" and low >= 0 and high <= _WHITE["uint16"]
    return torch.uint16 if whole else torch.float32


def _lengths(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return height and width as int64 tensors: computed by the graph, not fixed when it is exported."""
    return (
        torch.scalar_tensor(images.shape[1], dtype=torch.int64),
        torch.scalar_tensor(images.shape[2], dtype=torch.int64),
    )


def _quotient(number: int, by: Tensor) -> Tensor:
    """Return a quotient, float64, to the last digit: torch divides a number by a tensor in two steps."""
    return torch.full_like(by, number).double() / by.double()


class _Taps(NamedTuple):
    """From which two rows of an image each row is made where OpenCV's "area" is a linear interpolation.

    ``first`` and ``second`` are their numbers, int64 (rows,), ``share`` that of the second, float32 (rows,).
    ``at_end`` says where both are the last row.
    """

    first: Tensor
    second: Tensor
    share: Tensor
    at_end: Tensor

    @classmethod
    def of(cls, start: Tensor, given: Tensor, made: int) -> Self:
        """Return how ``made`` rows are made of those ``given`` from ``start`` on."""
        inverse = _quotient(made, given)  # and below as OpenCV does: at whole numbers the last digit decides
        at = torch.arange(made).double()
        below = torch.floor(at * (1 / inverse))
        share = ((at + 1) - (below + 1) * inverse).float()
        share = torch.where(share <= 0, 0.0, share - torch.floor(share))
        last = given - 1
        row = below.long()
        first, second = torch.minimum(row, last), torch.minimum(row + 1, last)
        return cls(start + first, start + second, share, row >= last)


def _linear(values: Tensor, vertical: _Taps, horizontal: _Taps, *, deep: bool) -> Tensor:
    """Scale images (B, C, H, W), float32, as OpenCV does where one side grows and the other shrinks.

    It sums 8 bits in steps of 1/2048, and rounds down before and after the weights of the rows.
    """
    # OpenCV leaves out the second column behind the last one; of rows it takes the last one twice.
    across = torch.where(horizontal.at_end, 0.0, horizontal.share)
    down = vertical.share[:, None]
    weights = [1 - across, across, 1 - down, down]
    if not deep:
        weights = [torch.round(one * _STEPS) for one in weights]
    before, after, above, below = weights
    rows = []
    for place in (vertical.first, vertical.second):
        row = values.index_select(2, place)
        rows.append(
            row.index_select(3, horizontal.first) * before + row.index_select(3, horizontal.second) * after
        )
    if deep:
        return rows[0] * above + rows[1] * below
    # float32 has too few digits for the products.
    parts = [
        torch.floor(torch.floor(row / 16).double() * weight / 65536)
        for row, weight in zip(rows, (above, below), strict=True)
    ]
    return torch.floor((parts[0] + parts[1] + 2) / 4).float()


def _inside(length: Tensor, canvas: int) -> Tensor:
    """Return which rows of a canvas the image is on, bool (canvas,)."""
    place = torch.arange(canvas) - (canvas - length) // 2
    return (place >= 0) & (place < length)


def _weights(
    length: Tensor, start: Tensor, given: Tensor, made: Tensor, *, canvas: int, area: Tensor
) -> Tensor:
    """Return the weights with which rows of an image add up to rows of the canvas, float32 (canvas, length).

    The image has ``length`` rows, of which ``given`` from ``start`` on become ``made``: means of an ``area``,
    a bool, else by cubic interpolation.
    """
    scale = given.double() / made.double()
    i = (torch.arange(canvas) - (canvas - made) // 2)[:, None]
    j = (torch.arange(length.item()) - start)[None, :]
    at, pixel = i.double(), j.double()
    overlap = torch.minimum((at + 1) * scale, pixel + 1) - torch.maximum(at * scale, pixel)
    means = torch.where(overlap > _LEAST, overlap, 0.0) / scale
    middle = (at + 0.5) * scale - 0.5
    first = torch.floor(middle)
    t = middle - first
    near = ((_A * (t + 1) - 5 * _A) * (t + 1) + 8 * _A) * (t + 1) - 4 * _A
    mid = ((_A + 2) * t - (_A + 3)) * t * t + 1
    other = ((_A + 2) * (1 - t) - (_A + 3)) * (1 - t) * (1 - t) + 1
    shares = [near, mid, other, 1 - near - mid - other]
    cubic = _placed([first + k for k in (-1, 0, 1, 2)], shares, pixel, given)
    weights = torch.where(area, means, cubic)
    kept = (i >= 0) & (i < made) & (j >= 0) & (j < given)
    return torch.where(kept, weights, 0.0).float()


def _placed(places: list[Tensor], shares: list[Tensor], pixel: Tensor, given: Tensor) -> Tensor:
    """Return weights (rows, pixels) from the pixels that each row is made of; the border goes on for ever."""
    weights = torch.zeros_like(pixel * places[0])
    last = given.double() - 1
    for place, share in zip(places, shares, strict=True):
        inside = torch.minimum(place.clamp(min=0), last)
        weights = weights + torch.where(pixel == inside, share, 0.0)
    return weights


def _rounded(
    values: Tensor, inputs: tuple[Tensor, Tensor], outputs: tuple[Tensor, Tensor], channels: int
) -> Tensor:
    """Round values of 8 bits as OpenCV does: a half to the even number, but up in means of 2 × 2 pixels."""
    halved = (inputs[0] == 2 * outputs[0]) & (inputs[1] == 2 * outputs[1])
    if channels == 2:  # for which OpenCV has no fast way
        return torch.round(values)
    return torch.where(halved, torch.floor(values + 0.5), torch.round(values))
