"""Reads and evaluates LightGBM's models by its C library, without its Python package.

That package imports scikit-learn and pandas (a second of processor time before the first page is shown) and
sets up a new configuration for every call, several times what the trees of one row take. The functions are
LightGBM's documented C API; results are the package's own, bit by bit.
"""

import ctypes
import weakref
from ctypes import POINTER, byref, c_char_p, c_double, c_int, c_int32, c_int64, c_void_p
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_FLOAT64, _ROW_MAJOR, _ALL_ITERATIONS = 1, 1, -1
_NORMAL, _CONTRIBUTIONS = 0, 3
_BY_GAIN = 1
_PARAMETERS = b"num_threads=1 verbosity=-1"


class TreesError(ValueError):
    """LightGBM cannot read these trees, or not with these rows."""


class Trees:
    """Boosted trees read from LightGBM's text."""

    def __init__(self, text: str) -> None:
        library = _library()
        handle, iterations, features = c_void_p(), c_int(), c_int()
        _check(library.LGBM_BoosterLoadModelFromString(text.encode(), byref(iterations), byref(handle)))
        weakref.finalize(self, library.LGBM_BoosterFree, handle)
        _check(library.LGBM_BoosterGetNumFeature(handle, byref(features)))
        self._handle = handle
        self.feature_count = features.value
        fast = c_void_p()
        _check(
            library.LGBM_BoosterPredictForMatSingleRowFastInit(
                handle, _NORMAL, 0, _ALL_ITERATIONS, _FLOAT64, features.value, _PARAMETERS, byref(fast)
            )
        )
        weakref.finalize(self, library.LGBM_FastConfigFree, fast)
        self._fast = fast
        self._predict_one = _quick_library().LGBM_BoosterPredictForMatSingleRowFast

    @property
    def tree_count(self) -> int:
        """Number of trees."""
        count = c_int()
        _check(_library().LGBM_BoosterNumberOfTotalModel(self._handle, byref(count)))
        return count.value

    def predict(self, rows: Floats) -> Floats:
        """Return one value per row of shape (n, n_features), float64, shape (n,)."""
        rows = self._checked(rows)
        if len(rows) != 1:
            return self._predict(rows, _NORMAL, 1)[:, 0]
        value, count = c_double(), c_int64()
        _check(self._predict_one(self._fast, rows.ctypes.data, byref(count), byref(value)))
        return np.array([value.value])

    def contributions(self, rows: Floats) -> Floats:
        """Return TreeSHAP contributions, shape (n, n_features + 1); the last column is the base value."""
        return self._predict(self._checked(rows), _CONTRIBUTIONS, self.feature_count + 1)

    def gains(self) -> Floats:
        """Return by how much all splits on each feature reduced the loss, shape (n_features,)."""
        gains = np.zeros(self.feature_count)
        pointer = gains.ctypes.data_as(POINTER(c_double))
        _check(_library().LGBM_BoosterFeatureImportance(self._handle, 0, _BY_GAIN, pointer))
        return gains

    def _checked(self, rows: Floats) -> Floats:
        if rows.ndim != 2 or rows.shape[1] != self.feature_count:
            raise TreesError(f"rows of shape {rows.shape} for trees of {self.feature_count} features")
        return np.ascontiguousarray(rows, dtype=np.float64)

    def _predict(self, rows: Floats, kind: int, width: int) -> Floats:
        values, count = np.empty((len(rows), width)), c_int64()
        if len(rows):
            _check(
                _library().LGBM_BoosterPredictForMat(
                    self._handle,
                    rows.ctypes.data,
                    _FLOAT64,
                    len(rows),
                    self.feature_count,
                    _ROW_MAJOR,
                    kind,
                    0,
                    _ALL_ITERATIONS,
                    _PARAMETERS,
                    byref(count),
                    values.ctypes.data_as(POINTER(c_double)),
                )
            )
        return values


def _check(status: int) -> None:
    if status != 0:
        raise TreesError(_library().LGBM_GetLastError().decode())


@cache
def _library() -> ctypes.CDLL:
    """Return LightGBM's library; it drops Python's lock while it works."""
    library = ctypes.CDLL(str(_library_path()))
    library.LGBM_GetLastError.restype = c_char_p
    library.LGBM_BoosterLoadModelFromString.argtypes = [c_char_p, POINTER(c_int), POINTER(c_void_p)]
    for free in (library.LGBM_BoosterFree, library.LGBM_FastConfigFree):
        free.argtypes = [c_void_p]
    for count in (library.LGBM_BoosterGetNumFeature, library.LGBM_BoosterNumberOfTotalModel):
        count.argtypes = [c_void_p, POINTER(c_int)]
    library.LGBM_BoosterFeatureImportance.argtypes = [c_void_p, c_int, c_int, POINTER(c_double)]
    library.LGBM_BoosterPredictForMatSingleRowFastInit.argtypes = [
        *(c_void_p, c_int, c_int, c_int, c_int, c_int32, c_char_p),
        POINTER(c_void_p),
    ]
    library.LGBM_BoosterPredictForMat.argtypes = [
        *(c_void_p, c_void_p, c_int, c_int32, c_int32, c_int, c_int, c_int, c_int, c_char_p),
        *(POINTER(c_int64), POINTER(c_double)),
    ]
    return library


@cache
def _quick_library() -> ctypes.PyDLL:
    """Return the library that keeps Python's lock: waiting to get it back may take longer than a row."""
    library = ctypes.PyDLL(str(_library_path()))
    library.LGBM_BoosterPredictForMatSingleRowFast.argtypes = [
        *(c_void_p, c_void_p),
        *(POINTER(c_int64), POINTER(c_double)),
    ]
    return library


def _library_path() -> Path:
    package = find_spec("lightgbm")
    for folder in (package and package.submodule_search_locations) or ():
        for path in sorted(Path(folder).glob("*/lib_lightgbm.*")):
            return path
    raise TreesError("LightGBM's library is not installed; install the package `lightgbm`.")
