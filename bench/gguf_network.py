#!/usr/bin/env python3
"""A GGUF file in llama.cpp: the logits of a text, and answers that are timed (timed_answers.py). Needs what tools/llama_cpp.sh
installs."""

import ctypes
import os
import sys
from pathlib import Path

import numpy as np
from timed_answers import serve


def llama_cpp_folder():
    """Its programs and libraries."""
    return Path(sys.prefix) / "llama.cpp"


def missing():
    """Why llama.cpp is not there, in a sentence, or None."""
    if not (llama_cpp_folder() / "ready").is_file():
        return "llama.cpp is not in this Python environment; tools/llama_cpp.sh installs it"
    return None


def library():
    os.environ.setdefault("LLAMA_CPP_LIB_PATH", str(llama_cpp_folder()))
    import llama_cpp

    return llama_cpp


class GgufNetwork:
    """`exact_state`: keys and values of attention stay in float32, and not in FP16, which is llama.cpp's default."""

    _said = []  # by llama.cpp

    def __init__(self, path, context, threads=1, exact_state=False):
        self._llama = llama = library()
        if not self._said:
            GgufNetwork._log = llama.llama_log_callback(lambda level, text, data: self._said.append(text.decode(errors="replace")))
            llama.llama_log_set(self._log, ctypes.c_void_p(0))
            llama.llama_backend_init()
        self._model = llama.llama_model_load_from_file(str(path).encode(), llama.llama_model_default_params())
        if not self._model:
            raise ValueError(f"llama.cpp cannot load '{path}': {' '.join(''.join(self._said[-4:]).split())}")
        options = llama.llama_context_default_params()
        options.n_ctx = options.n_batch = context
        options.n_threads = options.n_threads_batch = threads
        if exact_state:
            options.type_k = options.type_v = llama.GGML_TYPE_F32
            options.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self._context = llama.llama_init_from_model(self._model, options)
        if not self._context:
            raise ValueError(f"llama.cpp cannot run '{path}': {' '.join(''.join(self._said[-4:]).split())}")
        self._vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(self._model))
        self._greedy = llama.llama_sampler_init_greedy()

    def _decode(self, batch):
        if status := self._llama.llama_decode(self._context, batch):
            raise ValueError(f"llama.cpp stopped with {status}")

    def _forget(self):
        self._llama.llama_memory_clear(self._llama.llama_get_memory(self._context), False)

    def logits(self, ids):
        """[tokens, vocabulary] of a text read from its beginning; valid until the next call."""
        self._forget()
        batch = self._llama.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for at, token in enumerate(ids):
            batch.token[at], batch.pos[at], batch.n_seq_id[at], batch.seq_id[at][0], batch.logits[at] = int(token), at, 1, 0, 1
        self._decode(batch)
        self._llama.llama_batch_free(batch)
        return np.ctypeslib.as_array(self._llama.llama_get_logits(self._context), (len(ids), self._vocabulary))

    def answer(self, ids, tokens):
        """Reads the ids and chooses `tokens` likeliest tokens one after the other."""
        self._forget()
        read = (self._llama.llama_token * len(ids))(*map(int, ids))
        for _ in range(tokens):
            self._decode(self._llama.llama_batch_get_one(read, len(read)))
            read = (self._llama.llama_token * 1)(self._llama.llama_sampler_sample(self._greedy, self._context, -1))


def loaded(path, context, threads):
    if (why := missing()) is not None:
        raise ValueError(why)
    return GgufNetwork(path, context, threads)


if __name__ == "__main__":
    serve(__doc__, loaded)
