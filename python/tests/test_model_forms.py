"""Models of other packages, where these are installed, and models that another CPU was meant to run."""

import os
import re
import subprocess
import sys
from pathlib import Path

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


@pytest.mark.skipif(not re.search("avx_vnni|avx512_vnni", Path("/proc/cpuinfo").read_text()), reason="this CPU has no VNNI")
def test_a_model_for_vnni_alone_is_refused_where_a_cap_takes_it_away(network, samples, tmp_path):
    dnateq.quantize(network, samples, weight_bits=7, emit="standard", target_isa="vnni", directory=tmp_path / "out", progress=False, threads=1)
    script = "import sys, dnateq\ntry: dnateq.load(sys.argv[1])\nexcept ValueError as error: print(error)"

    def said(**environment):
        return subprocess.run([sys.executable, "-c", script, tmp_path / "out"], capture_output=True, text=True, check=True,
                              env={**os.environ, **environment}).stdout

    assert said() == ""
    sentence = said(ONEDNN_MAX_CPU_ISA="AVX2")
    assert "model.xml" in sentence and "target_isa" in sentence and len(sentence.splitlines()) == 1
