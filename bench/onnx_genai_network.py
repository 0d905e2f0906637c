#!/usr/bin/env python3
"""A folder that ONNX Runtime GenAI's builder made: answers that are timed, by the same requests and replies as gguf_network.py."""

import json

from timed_answers import serve

FILE = "genai_config.json"


class OnnxGenaiNetwork:
    def __init__(self, folder, context, threads=1):
        import onnxruntime_genai

        self._genai, self._context = onnxruntime_genai, context
        config = onnxruntime_genai.Config(str(folder))
        config.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": threads}}}}))
        self._model = onnxruntime_genai.Model(config)

    def answer(self, ids, tokens):
        """Reads the ids and chooses `tokens` likeliest tokens one after the other."""
        options = self._genai.GeneratorParams(self._model)
        # No token ends the answer.
        options.set_search_options(do_sample=False, max_length=self._context, min_length=self._context)
        generator = self._genai.Generator(self._model, options)
        generator.append_tokens(list(map(int, ids)))
        for _ in range(tokens):
            generator.generate_next_token()


if __name__ == "__main__":
    serve(__doc__, OnnxGenaiNetwork)
