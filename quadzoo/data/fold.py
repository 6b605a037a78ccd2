"""What the runs of one fold share, but for the pixels:

labels, groups, the division. It travels as one file.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from quadzoo.data.splits import Split
from quadzoo.errors import DataError
from quadzoo.storage import written_whole


@dataclass(frozen=True)
class Fold:
    """N labelled images and their division.

    ``groups`` int64 (N,) gives images that must stay together one number; ``kinds`` says what sort each image
    is, where that is known, and ``group_values`` holds the cells of the group column; ``targets`` float64
    (N, T) are in original units; ``digests`` uint8 (N, 32) are SHA-256 of the decoded images.
    """

    ids: list[str] = field(repr=False)
    groups: np.ndarray = field(repr=False)
    kinds: list[str] | None = field(repr=False)
    targets: np.ndarray = field(repr=False)
    digests: np.ndarray = field(repr=False)
    split: Split
    group_values: list[str] | None = field(default=None, repr=False)

    @cached_property
    def digest(self) -> str:
        """Return 24 hexadecimal digits that stand for everything in it."""
        split = self.split
        texts = [self.ids, self.kinds, self.group_values, split.name, split.fold, split.folds, split.hash]
        content = hashlib.sha256(json.dumps(texts).encode())
        for array in (self.groups, self.targets, self.digests, split.train, split.val, split.test):
            content.update(np.ascontiguousarray(array).data)
        return content.hexdigest()[:24]

    def save(self, path: Path) -> None:
        """Write everything to an ``.npz`` file. Raises OSError where that cannot be written."""
        split = self.split
        texts = {
            "ids": self.ids,
            "kinds": self.kinds,
            "group_values": self.group_values,
            "split": [split.name, split.fold, split.folds, split.leaked, split.hash],
            "share": [split.train_share, split.whole_hash],
        }
        with written_whole(path) as file:
            np.savez(
                file,
                texts=np.frombuffer(json.dumps(texts).encode(), np.uint8),
                groups=self.groups,
                targets=self.targets,
                digests=self.digests,
                train=split.train,
                val=split.val,
                test=split.test,
            )

    @classmethod
    def load(cls, path: Path) -> Fold:
        """Read what `save` wrote. Raises DataError for a file that is not there or no such file."""
        try:
            # Opened here: numpy leaves a file that it cannot read open.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                texts = json.loads(arrays["texts"].tobytes())
                name, fold, folds, leaked, digest = texts["split"]
                sides = arrays["train"], arrays["val"], arrays["test"]
                share, whole = texts.get("share", (1.0, None))  # a file of before there were shares
                split = Split(name, fold, folds, *sides, leaked, digest, share, whole)
                return cls(
                    texts["ids"],
                    arrays["groups"],
                    texts["kinds"],
                    arrays["targets"],
                    arrays["digests"],
                    split,
                    texts["group_values"],
                )
        except Exception as error:  # of broken bytes: BadZipFile, zlib.error, NotImplementedError and others
            raise DataError(f"{path}: labels cannot be read ({error}); run the same command again") from error
