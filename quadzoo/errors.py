"""What can go wrong, as one tree.

::

    QuadzooError                 anything a user can fix; the command line prints one line, exit status 2
    ├── ConfigError              a flag or a combination of flags
    ├── NameNotFound             a backbone, head or model that nobody registered
    ├── DuplicateName            two plugins claim one name
    ├── DataError                a folder, a table, an image or a target
    ├── SplitError               a split that the data cannot give
    ├── WeightsError             pretrained weights were demanded and are not available
    ├── ClusterLost              the machines that runs are on do not answer any more; exit status 1
    ├── StorageError             no space, or a disk that fails; exit status 1
    ├── ContractBroken           a plugin's backbone or head does not keep its promises
    └── RunError                 one run failed; the others go on
        ├── NonFiniteLoss        the loss became NaN or infinite
        ├── NonFinitePrediction  a prediction for val or test is NaN or infinite
        ├── OutOfMemory          the GPU has too little memory
        └── BadModule            a backbone or head broke the plugin contract

A bug is not in this tree: it keeps its traceback.
"""

from __future__ import annotations

import errno

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""Numbers of an OSError that no other parameter helps against: the disk is full, or fails."""
FAILING_DISK = (*NO_SPACE, errno.EROFS, errno.EFBIG)
"""Numbers of an OSError after which no run can keep anything: a disk that fails may turn read-only, and
files may not be as large as the weights of a network are."""
_SHOWN = 100  # characters of a path


class QuadzooError(Exception):
    """Base of every error quadzoo raises on purpose; its text names value, culprit and fix."""


class ConfigError(QuadzooError):
    """A flag, or a combination of flags, that makes no sense."""


class NameNotFound(QuadzooError):
    """A backbone, head or model that no plugin registered."""


class DuplicateName(QuadzooError):
    """One name claimed by two plugins."""


class DataError(QuadzooError):
    """A folder, table, image or target that cannot be used."""


class SplitError(QuadzooError):
    """A split that the data cannot give."""


class WeightsError(QuadzooError):
    """Pretrained weights were demanded and are not available."""


class ClusterLost(QuadzooError):
    """The machines that runs are on do not answer any more; finished runs and the table are kept."""


class StorageError(QuadzooError):
    """Files cannot be written any more: the disk is full, or fails. What is finished is kept."""


class ContractBroken(QuadzooError, AssertionError):
    """A backbone or head that breaks rules of the conformance kit; one line a rule. A test fails with it."""


class RunError(QuadzooError):
    """One run failed; its record says so and the other runs go on."""


class NonFiniteLoss(RunError):
    """The training loss or the validation MSE became NaN or infinite."""


class NonFinitePrediction(RunError):
    """A prediction for a validation or test image is NaN or infinite."""


class OutOfMemory(RunError):
    """A GPU has too little memory for the batches of a run."""


class BadModule(RunError):
    """A backbone or head that does not keep the plugin contract."""


def unwritable(what: str, error: OSError, mend: str) -> QuadzooError:
    """Return why something cannot be written, and what helps: without space a StorageError."""
    kind = StorageError if error.errno in NO_SPACE else ConfigError
    return kind(f"{what}: {error.strerror or error}; {mend}")


def refused(error: OSError) -> QuadzooError:
    """Return in one line what the system refused: a StorageError without space, else a DataError."""
    kind = StorageError if error.errno in NO_SPACE else DataError
    return kind(reason_of(error))


def reason_of(error: OSError) -> str:
    """Return the path, of a long one the beginning, and why the system refused it."""
    # Of a file that cannot take its place, the second name is the one that somebody knows.
    where = str(error.filename2 or error.filename or "")
    why = error.strerror or str(error) or type(error).__name__
    return f"{where[:_SHOWN]}{'…' * (len(where) > _SHOWN)}: {why}" if where else why
