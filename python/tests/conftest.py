"""Small networks and samples that every test can afford."""

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops


def some_samples() -> list[np.ndarray]:
    random = np.random.default_rng(1)
    return [random.standard_normal((1, 3, 8, 8)).astype(np.float32) for _ in range(24)]


def _layer(x: ov.Output, weights: np.ndarray, name: str) -> ov.Output:
    y = ops.convolution(x, ops.constant(weights), [1, 1], [1, 1], [1, 1], [1, 1])
    y.set_friendly_name(name)
    return ops.relu(y).output(0)


def small_network() -> ov.Model:
    """Two convolutions and a classifier: [N,3,8,8] -> [N,5]."""
    random = np.random.default_rng(0)

    def weights(*shape: int) -> np.ndarray:
        return (random.laplace(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    x = ops.parameter(ov.PartialShape([-1, 3, 8, 8]), ov.Type.f32, "image")
    x.output(0).set_names({"image"})
    y = _layer(_layer(x.output(0), weights(16, 3, 3, 3), "first"), weights(16, 16, 3, 3), "second")
    y = ops.reshape(y, ops.constant(np.array([0, 16 * 64])), True)
    y = ops.matmul(y, ops.constant(weights(5, 16 * 64)), False, True)
    y.set_friendly_name("classifier")
    y.output(0).set_names({"scores"})
    return ov.Model([ops.result(y)], [x], "small")


@pytest.fixture
def samples() -> list[np.ndarray]:
    return some_samples()


@pytest.fixture
def network() -> ov.Model:
    return small_network()
