"""The one LightningModule: any backbone, any head, any number of targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics import MeanSquaredError

from quadzoo.data.datamodule import Batch
from quadzoo.errors import BadModule, NonFiniteLoss
from quadzoo.model.augment import augment
from quadzoo.model.contract import backbone_width, feature_map
from quadzoo.model.recipe import Recipe
from quadzoo.targets import TargetInfo


class RegressionModule(pl.LightningModule):
    """A backbone and a head, trained by a recipe on (images, scaled targets); with ``recipe.freeze`` the
    head alone, on (features, scaled targets).

    Images come as uint8 (B, C, H, W) and are normalised here, on the device, with the backbone's
    ``mean`` and ``std``. The backbone runs in the trainer's precision, the head always in float32: in
    bf16 a prediction near 1 could only move in steps of 1/256. ``val_mse`` is logged after every epoch.
    Raises BadModule when backbone or head break the plugin contract, NonFiniteLoss when training diverges.
    """

    backbone: nn.Module
    head: Any  # a module with loss() and predict()
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        recipe: Recipe,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        targets: TargetInfo | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone.to(memory_format=torch.channels_last)
        if recipe.freeze:
            self.backbone.requires_grad_(False)
        self.head = head
        self.recipe = recipe
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)
        self.mse = nn.ModuleDict({f"{stage}_mse": MeanSquaredError() for stage in ("train", "val", "test")})
        self.history: list[dict[str, float]] = []
        self._in_training = self._seen

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 images (B, C, H, W) to the head's raw output."""
        return self._read(self.features(images))

    def compile_training(self, *, graphs: bool) -> None:
        """Have the backbone compiled at its first training batch, whose shape all others must have.

        With ``graphs`` a GPU replays the kernels as CUDA graphs. Evaluation, which sees batches of several
        sizes, stays as it is.
        """
        mode = "reduce-overhead" if graphs else "default"
        self._in_training = torch.compile(self._seen, dynamic=False, mode=mode)

    def _seen(self, images: Tensor) -> Tensor:
        features: Tensor = self.backbone((images.float() / 255 - self.mean) / self.std)
        return features

    def features(self, images: Tensor) -> Tensor:
        """Map uint8 images (B, C, H, W) to the backbone's features (B, F, h, w)."""
        features = self._in_training(images) if self.training else self._seen(images)
        return feature_map(features, backbone_width(self.backbone))

    def _read(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            raw: Tensor = self.head(features.float())
        return raw

    def predict(self, images: Tensor) -> Tensor:
        """Map uint8 images (B, C, H, W) to predictions (B, T) in the scaled unit."""
        return self._prediction(self(images))

    def _raw(self, inputs: Tensor) -> Tensor:
        raw: Tensor = self._read(inputs) if self.recipe.freeze else self(inputs)
        return raw

    def _prediction(self, raw: Tensor) -> Tensor:
        with torch.autocast(self.device.type, enabled=False):
            prediction: Tensor = self.head.predict(raw)
        return prediction

    def _step(self, batch: Batch, stage: str) -> dict[str, Tensor]:
        inputs, target = batch
        raw = self._raw(inputs)
        with torch.autocast(target.device.type, enabled=False):
            loss = self.head.loss(raw, target)
        prediction = self._prediction(raw).detach()
        if prediction.shape != target.shape:
            raise BadModule(
                f"the head predicts {tuple(prediction.shape)} for targets of shape {tuple(target.shape)}"
            )
        self._metric(stage).update(prediction, target)
        return {"loss": loss, "prediction": prediction}

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return the loss of a training batch, augmented as the recipe says."""
        images, target = batch
        return self._step((augment(images, self.recipe.augment), target), "train")

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return loss and prediction of a validation batch."""
        return self._step(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return loss and prediction of a test batch."""
        return self._step(batch, "test")

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the prediction (B, T) for a batch, in the scaled unit."""
        return self._prediction(self._raw(batch[0]))

    def on_validation_epoch_end(self) -> None:
        """Log ``val_mse``."""
        self.log("val_mse", self._finish("val"))

    def on_train_epoch_end(self) -> None:
        """Keep the epoch's scores; one look per epoch, since each look makes a GPU wait."""
        scores = {
            "train_mse": float(self._finish("train")),
            "val_mse": float(self.trainer.callback_metrics["val_mse"]),
        }
        self.history.append(scores)
        for name, value in scores.items():
            if not torch.isfinite(torch.tensor(value)):
                raise NonFiniteLoss(
                    f"{name} is {value} after epoch {len(self.history)} of {self.recipe.epochs}; "
                    f"a lower --lr than {self.recipe.lr:g} may help"
                )

    def on_test_epoch_end(self) -> None:
        """Log ``test_mse``."""
        self.log("test_mse", self._finish("test"))

    def _metric(self, stage: str) -> Any:
        return self.mse[f"{stage}_mse"]

    def _finish(self, stage: str) -> Tensor:
        metric = self._metric(stage)
        value: Tensor = metric.compute()
        metric.reset()
        return value

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        """Clip by the recipe; Lightning's own clipping refuses fused optimizers, for scalers unused here."""
        if self.recipe.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.parameters(), self.recipe.gradient_clip)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build optimizer and schedule from the recipe."""
        recipe = self.recipe
        parameters = [p for p in self.parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in parameters if p.ndim > 1]},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        # Adam without decay is AdamW's update; fused does a step in one pass over the weights.
        decay = recipe.weight_decay if recipe.optimizer == "adamw" else 0.0
        optimizer = torch.optim.AdamW(groups, lr=recipe.lr, weight_decay=decay, fused=True)
        if recipe.schedule == "step":
            halving = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.5)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": halving, "interval": "epoch"}}
        cycle = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=recipe.lr,
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=recipe.warmup,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}
