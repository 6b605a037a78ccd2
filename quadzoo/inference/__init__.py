"""What to do with a trained model."""
