"""Models of other packages, where these are installed."""

import dnateq
import numpy as np
import pytest


def test_onnx_model_proto(samples):
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    weights = np.random.default_rng(0).laplace(size=(16, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], name="only", pads=[1, 1, 1, 1])], "one",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 16, 8, 8])],
        [onnx.numpy_helper.from_array(weights, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    result = dnateq.quantize(model, [{"x": sample} for sample in samples], target_bits=4, progress=False)
    assert len(result.layers) == 1 and result.layers[0]["type"] == "Convolution"


def test_torch_module(samples):
    torch = pytest.importorskip("torch")

    class Network(torch.nn.Module):  # of the user's own module, not of torch's
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.Linear(16 * 64, 5)

        def forward(self, x):
            return self.second(torch.relu(self.first(x)).flatten(1))

    loader = torch.utils.data.DataLoader([(torch.from_numpy(sample[0]), 1) for sample in samples], batch_size=1)
    once = iter(loader)
    result = dnateq.quantize(Network().eval(), once, transform=lambda item: item[0], target_bits=4, progress=False)
    assert [row["type"] for row in result.layers] == ["Convolution", "MatMul"]
    assert result.recipe.data["metric"]["samples_from"] == "calibration split"
