"""Built-in backbones: each module is a plugin of its own, registered as anyone's would be."""
