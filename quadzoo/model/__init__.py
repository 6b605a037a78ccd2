"""The LightningModule that is trained, its recipe, and the built-in backbones and heads."""
