"""The built-in backbones: each module is a plugin and is registered like any other."""
