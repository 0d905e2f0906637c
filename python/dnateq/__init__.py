"""dnateq: post-training quantization of trained networks to 3-6 bits a value, for CPUs.

    result = dnateq.quantize("resnet.onnx", samples, metric=accuracy, max_drop=0.01)
    result.save("resnet-quantized")

`quantize` (or `quantize_many`, for several networks under one metric) searches; `load` reads what was saved; `allocate`
shares out another number of bits from the same measurements; `analyze` tells which distribution each tensor follows; `bench`
times results beside FP32 and others' INT8; `simulate` asks what an accelerator would gain. `quantize_language_model` takes the
folder of a language model and a text, and `evaluate_language_model` tells what the result lost.
"""

from dnateq._ignored import IgnoredScope
from dnateq._language import evaluate_language_model, quantize_language_model
from dnateq._models import load
from dnateq._program import bench, extension, simulate
from dnateq._quantize import allocate, analyze, quantize, quantize_many
from dnateq._recipe import Recipe
from dnateq._result import ManyResult, NotCertified, Result

__version__ = "0.1.0"
__all__ = ["IgnoredScope", "ManyResult", "NotCertified", "Recipe", "Result", "allocate", "analyze", "bench",
           "evaluate_language_model", "extension", "load", "quantize", "quantize_language_model", "quantize_many", "simulate"]
