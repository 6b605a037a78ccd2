"""The one LightningModule: any backbone, any head, any number of targets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics import MeanSquaredError

from quadzoo.data.datamodule import Batch, DataModule
from quadzoo.errors import ConfigError, DataError, NonFiniteLoss
from quadzoo.model.augment import augment
from quadzoo.model.batch_norm import ReestimatedBatchNorm
from quadzoo.model.bounds import bounds_for
from quadzoo.model.callbacks import AveragedWeights
from quadzoo.model.contract import backbone_width, feature_map, loss_value, predictions
from quadzoo.model.freezing import freeze_modules
from quadzoo.model.masking import check_maskable, masked_loss
from quadzoo.model.optimizer import clip, optimizer_of, schedule_of
from quadzoo.model.recipe import Recipe
from quadzoo.model.replay import Replay, Replaying
from quadzoo.model.scores import KnownMSE, TargetScores
from quadzoo.targets import TargetInfo, as_lists, factors_between, info_from

_STAGES = ("train", "val", "test")
_PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


class RegressionModule(Replaying):
    """A backbone and a head, trained by a recipe on (images, scaled targets), or with ``recipe.freeze`` the
    head alone, on (features, scaled targets).

    Images come as uint8 (B, C, H, W), or from a quadzoo `DataModule` also as float32 from 0 to 255, and are
    normalised here, on the device, with the backbone's ``mean`` and ``std``. Of more than three bands these
    are a part of the weights: those of further bands come from the training images. The backbone runs in the
    Trainer's precision, the head always in float32: near 1, bf16 has steps of 1/256.

    It works with any Trainer. Where targets of a quadzoo `DataModule` are missing, it trains on the others,
    by `masked_loss`, and scores each target on the images that have it. It logs ``train_mse``, ``val_mse``
    and ``test_mse`` in the scaled unit of ``scored``, by default in that of ``targets``, which the head
    learns in; and for val and test, in original units, ``val_rmse/<target>``, ``val_mae/<target>`` and
    ``val_r2/<target>``. Of the recipe, ``epochs``, ``batch_size``, ``ridge`` and ``frozen_features`` are the
    caller's to see to, as `quadzoo bench` does, and ``average`` needs the callback `AveragedWeights`. A
    Trainer's ``gradient_clip_val`` replaces the recipe's ``gradient_clip``. ``load_from_checkpoint(path,
    backbone=..., head=...)`` takes everything else from the checkpoint.

    Raises BadModule when backbone or head break the plugin contract, or targets are missing and the head
    needs them, NonFiniteLoss when training diverges, ConfigError for a Trainer that cannot do what the recipe
    asks for, and DataError for images in floating point from elsewhere.
    """

    backbone: nn.Module
    head: Any  # a module with loss() and predict()
    mean: Tensor
    std: Tensor
    score_factor: Tensor
    feature_mean: Tensor | None
    feature_std: Tensor | None

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        recipe: Recipe | Mapping[str, Any],
        mean: Sequence[float],
        std: Sequence[float],
        *,
        targets: TargetInfo | Mapping[str, Any] | None = None,
        scored: TargetInfo | Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        mean, std = [float(value) for value in mean], [float(value) for value in std]
        self.backbone = backbone.to(memory_format=torch.channels_last)
        self.head = head
        self.recipe = recipe if isinstance(recipe, Recipe) else Recipe(**recipe)
        self.targets = info_from(targets)
        self.scored = info_from(scored)
        unit, of_scores = self.targets, self.scored
        factor = [1.0] if unit is None or of_scores is None else factors_between(unit, of_scores)
        self.register_buffer("score_factor", torch.tensor(factor), persistent=False)
        if self.recipe.freeze:
            self.backbone.requires_grad_(False)
        self.frozen_layers = freeze_modules(self.backbone, self.recipe.freeze_to)
        for name in ("feature_mean", "feature_std"):  # of a frozen backbone
            self.register_buffer(name, None)
        self.bounds = bounds_for(self.recipe, unit)
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values).view(-1, 1, 1), persistent=len(values) > 3)
        self.mse = nn.ModuleDict({f"{stage}_mse": MeanSquaredError() for stage in _STAGES})
        self._masked = self._maskable = False  # whether targets are missing, and the head can do without
        self.scores = nn.ModuleDict()  # of val and test; made when the number of targets is known
        self.history: list[dict[str, float]] = []
        self._val_mse: Tensor | None = None  # of this epoch, where it has been validated
        self._compiled_backbone: Callable[[Tensor], Tensor] | None = None
        self.save_hyperparameters(
            {
                "recipe": self.recipe.model_dump(),
                "mean": mean,
                "std": std,
                "targets": None if self.targets is None else as_lists(self.targets),
                "scored": None if self.scored is None else as_lists(self.scored),
            }
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what cannot be copied, compiled or recorded; a copy computes the same without it."""
        return {**super().__getstate__(), "_compiled_backbone": None, "replay": None}

    def train(self, mode: bool = True) -> Self:
        """Set the mode of training or evaluation; ``recipe.freeze_to``'s layers stay in evaluation mode."""
        super().train(mode)
        for module in self.frozen_layers:
            module.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W), 0 to 255, uint8 or float32, to the head's raw output."""
        return self._apply_head(self.features(images))

    def compile_training(self) -> None:
        """Compile the backbone at its first training batch; all others must have the same shape.

        Evaluation, whose batches have several sizes, is not compiled.
        """
        self._compiled_backbone = torch.compile(self._backbone_features, dynamic=False)

    def _backbone_features(self, images: Tensor) -> Tensor:
        features: Tensor = self.backbone((images.float() / 255 - self.mean) / self.std)
        return features

    def features(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W), 0 to 255, uint8 or float32, to the backbone's features (B, F, h, w).

        The features have the dtype that the backbone gives them. Raises BadModule for other features.
        """
        compute = self._compiled_backbone if self.training else None
        features = (compute or self._backbone_features)(images)
        return feature_map(features, backbone_width(self.backbone), images.shape[0])

    def _apply_head(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            raw: Tensor = self.head(self._standardised(features.float()))
        return raw

    def _standardised(self, features: Tensor) -> Tensor:
        mean, std = self.feature_mean, self.feature_std
        return features if mean is None or std is None else (features - mean) / std

    def predict(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W), 0 to 255, to predictions, float32 (B, T) in the scaled unit."""
        return self.prediction_of(self(images))

    def raw(self, inputs: Tensor) -> Tensor:
        """Map a batch's inputs to the head's raw output.

        They are images (B, C, H, W), 0 to 255, or with ``recipe.freeze`` features, float32 (B, F, h, w).
        """
        raw: Tensor = self._apply_head(inputs) if self.recipe.freeze else self(inputs)
        return raw

    def pooled(self, inputs: Tensor) -> Tensor:
        """Map a batch's inputs, images or with ``recipe.freeze`` features, to their mean, float32 (B, F)."""
        features = inputs if self.recipe.freeze else self.features(inputs)
        return self._standardised(features.float()).mean(dim=(2, 3))

    def prediction_of(self, raw: Tensor) -> Tensor:
        """Return predictions, float32 (B, T) in the scaled unit, from the head's raw output."""
        with torch.autocast(self.device.type, enabled=False):
            prediction: Tensor = self.head.predict(raw)
            return prediction if self.bounds is None else self.bounds(prediction)

    def unbounded(self, raw: Tensor) -> Tensor:
        """Return the predictions that the head gives, float32 (B, T), whatever it is held to."""
        with torch.autocast(self.device.type, enabled=False):
            prediction: Tensor = getattr(self.head, "unbounded", self.head.predict)(raw)
            return prediction

    def spread(self, raw: Tensor) -> Tensor | None:
        """Return how far from the truth the head expects its predictions to be, from its raw output.

        They are standard deviations, float32 (B, T) in the scaled unit; None for a head that does not say.
        """
        if not hasattr(self.head, "spread"):
            return None
        with torch.autocast(self.device.type, enabled=False):
            spread: Tensor = self.head.spread(raw)
        return spread

    def _train_step(self, inputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of a training batch and its predictions, detached."""
        raw = self.raw(augment(inputs, self.recipe.augment))
        with torch.autocast(target.device.type, enabled=False):
            loss = self._loss(raw, target, "train")
        return loss, predictions(self.prediction_of(raw), target).detach()

    def _evaluate(self, batch: Batch, stage: str) -> dict[str, Tensor]:
        inputs, target = batch
        raw = self.raw(inputs)
        with torch.autocast(target.device.type, enabled=False):
            loss = self._loss(raw, target, stage)
        prediction = predictions(self.prediction_of(raw), target).detach()
        self._count(prediction, target, stage)
        done = {"loss": loss, "prediction": prediction}
        self._scores(stage, target).update(prediction, target)
        if (spread := self.spread(raw)) is not None:
            done["spread"] = predictions(spread, target)
        return done

    def _count(self, prediction: Tensor, target: Tensor, stage: str) -> None:
        self._metric(stage).update(prediction * self.score_factor, target * self.score_factor)

    def _loss(self, raw: Any, target: Tensor, stage: str) -> Tensor:
        if not self._masked:
            return loss_value(self.head.loss(raw, target))
        known = ~target.isnan()
        if stage == "train" and not self._maskable:
            check_maskable(self.head, raw, torch.where(known, target, 0.0))
            self._maskable = True
        return masked_loss(self.head, raw, target, known)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return loss and predictions, float32 (B, T), of a training batch, augmented by the recipe.

        Raises ConfigError for a batch of one image that batch norm cannot train on.
        """
        self._check_images(batch)
        inputs, target = batch
        try:
            loss, prediction = self.take_step(self._train_step, inputs, target)
        except ValueError as error:
            if len(target) == 1 and "more than 1 value per channel" in str(error):
                raise ConfigError(
                    "batch norm cannot train on a batch of one image; raise `batch_size`, or have more images"
                ) from error
            raise
        self._count(prediction, target, "train")
        return {"loss": loss, "prediction": prediction}

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return loss, predictions, and their spread if the head has one, float32 (B, T), of a val batch."""
        self._check_images(batch)
        return self._evaluate(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return loss, predictions, and their spread if the head has one, float32 (B, T), of a test batch."""
        self._check_images(batch)
        return self._evaluate(batch, "test")

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the predictions of a batch, float32 (B, T) in the scaled unit."""
        self._check_images(batch)
        return self.prediction_of(self.raw(batch[0]))

    def _check_images(self, batch: Batch) -> None:
        """Raise DataError for images in floating point: in 0 to 1, as others give them, they are black."""
        ours = isinstance(getattr(self.trainer, "datamodule", None), DataModule)
        if batch[0].is_floating_point() and not self.recipe.freeze and not ours:
            raise DataError(f"images must be uint8, from 0 to 255, got {batch[0].dtype}")

    def setup(self, stage: str) -> None:
        """Check the Trainer. Raises ConfigError for one that cannot do what the recipe asks for."""
        if self.trainer.precision not in _PRECISIONS:
            raise ConfigError(
                f"Trainer(precision={self.trainer.precision!r}): the head computes in float32; "
                f"use {' or '.join(_PRECISIONS)}"
            )
        average, callbacks = self.recipe.average, self.trainer.callbacks  # type: ignore[attr-defined]
        if stage == "fit" and average and not any(isinstance(one, AveragedWeights) for one in callbacks):
            raise ConfigError(
                f"average={average:g} in the recipe needs the callback AveragedWeights({average:g})"
            )
        if stage == "fit" and self.recipe.tune:
            raise ConfigError(f"tune={self.recipe.tune!r} in the recipe is for a bench; here say which lr")
        self._mask(getattr(self.trainer, "datamodule", None))

    def _mask(self, datamodule: object) -> None:
        """Score with or without missing targets, as the data need it."""
        masked = datamodule if isinstance(datamodule, DataModule) and datamodule.masked else None
        if self._masked == (masked is not None):
            return
        self._masked = masked is not None
        for stage in _STAGES:
            metric = KnownMSE(masked.targets.shape[1]) if masked else MeanSquaredError()
            self.mse[f"{stage}_mse"] = metric.to(self.device)
        self.scores.clear()

    def configure_callbacks(self) -> list[pl.Callback]:
        """Return the callbacks that the recipe needs in any Trainer."""
        return [ReestimatedBatchNorm()] if self.recipe.batch_norm == "reestimated" else []

    # Metrics are reset at an epoch's start, since an interrupted epoch does not reach its end.
    def on_train_epoch_start(self) -> None:
        """Reset the metrics of training."""
        self._metric("train").reset()
        self._val_mse = None

    def on_validation_epoch_start(self) -> None:
        """Reset the metrics of validation."""
        self._reset("val")

    def on_test_epoch_start(self) -> None:
        """Reset the metrics of the test."""
        self._reset("test")

    def on_validation_epoch_end(self) -> None:
        """Log ``val_mse`` and the scores of each target."""
        self._val_mse = self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        """Log ``test_mse`` and the scores of each target."""
        self._log_scores("test")

    def on_train_epoch_end(self) -> None:
        """Log ``train_mse`` and add the epoch's scores to the history.

        Raises NonFiniteLoss when one of them is NaN or infinite.
        """
        train_mse = self._metric("train").compute()
        self.log("train_mse", train_mse, sync_dist=True)
        scores = {"train_mse": float(train_mse)}
        if self._val_mse is not None:
            scores["val_mse"] = float(self._val_mse)
        self.history.append(scores)
        for name, value in scores.items():
            if not math.isfinite(value):
                raise NonFiniteLoss(
                    f"{name} is {value} after epoch {len(self.history)} of {self.trainer.max_epochs}; "
                    f"a lower `lr` than {self.recipe.lr:g} may help"
                )

    def _metric(self, stage: str) -> Any:
        return self.mse[f"{stage}_mse"]

    def _scores(self, stage: str, target: Tensor) -> Any:
        if stage not in self.scores:
            self.scores[stage] = TargetScores(target.shape[1], self.targets, masked=self._masked).to(
                target.device
            )
        return self.scores[stage]

    def _reset(self, stage: str) -> None:
        self._metric(stage).reset()
        if stage in self.scores:
            self.scores[stage].reset()  # type: ignore[operator]

    def _log_scores(self, stage: str) -> Tensor:
        """Log all scores of a stage and return its MSE."""
        mse: Tensor = self._metric(stage).compute()
        of_targets: dict[str, Tensor] = self.scores[stage].compute()  # type: ignore[operator]
        logged = {f"{stage}_mse": mse, **{f"{stage}_{name}": score for name, score in of_targets.items()}}
        # Every process has the scores over all processes; their average is the same, and Lightning wants it.
        self.log_dict(logged, sync_dist=True)
        return mse

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the history into a checkpoint."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the history from a checkpoint."""
        self.history = checkpoint.get("history", [])

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by the Trainer's ``gradient_clip_val`` if it is given, else by the recipe; 0 does not clip.

        Lightning's own clipping refuses every fused optimizer, because of gradient scalers; with a scaler the
        optimizer here is not fused.
        """
        if not self.is_replayed:  # which clips, too
            clip(self.parameters(), self.recipe, gradient_clip_val, gradient_clip_algorithm)

    def replay_training(self) -> None:
        """Have a GPU replay the training steps where it can; all batches should have the same shape."""
        watched = {"head": self.head} | ({} if self.recipe.freeze else {"backbone": self.backbone})
        by_recipe = partial(clip, list(self.parameters()), self.recipe)
        self.replay = Replay(self._train_step, by_recipe, watched, self.parameters())

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return optimizer and schedule of the recipe.

        Raises ConfigError where the schedule needs the number of steps and the Trainer has no last one.
        """
        # With a gradient scaler a fused optimizer would unscale after clipping, and so clip scaled gradients.
        fused = getattr(self.trainer.precision_plugin, "scaler", None) is None
        optimizer = optimizer_of(self.recipe, self.parameters(), fused=fused)
        steps = self.trainer.estimated_stepping_batches
        return {"optimizer": optimizer, "lr_scheduler": schedule_of(self.recipe, optimizer, steps)}
