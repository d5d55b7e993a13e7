"""Compile a loop with Numba at its first call, and name the arrays it works on."""

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


def compiled(function: F) -> F:
    """Compiled at the first call and kept on disk; kernels call none of another file, so that none goes stale."""
    return cast(F, numba.njit(cache=True)(function))
