from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int32]

def forward(
    starts: Integers,
    columns: Integers,
    values: Any,
    frames: Any,
    inputs: Any,
    input_weights: Any,
    bias: Any,
    states: Any,
    gates: Any,
    hop: int,
) -> None: ...
def backward(
    starts: Integers,
    columns: Integers,
    values: Any,
    inputs: Any,
    states: Any,
    gates: Any,
    gradient: Any,
    through: Any,
    frame_gradient: Any,
    input_gradient: Any,
    hop: int,
) -> None: ...
def weight_gradient(
    starts: Integers, columns: Integers, states: Any, through: Any, gradient: Any
) -> None: ...
