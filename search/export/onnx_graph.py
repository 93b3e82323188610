"""An ONNX graph in the making."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


class Graph:
    """The nodes and the constants of a graph in the making.

    Args:
        helper, numpy_helper, kinds: what the library onnx has as `helper`, `numpy_helper` and `TensorProto`.

    Attributes:
        nodes: the nodes, in order.
        constants: the constants.
        float, double: the numbers by which ONNX names these types.
    """

    def __init__(self, helper: Any, numpy_helper: Any, kinds: Any) -> None:
        self._helper, self._numpy_helper = helper, numpy_helper
        self.float, self.double = kinds.FLOAT, kinds.DOUBLE
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node, and return the name of its output."""
        output = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(self._helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: Tensor | NDArray[Any] | np.generic) -> str:
        """Add a constant of the type of its value unless there is one of this name, and return its name."""
        if all(known.name != name for known in self.constants):
            array = value.numpy() if isinstance(value, Tensor) else np.asarray(value)
            self.constants.append(self._numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name
