"""Mask rules: which patches of a picture are hidden."""

from __future__ import annotations

import os
import threading
from ctypes import byref, c_void_p
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Tuple

import numpy as np
import numpy.typing as npt

from . import _lib
from ._lib import ArgumentError, BoolArray, F64Array, Setting, SettingError, whole

if TYPE_CHECKING:
    from .model import Model


@dataclass(frozen=True)
class MaskRule:
    """A row of ``ehm list masks``.

    Attributes:
        name: what ``rule`` takes.
        summary, source, details: what it does, where it is from, what should be known; details may be "".
        args: what may follow a colon in its name ("red", "green", ...), the first is the default.
        needs: names of what it may have to be given (arguments of Masker.give).
    """

    name: str
    summary: str
    source: str
    args: Tuple[str, ...]
    details: str
    needs: Tuple[str, ...]


def mask_rules() -> List[MaskRule]:
    """All mask rules."""

    def split(text: str, by: str) -> Tuple[str, ...]:
        return tuple(text.split(by)) if text else ()

    out = []
    for i in range(int(_lib.ask("rule_count"))):
        t = {k: _lib.ask_text("rule_text", i, k.encode()) or "" for k in ("name", "summary", "source", "args", "details", "needs")}
        out.append(MaskRule(t["name"], t["summary"], t["source"], split(t["args"], "|"), t["details"], split(t["needs"], ",")))
    return out


class Masker(_lib.Owner):
    """A mask rule with its settings, for drawing many masks.

    Args:
        rule: "random", "ehm", "block", "color:green", ...: see :func:`mask_rules`.
        grid: patches of a picture, (height, width).
        ratio: share of patches that is hidden; None: 0.75, or the setting mask_ratio.
        threads: for masks that follow trees; 0: all processors. They change nothing but the time.
        settings: options of the rule by their names on the command line, such as ``k_end=8, linkage="ward", select="pivot"``.

    A masker holds no threads: it can be used in forked workers of a data loader. One thread at a time is let in.

    Raises:
        SettingError: a rule or setting that does not exist, or a value out of its range.
    """

    _closes, _instead = "masker_close", "make one in each process"

    def __init__(self, rule: str = "random", grid: Tuple[int, int] = (14, 14), ratio: Optional[float] = None, threads: int = 0,
                 **settings: Setting) -> None:
        self._handle: Optional[c_void_p] = None
        self._start(rule, (whole(grid[0], "grid height", 1, 1024), whole(grid[1], "grid width", 1, 1024)), threads)
        words = _lib.settings_of(_with_ratio(settings, ratio))
        handle = c_void_p()
        _lib.call("masker_open", byref(handle), os.fsencode(rule), self.grid[0], self.grid[1], _lib.texts(words), len(words))
        self._handle = handle

    def _start(self, rule: Optional[str], grid: Tuple[int, int], threads: int) -> None:
        self.rule = rule
        self.grid = grid
        self._threads = whole(threads, "threads", 0, 1024)
        self._lock = threading.Lock()

    @classmethod
    def _of_model(cls, model: "Model", handle: c_void_p, rule: Optional[str], ratio: Optional[float], settings: Any) -> "Masker":
        self = cls.__new__(cls)
        self._handle = None
        self._start(rule, model.grid, 0)
        words = _lib.settings_of(_with_ratio(settings, ratio))
        own = c_void_p()
        name = None if rule is None else os.fsencode(rule)
        _lib.call("masker_open_for", byref(own), handle, name, _lib.texts(words), len(words))
        self._handle = own
        return self

    @property
    def _open(self) -> c_void_p:
        if not self._handle:
            raise ArgumentError("the masker is closed")
        return self._handle

    @property
    def n_patches(self) -> int:
        """Patches of a picture."""
        return self.grid[0] * self.grid[1]

    @property
    def n_masked(self) -> int:
        """How many of them each mask hides; rules named ``_exact``: about so many."""
        return int(_lib.ask("masker_n_masked", self._open))

    def needs(self, progress: float) -> Tuple[str, ...]:
        """What has to be given before masks can be drawn at this progress: names of arguments of :meth:`give`."""
        text = _lib.ask_text("masker_needs", self._open, float(progress))
        return tuple(text.split(",")) if text else ()

    def set(self, **settings: Setting) -> None:
        """Change settings, ``mask_ratio=0.6`` for one."""
        with self._lock:
            for word in _lib.settings_of(settings):
                _lib.call("masker_set", self._open, word)

    def give(self, *, affinity: Optional[npt.ArrayLike] = None, symmetrise: bool = False, attention: Optional[npt.ArrayLike] = None,
             n_attention_maps: int = 0, cls_attention: Optional[npt.ArrayLike] = None, score: Optional[npt.ArrayLike] = None,
             loss: Optional[npt.ArrayLike] = None, colour: Optional[npt.ArrayLike] = None,
             labels: Optional[npt.ArrayLike] = None, affinity_other: Optional[npt.ArrayLike] = None) -> None:
        """The numbers that the rule looks at. They are copied, and stay until they are given again. n: patches; b: pictures, which may
        be left out for one picture.

        Args:
            affinity: [b, n, n] similarity of patches, the higher the nearer.
            symmetrise: take the mean of affinity and its transpose; without it, halves that differ are refused.
            attention: [b, n, n] post-softmax attention among patches, averaged over n_attention_maps layers and heads.
            cls_attention: [b, n] what the class token attends to.
            score: [b, n], the higher the rather hidden; for the rule file: 1 hidden.
            loss: [b, n] last known loss.
            colour: [b, n, k] mean colour of each patch.
            labels: [b, n] or [b, levels, n] ids, fine to coarse, -1 none.
            affinity_other: [b, n, n] of another picture, for tree_source="swapped".
        """
        n = self.n_patches
        with self._lock:
            for name, value in (("similarity", affinity), ("similarity_other", affinity_other), ("attention", attention)):
                if value is not None:
                    a, _ = _lib.square_of(value, n, "affinity" if name == "similarity" else name, np.float32)
                    if symmetrise and name != "attention":
                        a = np.ascontiguousarray((a + a.transpose(0, 2, 1)) / 2)
                    self._give(name, a, whole(n_attention_maps, "n_attention_maps", 0, 2**30) if name == "attention" else 0)
            for name, value in (("cls_attention", cls_attention), ("score", score), ("loss", loss)):
                if value is not None:
                    self._give(name, _rows(value, n, self.grid, name), 0)
            if colour is not None:
                c = np.asarray(colour, dtype=np.float32)
                if c.ndim < 2 or c.shape[-2] != n or c.ndim > 3:
                    raise ArgumentError(f"colour of shape {c.shape}: must be [b, {n}, k]")
                c = np.ascontiguousarray(c if c.ndim == 3 else c[None])
                self._give("colour", c, c.shape[2])
            if labels is not None:
                t = np.asarray(labels)
                if t.dtype.kind not in "iu" or t.ndim not in (1, 2, 3) or t.shape[-1] != n:
                    raise ArgumentError(f"labels of shape {t.shape} and {t.dtype}: must be integers [b, {n}] or [b, levels, {n}]")
                t = np.ascontiguousarray(t.reshape((-1, 1, n) if t.ndim < 3 else t.shape), dtype=np.int32)
                _lib.call("masker_give_labels", self._open, _lib.pointer(t), t.shape[0], t.shape[1])

    def _give(self, name: str, a: npt.NDArray[Any], width: int) -> None:
        _lib.call("masker_give", self._open, name.encode(), _lib.pointer(a), a.shape[0], width)

    def draw(self, count: int, progress: float = 0.5, seed: int = 0, epoch: int = 0, samples: Optional[Sequence[int]] = None) -> BoolArray:
        """Masks, one for each picture, or count for one.

        Args:
            count: how many: as many as pictures were given, or any number where one was given or none is needed.
            progress: 0 (the training begins) to 1 (it is over): rules with a curriculum follow it.
            seed, epoch, samples: the random keys of mask i are (seed, epoch, samples[i]): the same keys give the same mask, on any
                machine and for any count. samples: ids of the pictures, not negative; None: 0 to count - 1.

        Returns:
            bool [count, height, width], True hidden. With epoch 0 and without samples, those of ``ehm draw masks``.

        Raises:
            ArgumentError: the rule needs numbers that were not given (:meth:`needs`).
        """
        count = whole(count, "count", 1)
        seed, epoch = whole(seed, "seed", 0, 2**64 - 1), whole(epoch, "epoch", 0, 2**32 - 1)
        ids = None if samples is None else np.ascontiguousarray(np.asarray(samples), dtype=np.int64)
        if ids is not None and ids.shape != (count,):
            raise ArgumentError(f"samples of shape {ids.shape} for {count} masks")
        if ids is not None and int(ids.min()) < 0:
            raise ArgumentError(f"samples: {int(ids.min())} is negative")
        out = np.empty((count, *self.grid), dtype=np.uint8)
        with self._lock:
            _lib.call("masker_draw", self._open, float(progress), count, seed, epoch, _lib.pointer(ids), self._threads, _lib.pointer(out))
        return out.view(np.bool_)

    def trees(self, count: int = 1, seed: int = 0) -> F64Array:
        """The trees that the rule "ehm" cuts, of the numbers given: float64 [count, n - 1, 4] as :func:`ehm.tree`."""
        count, seed = whole(count, "count", 1), whole(seed, "seed", 0, 2**64 - 1)
        z = np.empty((count, self.n_patches - 1, 4), dtype=np.float64)
        with self._lock:
            _lib.call("masker_trees", self._open, count, seed, self._threads, _lib.pointer(z))
        return z

    def __repr__(self) -> str:
        if not self._handle:
            return f"<ehm.Masker {self.rule} closed>"
        return f"<ehm.Masker {self.rule or 'of the model'} {self.grid[0]}x{self.grid[1]}, hides {self.n_masked} of {self.n_patches}>"


def masks(rule: str = "random", grid: Tuple[int, int] = (14, 14), count: int = 8, progress: float = 0.5, ratio: Optional[float] = None,
          affinity: Optional[npt.ArrayLike] = None, symmetrise: bool = False, seed: int = 0, **settings: Setting) -> BoolArray:
    """Masks of a rule.

    Args:
        rule, grid, ratio, settings: as for :class:`Masker`, which is faster for many calls.
        count: how many.
        progress: 0 (the training begins) to 1 (it is over).
        affinity: [n, n] or [count, n, n] similarity of patches, for the rule "ehm".
        symmetrise: take the mean of affinity and its transpose.
        seed: of the random keys; mask i is the same for any count.

    Returns:
        bool [count, height, width], True hidden.
    """
    with Masker(rule, grid, ratio, 0, **settings) as m:
        if affinity is not None:
            m.give(affinity=affinity, symmetrise=symmetrise)
        return m.draw(count, progress, seed)


def _with_ratio(settings: Any, ratio: Optional[float]) -> Any:
    if ratio is None:
        return settings
    if "mask_ratio" in settings:
        raise SettingError("ratio and mask_ratio are the same thing: give one")
    return {**settings, "mask_ratio": float(ratio)}


def _rows(value: npt.ArrayLike, n: int, grid: Tuple[int, int], name: str) -> npt.NDArray[Any]:
    a = np.asarray(value, dtype=np.float32)
    if a.shape[-2:] == grid and (a.ndim == 3 or a.shape[-1] != n):
        a = a.reshape(*a.shape[:-2], n)
    if a.ndim not in (1, 2) or a.shape[-1] != n:
        raise ArgumentError(f"{name} of shape {a.shape}: must be [b, {n}] or [b, {grid[0]}, {grid[1]}]")
    return np.ascontiguousarray(a if a.ndim == 2 else a[None])
