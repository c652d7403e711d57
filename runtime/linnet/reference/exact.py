"""Exact float32 steps in Numba, and a decorator that compiles and keeps types.

Numba neither contracts nor reassociates without `fastmath`: a plain `a * b + c` has two roundings,
`fma(a, b, c)` has one. A Python float promotes an expression to float64, so every constant of the
reference is an np.float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

from linnet.errors import install

try:
    from numba import njit, types
    from numba.core.errors import TypingError
    from numba.extending import intrinsic
except ImportError as error:
    raise ImportError(f"linnet.reference.engine needs Numba: {install('reference')}") from error

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """`function`, compiled at its first call for the types of its arguments."""
    return cast(_Function, njit(function))


def _exact(name: str, arguments: tuple[Any, ...], wanted: tuple[Any, ...]) -> None:
    if arguments != wanted:  # Numba would convert them unseen
        raise TypingError(f"{name} takes {wanted}, not {arguments}")


def _fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    _exact("fma", (a, b, c), (types.float32,) * 3)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), generate


def _to_bits(typing_context: Any, x: Any) -> Any:
    _exact("to_bits", (x,), (types.float32,))

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(types.int32))

    return types.int32(types.float32), generate


def _from_bits(typing_context: Any, bits: Any) -> Any:
    _exact("from_bits", (bits,), (types.int32,))

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(types.float32))

    return types.float32(types.int32), generate


# Only compiled functions can call these three.
fma: Callable[[np.float32, np.float32, np.float32], np.float32] = cast(Any, intrinsic(_fma))
to_bits: Callable[[np.float32], np.int32] = cast(Any, intrinsic(_to_bits))
from_bits: Callable[[np.int32], np.float32] = cast(Any, intrinsic(_from_bits))
