"""What is trained: one generic LightningModule, and the built-in backbones and heads."""
