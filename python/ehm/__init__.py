"""Masked image modelling from Python: models of ehm, their features, attention and trees, and masks for any training loop.

>>> import ehm
>>> model = ehm.Model.load("untrained:pico")
>>> model.embed("scenes:1:4").shape
(4, 128)
>>> ehm.masks("block", grid=(14, 14), count=2).sum(axis=(1, 2))
array([147, 147])

Arrays are NumPy's, pictures are [n, height, width, channels], masks are bool [n, grid height, grid width] with True hidden. What fails
raises :class:`ehm.Error` or one of its kinds.
"""

from ._lib import (
    ArgumentError,
    DeviceError,
    Error,
    FileError,
    FormatError,
    MismatchError,
    NumberError,
    OutOfMemoryError,
    SettingError,
    StoppedError,
    UnsupportedError,
    features,
    log_to_stderr,
    version,
)
from .masks import Masker, MaskRule, mask_rules, masks
from .model import Model, Reconstruction
from .tree import tree

__version__ = version()

__all__ = [
    "ArgumentError", "DeviceError", "Error", "FileError", "FormatError", "Masker", "MaskRule", "MismatchError", "Model", "NumberError",
    "OutOfMemoryError", "Reconstruction", "SettingError", "StoppedError", "UnsupportedError", "features", "log_to_stderr", "mask_rules",
    "masks", "tree", "version",
]
