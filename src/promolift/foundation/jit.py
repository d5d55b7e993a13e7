"""Compile loops with Numba at their first call, and name the array types of the compiled kernels."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])
Floats = NDArray[np.float32]
Days = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def jit_compile(function: F) -> F:
    """Compile at the first call and cache the machine code on disk. A kernel calls no kernel of another file: its cache
    would go stale.
    """
    return cast(F, numba.njit(cache=True)(function))
