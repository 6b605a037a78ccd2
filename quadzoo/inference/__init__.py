"""Use a trained model: find it, load it, show it images, and say what it reads."""
