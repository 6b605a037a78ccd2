"""What a server of processes imports for all of them: training, and with it torch, timm and Lightning."""

import gc

from quadzoo.garbage import uncollected

with uncollected():  # a sixth of the time
    import timm  # noqa: F401

    import quadzoo.training.run  # noqa: F401
gc.freeze()  # no process looks through these for garbage, which would copy the pages that they share
