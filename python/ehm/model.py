"""A trained (or untrained) model: features, attention, similarity, trees, masks and reconstructions of pictures."""

from __future__ import annotations

import os
import threading
import warnings
from ctypes import byref, c_int32, c_int64, c_void_p
from types import TracebackType
from typing import Any, Dict, Literal, NamedTuple, Optional, Sequence, Tuple, Type, Union

import numpy as np
import numpy.typing as npt

from . import _lib
from ._lib import ArgumentError, BoolArray, F32Array, F64Array, Setting, whole
from .masks import Masker

Path = Union[str, "os.PathLike[str]"]
Pictures = Union[npt.ArrayLike, Path, Sequence[Path]]
Pool = Literal["cls", "mean", "patches"]
Fit = Literal["crop", "stretch", "pad"]

_NUMBERS = ("img_h", "img_w", "channels", "patch_size", "grid_h", "grid_w", "n_patches", "embed_dim", "depth", "num_heads", "patch_pixels",
            "has_decoder", "norm_pix", "batch_size", "n_parameters")


class Reconstruction(NamedTuple):
    """What the decoder made of the visible patches.

    Attributes:
        patches: float32 [n, grid_h, grid_w, patch_size, patch_size, channels], every patch, in the space that the model was trained in:
            with ``Model.norm_pix`` each patch less its mean over its deviation, else (pixel - mean) / std.
        loss: float32 [n], each picture's mean squared error over its hidden patches.
    """

    patches: F32Array
    loss: F32Array


class Model(_lib.Owner):
    """A vision transformer. Make it with :meth:`load`.

    Pictures, wherever they are asked for, are one of

    * an array [n, height, width, channels], or [height, width, channels] for one picture: uint8, or floating point of 0 to 1; 1 to 4
      channels (of 2 and 4 the last, alpha, is dropped). Of just the model's size they are taken as they are; any other size is resized
      and cropped as in the model's training run (:meth:`preprocess` does that alone, and for every size);
    * a path or a list of paths: what ``--data`` of the command line takes, that is picture files, folders, archives, "scenes:1:32".

    Results have a first axis of n; for a single array without one they have none.

    A model has threads of its own. Calls from several Python threads wait for each other. It cannot be used in a forked child of the
    process that loaded it (a worker of a data loader): :class:`UnsupportedError` says so; load it there instead.

    Attributes:
        spec: what it was loaded from.
        image_size: (height, width) in pixels.   channels: of its pictures.   patch_size: in pixels.
        grid: patches, (height, width).          n_patches: all of them.
        embed_dim, depth, num_heads: of the encoder.
        has_decoder: whether it can reconstruct.  norm_pix: whether its target is each patch normalised by itself.
        mean, std: float64 [channels], of pixels of 0 to 1.
        dtype: what it computes in, "f32" or "bf16".   fit: how pictures are fitted, "crop", "stretch", "pad" or "auto" (crop).
        n_parameters: numbers in it.              batch_size: pictures at once.
    """

    _closes, _instead = "close", "load it in each process"

    def __init__(self) -> None:
        raise TypeError("use ehm.Model.load(...)")

    @classmethod
    def load(cls, spec: Path, device: str = "auto", threads: int = 0, dtype: str = "auto", batch_size: int = 0) -> "Model":
        """Load a model.

        Args:
            spec: a run folder, a checkpoint of one, a .safetensors file (of ehm, MAE or timm), or "untrained:PRESET".
            device: "auto", "cpu", or "ref" (slow, for comparisons).
            threads: 0: all processors.
            dtype: "auto" (bf16 where the processor is fast at it), "f32" or "bf16".
            batch_size: pictures at once; 0: 64, or as many as memory holds.

        Raises:
            FileError, FormatError, MismatchError, SettingError: say what is missing or wrong.
        """
        self = cls.__new__(cls)
        self._handle = None
        self._lock = threading.Lock()
        settings: Dict[str, Setting] = {"device": device, "dtype": dtype}
        if threads:
            settings["threads"] = whole(threads, "threads", 0)
        if batch_size:
            settings["batch_size"] = whole(batch_size, "batch_size", 0)
        words = _lib.settings_of(settings)
        handle = c_void_p()
        _lib.call("open_with", byref(handle), os.fsencode(spec), _lib.texts(words), len(words))
        self._handle = handle
        self._facts()
        return self

    _handle: Optional[c_void_p]
    _lock: threading.Lock

    def _facts(self) -> None:
        n: Dict[str, int] = {}
        for name in _NUMBERS:
            value = c_int64()
            _lib.call("number", self._handle, name.encode(), byref(value))
            n[name] = value.value
        self.spec: str = _lib.ask_text("text", self._handle, b"spec") or ""
        self.dtype: str = _lib.ask_text("text", self._handle, b"dtype") or ""
        self.fit: str = _lib.ask_text("text", self._handle, b"fit") or ""
        self.image_size: Tuple[int, int] = (n["img_h"], n["img_w"])
        self.grid: Tuple[int, int] = (n["grid_h"], n["grid_w"])
        self.channels, self.patch_size, self.n_patches = n["channels"], n["patch_size"], n["n_patches"]
        self.embed_dim, self.depth, self.num_heads = n["embed_dim"], n["depth"], n["num_heads"]
        self.has_decoder, self.norm_pix = bool(n["has_decoder"]), bool(n["norm_pix"])
        self.n_parameters, self.batch_size = n["n_parameters"], n["batch_size"]
        self.mean: F64Array = np.empty(self.channels, dtype=np.float64)
        self.std: F64Array = np.empty(self.channels, dtype=np.float64)
        _lib.call("stats", self._handle, _lib.pointer(self.mean), _lib.pointer(self.std))

    # ---- pictures ----

    @property
    def _open(self) -> c_void_p:
        if not self._handle:
            raise ArgumentError("the model is closed")
        return self._handle

    def _array(self, pictures: Pictures) -> Tuple[npt.NDArray[Any], int, bool]:
        """Pixels, their type, and whether it was one picture without an axis for it."""
        paths = _paths(pictures)
        if paths is not None:
            with _Data(paths, self.channels) as data:
                return data.read(self._open, 0, data.count, (*self.image_size, self.channels)), data.kind, False
        single = np.ndim(pictures) == 3  # type: ignore[arg-type]
        a, kind = _lib.pixels_of(pictures)  # type: ignore[arg-type]
        if kind == _lib.F32 and a.size and float(a.max()) > 16 and float(self.mean.max()) <= 1:
            warnings.warn(f"pictures of floating point reach {a.max():g}: they are taken to be of 0 to 1; hand over uint8 or divide by 255",
                          stacklevel=3)
        return a, kind, single

    def preprocess(self, pictures: Pictures, fit: Optional[Fit] = None) -> npt.NDArray[Any]:
        """What the model sees.

        Args:
            pictures: see the class.
            fit: "crop" (short side to size, or size / 0.875 above 96 pixels, then the centre), "stretch", "pad"; None: as the model's run.
                It is applied to arrays of any size; pictures from paths always come as the model's run had them.

        Returns:
            uint8 or float32 [n, image height, image width, channels].
        """
        if _paths(pictures) is not None:
            if fit is not None:
                raise ArgumentError("fit is for arrays: pictures from paths come as the model's run had them")
            return self._array(pictures)[0]
        a, kind, single = self._array(pictures)
        out = np.empty((a.shape[0], *self.image_size, self.channels), dtype=a.dtype)
        with self._lock:
            _lib.call("fit", self._open, None if fit is None else fit.encode(), *_lib.picture_arguments(a, kind), _lib.pointer(out))
        return out[0] if single else out

    # ---- numbers of pictures ----

    def embed(self, pictures: Pictures, pool: Pool = "mean") -> F32Array:
        """Features after the final norm; nothing is masked.

        Args:
            pictures: see the class.
            pool: "mean" of the patch tokens, "cls" token, or all "patches".

        Returns:
            float32 [n, embed_dim]; "patches": [n, n_patches, embed_dim]. For paths, the bits of ``ehm embed``.
        """
        paths = _paths(pictures)
        row = (self.n_patches, self.embed_dim) if pool == "patches" else (self.embed_dim,)
        if paths is not None:
            with _Data(paths, self.channels) as data:
                out = np.empty((data.count, *row), dtype=np.float32)
                with self._lock:
                    _lib.call("embed_data", self._open, data.handle, os.fsencode(pool), _lib.pointer(out))
            return out
        a, kind, single = self._array(pictures)
        out = np.empty((a.shape[0], *row), dtype=np.float32)
        with self._lock:
            _lib.call("embed", self._open, *_lib.picture_arguments(a, kind), os.fsencode(pool), _lib.pointer(out))
        return out[0] if single else out

    def attention(self, pictures: Pictures, block: int = -1, per_head: bool = False) -> F32Array:
        """Post-softmax attention of a block; token 0 is the class token. Rows add up to 1.

        Args:
            pictures: see the class.
            block: 0 to depth - 1; -1: the last.
            per_head: each head's; else their mean.

        Returns:
            float32 [n, 1 + n_patches, 1 + n_patches], or [n, num_heads, 1 + n_patches, 1 + n_patches].
        """
        a, kind, single = self._array(pictures)
        side = 1 + self.n_patches
        out = np.empty((a.shape[0], *((self.num_heads,) if per_head else ()), side, side), dtype=np.float32)
        with self._lock:
            _lib.call("attention", self._open, *_lib.picture_arguments(a, kind), whole(block, "block", -1, 2**31 - 1), int(per_head),
                      _lib.pointer(out))
        return out[0] if single else out

    def similarity(self, pictures: Pictures, **settings: Setting) -> F32Array:
        """How alike the patches are by the model's attention: what its trees and masks are made from.

        Args:
            pictures: see the class.
            settings: tree_layers, similarity, attention_rows, profile_per, head_weight (docs/settings.md); others are those of the
                model's run.

        Returns:
            float32 [n, n_patches, n_patches], symmetric.
        """
        a, kind, single = self._array(pictures)
        words = _lib.settings_of(settings)
        out = np.empty((a.shape[0], self.n_patches, self.n_patches), dtype=np.float32)
        with self._lock:
            _lib.call("affinity", self._open, _lib.texts(words), len(words), *_lib.picture_arguments(a, kind), _lib.pointer(out), None, None,
                      byref(c_int32()))
        return out[0] if single else out

    def reconstruct(self, pictures: Pictures, masks: npt.ArrayLike) -> Reconstruction:
        """What the decoder makes of the visible patches.

        Args:
            pictures: see the class.
            masks: bool [n, grid_h, grid_w], True hidden, as many in each picture (:meth:`masks`).

        Raises:
            MismatchError: the model has no decoder.
        """
        a, kind, single = self._array(pictures)
        m = np.asarray(masks)
        want = (a.shape[0], *self.grid)
        if single and m.shape == self.grid:
            m = m[None]
        if m.shape != want:
            raise ArgumentError(f"masks of shape {m.shape}: must be [{want[0]}, {want[1]}, {want[2]}]")
        m = np.ascontiguousarray(m != 0, dtype=np.uint8)
        p = self.patch_size
        out = np.empty((a.shape[0], *self.grid, p, p, self.channels), dtype=np.float32)
        loss = np.empty(a.shape[0], dtype=np.float32)
        with self._lock:
            _lib.call("reconstruct", self._open, *_lib.picture_arguments(a, kind), _lib.pointer(m), _lib.pointer(out), _lib.pointer(loss))
        return Reconstruction(out[0] if single else out, loss[0] if single else loss)

    # ---- trees and masks ----

    def masker(self, rule: Optional[str] = None, ratio: Optional[float] = None, **settings: Setting) -> Masker:
        """A :class:`Masker` of the model's grid. rule None, and settings that are not given: those of the model's run."""
        return Masker._of_model(self, self._open, rule, ratio, settings)

    def look(self, masker: Masker, pictures: Pictures, progress: float = 1.0, trees: bool = False) -> int:
        """Hand a masker all that its rule looks at in these pictures at this progress (with trees: what its trees need, too).

        Returns:
            the count of pictures: what ``masker.draw`` then takes.
        """
        a, kind, _ = self._array(pictures)
        with self._lock, masker._lock:
            _lib.call("masker_look", masker._open, self._open, *_lib.picture_arguments(a, kind), float(progress), int(trees))
        return int(a.shape[0])

    def masks(self, pictures: Pictures, progress: float = 0.5, ratio: Optional[float] = None, rule: Optional[str] = None, seed: int = 0,
              count: int = 0, **settings: Setting) -> BoolArray:
        """Masks along the pictures' own trees (or as the rule says).

        Args:
            pictures: see the class.
            progress: 0 (the training begins) to 1 (it is over).
            ratio: share of patches that is hidden; None: that of the model's run.
            rule: None: that of the model's run.
            seed: of the random keys.
            count: so many masks of one picture; 0: one of each picture.
            settings: options of the rule; others are those of the model's run.

        Returns:
            bool [n or count, grid_h, grid_w], True hidden.
        """
        with self.masker(rule, ratio, **settings) as m:
            n = self.look(m, pictures, progress)
            if count and n != 1:
                raise ArgumentError(f"count {count} is for one picture, and there are {n}")
            return m.draw(count or n, progress, seed)

    def tree(self, pictures: Pictures, seed: int = 0, **settings: Setting) -> F64Array:
        """The trees of pictures, as :func:`ehm.tree` gives them: what the rule "ehm" cuts.

        Args:
            pictures: see the class.
            seed: for tree sources that are random.
            settings: linkage, tree_layers, similarity, ...; others are those of the model's run.

        Returns:
            float64 [n, n_patches - 1, 4]; [n_patches - 1, 4] for one array [height, width, channels].
        """
        single = _paths(pictures) is None and np.ndim(pictures) == 3  # type: ignore[arg-type]
        with self.masker("ehm", None, **settings) as m:
            z = m.trees(self.look(m, pictures, 1.0, trees=True), seed)
        return z[0] if single else z

    def __repr__(self) -> str:
        state = "" if self._handle else " closed"
        return (f"<ehm.Model {self.spec}{state}: {self.image_size[0]}x{self.image_size[1]}x{self.channels}, patch {self.patch_size}, "
                f"width {self.embed_dim}, depth {self.depth}, {self.dtype}>")


class _Data:
    """Pictures from paths."""

    def __init__(self, paths: Sequence[bytes], channels: int) -> None:
        self.handle = c_void_p()
        _lib.call("data_open", byref(self.handle), _lib.texts(paths), len(paths), channels)
        self.count = int(_lib.ask("data_count", self.handle))
        self.kind = int(_lib.ask("data_type", self.handle))

    def read(self, model: c_void_p, first: int, n: int, shape: Tuple[int, ...]) -> npt.NDArray[Any]:
        out = np.empty((n, *shape), dtype=np.uint8 if self.kind == _lib.U8 else np.float32)
        _lib.call("data_read", self.handle, model, first, n, _lib.pointer(out))
        return out

    def __enter__(self) -> "_Data":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        handle, self.handle = self.handle, c_void_p()
        _lib.ask("data_close", handle)


def _paths(pictures: Any) -> Optional[Sequence[bytes]]:
    """The paths, where pictures are given by paths."""
    if isinstance(pictures, (str, os.PathLike)):
        return [os.fsencode(pictures)]
    if isinstance(pictures, (list, tuple)) and pictures and all(isinstance(p, (str, os.PathLike)) for p in pictures):
        return [os.fsencode(p) for p in pictures]
    return None
