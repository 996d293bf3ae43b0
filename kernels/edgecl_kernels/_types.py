"""Names for the arrays that kernels take; all are C-contiguous and writeable."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I8 = NDArray[np.int8]
I16 = NDArray[np.int16]
I32 = NDArray[np.int32]
Real = NDArray[np.float32] | NDArray[np.float64]
Index = int | np.unsignedinteger
