"""The C library: where it is, its functions with their types, its errors as exceptions, arrays on their way in and out."""

from __future__ import annotations

import ctypes
import operator
import os
import pathlib
from ctypes import POINTER, c_char_p, c_double, c_float, c_int32, c_int64, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p
from types import TracebackType
from typing import Any, ClassVar, Iterable, List, Mapping, Optional, Sequence, Tuple, Type, TypeVar, Union

import numpy as np
import numpy.typing as npt

API_VERSION = 1
MESSAGE_BYTES = 2048
U8, F32, F64 = 0, 1, 2

Setting = Union[str, int, float, bool]
F32Array = npt.NDArray[np.float32]
F64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


class Error(Exception):
    """Something that the library refused or could not do. ``str(e)`` is what is wrong, while what, and what to try.

    Attributes:
        code: the number of the failure, as in ``ehm_code`` of libehm.
        name: its word: "argument", "config", "io", "format", ...
    """

    code: int = -1

    @property
    def name(self) -> str:
        return _text(_lib().ehm_api_code_name(self.code)) or "unknown"


class ArgumentError(Error, ValueError):
    """An argument is out of its range."""

    code = 1


class SettingError(Error, ValueError):
    """A setting, or a combination of settings, that does not exist."""

    code = 2


class FileError(Error, OSError):
    """The system refused to open, read or write."""

    code = 3

    def __str__(self) -> str:
        return Exception.__str__(self)


class FormatError(Error, ValueError):
    """The bytes of a file are not what their format says."""

    code = 4


class OutOfMemoryError(Error, MemoryError):
    """There is no memory, or not enough for what was planned."""

    code = 5


class DeviceError(Error, RuntimeError):
    """A compute device failed."""

    code = 6


class UnsupportedError(Error, RuntimeError):
    """Known, but not built in or not possible here."""

    code = 7


class MismatchError(Error, ValueError):
    """Two things that must agree do not."""

    code = 8


class NumberError(Error, ArithmeticError):
    """A number is not finite where it must be."""

    code = 9


class StoppedError(Error, RuntimeError):
    """A signal asked to stop."""

    code = 10


_by_code: Mapping[int, Type[Error]] = {
    e.code: e
    for e in (
        ArgumentError, SettingError, FileError, FormatError, OutOfMemoryError, DeviceError, UnsupportedError, MismatchError,
        NumberError, StoppedError,
    )
}

# ---- the functions ----

_message = [c_char_p, c_size_t]
_settings = [POINTER(c_char_p), c_int32]
_pictures = [c_void_p, c_int64, c_int32, c_int32, c_int32, c_int32]
_signatures: Mapping[str, Tuple[Any, List[Any]]] = {
    "version": (c_int32, []),
    "library_version": (c_char_p, []),
    "features": (c_char_p, []),
    "code_name": (c_char_p, [c_int32]),
    "log_level": (None, [c_int32]),
    "open_with": (c_int32, [POINTER(c_void_p), c_char_p, *_settings, *_message]),
    "close": (None, [c_void_p]),
    "number": (c_int32, [c_void_p, c_char_p, POINTER(c_int64), *_message]),
    "text": (c_char_p, [c_void_p, c_char_p]),
    "stats": (c_int32, [c_void_p, c_void_p, c_void_p, *_message]),
    "fit": (c_int32, [c_void_p, c_char_p, *_pictures, c_void_p, *_message]),
    "embed": (c_int32, [c_void_p, *_pictures, c_char_p, c_void_p, *_message]),
    "attention": (c_int32, [c_void_p, *_pictures, c_int32, c_int32, c_void_p, *_message]),
    "affinity": (c_int32, [c_void_p, *_settings, *_pictures, c_void_p, c_void_p, c_void_p, POINTER(c_int32), *_message]),
    "reconstruct": (c_int32, [c_void_p, *_pictures, c_void_p, c_void_p, c_void_p, *_message]),
    "data_open": (c_int32, [POINTER(c_void_p), POINTER(c_char_p), c_int32, c_int32, *_message]),
    "data_close": (None, [c_void_p]),
    "data_count": (c_int64, [c_void_p]),
    "data_channels": (c_int32, [c_void_p]),
    "data_type": (c_int32, [c_void_p]),
    "data_name": (c_char_p, [c_void_p, c_int64]),
    "data_label": (c_char_p, [c_void_p, c_int64]),
    "data_read": (c_int32, [c_void_p, c_void_p, c_int64, c_int64, c_void_p, *_message]),
    "embed_data": (c_int32, [c_void_p, c_void_p, c_char_p, c_void_p, *_message]),
    "tree": (c_int32, [c_void_p, c_void_p, c_int32, c_int32, c_int32, c_char_p, c_int32, c_int32, *_message]),
    "rule_count": (c_int32, []),
    "rule_text": (c_char_p, [c_int32, c_char_p]),
    "masker_open": (c_int32, [POINTER(c_void_p), c_char_p, c_int32, c_int32, *_settings, *_message]),
    "masker_open_for": (c_int32, [POINTER(c_void_p), c_void_p, c_char_p, *_settings, *_message]),
    "masker_close": (None, [c_void_p]),
    "masker_set": (c_int32, [c_void_p, c_char_p, *_message]),
    "masker_n_masked": (c_int32, [c_void_p]),
    "masker_needs": (c_char_p, [c_void_p, c_double]),
    "masker_give": (c_int32, [c_void_p, c_char_p, c_void_p, c_int64, c_int32, *_message]),
    "masker_give_labels": (c_int32, [c_void_p, c_void_p, c_int64, c_int32, *_message]),
    "masker_look": (c_int32, [c_void_p, c_void_p, *_pictures, c_double, c_int32, *_message]),
    "masker_draw": (c_int32, [c_void_p, c_double, c_int64, c_uint64, c_uint32, c_void_p, c_int32, c_void_p, *_message]),
    "masker_trees": (c_int32, [c_void_p, c_int64, c_uint64, c_int32, c_void_p, *_message]),
}


def _candidates() -> Iterable[str]:
    """EHM_LIBRARY decides alone where it is set; else what came with the package, else what the system has."""
    named = os.environ.get("EHM_LIBRARY")
    if named:
        return [named]
    bundled = pathlib.Path(__file__).resolve().parent / "libehm.so"
    return [str(bundled)] if bundled.is_file() else ["libehm.so.0", "libehm.so"]


def _load() -> ctypes.CDLL:
    why: List[str] = []
    for path in _candidates():
        try:
            lib = ctypes.CDLL(path)
        except OSError as e:
            why.append(str(e))
            continue
        try:
            version = lib.ehm_api_version
        except AttributeError:
            raise ImportError(f"{path} is no libehm with the interface that this package calls") from None
        version.restype, version.argtypes = c_int32, []
        if version() != API_VERSION:
            raise ImportError(f"{path} has interface {version()}, and this package calls interface {API_VERSION}: install both from the same release")
        for name, (result, arguments) in _signatures.items():
            f = getattr(lib, "ehm_api_" + name)
            f.restype, f.argtypes = result, arguments
        return lib
    raise ImportError("libehm cannot be loaded: " + "; ".join(why) + " (EHM_LIBRARY names the file to take)")


_loaded: Optional[ctypes.CDLL] = None


def _lib() -> ctypes.CDLL:
    global _loaded
    if _loaded is None:
        _loaded = _load()
    return _loaded


def call(name: str, *arguments: Any) -> None:
    """A function that can fail; its words become an exception. Python's lock is not held meanwhile."""
    message = ctypes.create_string_buffer(MESSAGE_BYTES)
    code = int(getattr(_lib(), "ehm_api_" + name)(*arguments, message, MESSAGE_BYTES))
    if code:
        text = message.value.decode("utf-8", "replace")
        error = _by_code.get(code, Error)(text)
        error.code = code
        raise error


def ask(name: str, *arguments: Any) -> Any:
    """A function that cannot fail."""
    return getattr(_lib(), "ehm_api_" + name)(*arguments)


def _text(raw: Optional[bytes]) -> Optional[str]:
    return None if raw is None else raw.decode("utf-8", "replace")


def ask_text(name: str, *arguments: Any) -> Optional[str]:
    return _text(ask(name, *arguments))


# ---- what goes in ----


def whole(value: Any, what: str, least: int, most: int = 2**62) -> int:
    """A whole number in its range: what ctypes would cut short without a word."""
    v = operator.index(value)
    if not least <= v <= most:
        raise ArgumentError(f"{what} {v}: must be {least} to {most}" if most < 2**62 else f"{what} {v}: must be at least {least}")
    return v


def settings_of(settings: Mapping[str, Setting]) -> List[bytes]:
    out = []
    for key, value in settings.items():
        if isinstance(value, (bool, np.bool_)):
            text = "true" if value else "false"
        elif isinstance(value, (int, np.integer)):
            text = str(int(value))
        elif isinstance(value, (float, np.floating)):
            text = repr(float(value))
        elif isinstance(value, (str, os.PathLike)):
            text = os.fspath(value)
        else:
            raise TypeError(f"{key}={value!r}: a setting is a string, a number or a bool")
        out.append(os.fsencode(f"{key}={text}"))
    return out


def texts(values: Sequence[bytes]) -> Any:
    return (c_char_p * max(1, len(values)))(*values)


def pointer(a: Optional[npt.NDArray[Any]]) -> Optional[c_void_p]:
    return None if a is None else c_void_p(a.ctypes.data)


def pixels_of(pictures: npt.ArrayLike) -> Tuple[npt.NDArray[Any], int]:
    """[n,h,w,c] in C order, u8 or f32, and its type for the library."""
    a = np.asarray(pictures)
    if a.ndim not in (3, 4):
        raise ArgumentError(f"pictures of shape {a.shape}: must be [n, height, width, channels], or [height, width, channels] for one")
    if a.ndim == 3:
        a = a[None]
    if a.dtype == np.uint8:
        return np.ascontiguousarray(a), U8
    if a.dtype == np.bool_ or not np.issubdtype(a.dtype, np.floating):
        raise ArgumentError(f"pictures of {a.dtype}: must be uint8, or floating point of 0 to 1")
    return np.ascontiguousarray(a, dtype=np.float32), F32


def picture_arguments(a: npt.NDArray[Any], kind: int) -> Tuple[Any, ...]:
    n, h, w, c = (int(x) for x in a.shape)
    return (pointer(a), n, h, w, c, kind)


def square_of(affinity: npt.ArrayLike, n: Optional[int], what: str, dtype: Any) -> Tuple[npt.NDArray[Any], bool]:
    """[b,n,n] in C order of dtype, and whether it came as a stack."""
    a = np.asarray(affinity)
    if a.ndim not in (2, 3) or a.shape[-1] != a.shape[-2] or a.size == 0 or a.dtype.kind not in "fiub":
        raise ArgumentError(f"{what} of shape {a.shape} and {a.dtype}: must be numbers [n, n], or [b, n, n] for b pictures")
    if n is not None and a.shape[-1] != n:
        raise ArgumentError(f"{what} of shape {a.shape}: the grid has {n} patches, so it must be [{n}, {n}] or [b, {n}, {n}]")
    stacked = a.ndim == 3
    return np.ascontiguousarray(a if stacked else a[None], dtype=dtype), stacked


def version() -> str:
    """Version of the library in use, such as "0.1.0"."""
    return ask_text("library_version") or ""


def features() -> List[str]:
    """What the library was built with: JPEG, PNG, WEBP, ..."""
    return (ask_text("features") or "").split()


def log_to_stderr(level: Optional[str] = "info") -> None:
    """Send the library's messages (a picture left out, a choice made) to standard error.

    Args:
        level: the least that is told: "debug", "info", "note" or "warning"; None: nothing, as at the start.
    """
    levels = ("debug", "info", "note", "warning")
    if level is not None and level not in levels:
        raise ArgumentError(f"level {level!r}: there are {', '.join(levels)}, and None")
    ask("log_level", -1 if level is None else levels.index(level))


_Owner = TypeVar("_Owner", bound="Owner")


class Owner:
    """Has one thing of the library, and gives it back once: by close, at the end of a with, or when it is no longer used."""

    _handle: Optional[c_void_p]
    _closes: ClassVar[str]  # the function that takes the thing back
    _instead: ClassVar[str]  # of pickling

    def close(self) -> None:
        """Give memory and threads back; done by itself when this is no longer used."""
        handle, self._handle = getattr(self, "_handle", None), None
        if handle:
            ask(self._closes, handle)

    def __enter__(self: _Owner) -> _Owner:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __getstate__(self) -> None:
        raise TypeError(f"a {type(self).__name__} cannot be pickled: {self._instead}")
