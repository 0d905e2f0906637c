"""The translation Transformer of an encoder and a decoder file, in OpenVINO: greedy decoding with explicit KV cache.

Encoder: src int64 [n, s] (padded with 0) -> src_mask, cross_k_*, cross_v_*. Decoder: tgt int64 [n, t], those, and
past_k_*, past_v_* [n, heads, length so far, width] -> logits [n, t, vocabulary] and present_*, the next step's past.
"""

import numpy as np
import openvino as ov
import sentencepiece

PAD, BOS, EOS = 0, 1, 2


class Transformer:
    """`encoder` and `decoder`: files, models, or compiled models."""

    def __init__(self, encoder, decoder, spm, extension=None, threads=0):
        core = ov.Core()
        if extension:
            core.add_extension(str(extension))
        # f32: bf16 would change the figures on CPUs that have it.
        config = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if threads:
            config["INFERENCE_NUM_THREADS"] = threads
        self.encoder, self.decoder = (
            (model if isinstance(model, ov.CompiledModel) else core.compile_model(model, "CPU", config)).create_infer_request()
            for model in (encoder, decoder))
        self.pieces = sentencepiece.SentencePieceProcessor(model_file=str(spm))
        inputs = self.decoder.model_inputs
        self.context_names = [p.any_name for p in inputs if p.any_name == "src_mask" or p.any_name.startswith("cross_")]
        self.past_shapes = {p.any_name: p.partial_shape for p in inputs if p.any_name.startswith("past_")}

    def source_ids(self, sentences):
        """Sentences -> int64 [n, longest], padded."""
        rows = [self.pieces.encode(s) + [EOS] for s in sentences]
        ids = np.full((len(rows), max(map(len, rows))), PAD, np.int64)
        for row, tokens in zip(ids, rows):
            row[:len(tokens)] = tokens
        return ids

    def encode(self, source):
        """Source ids -> the decoder inputs that stay the same for all steps."""
        self.encoder.infer({"src": source})
        return {name: self.encoder.get_tensor(name).data.copy() for name in self.context_names}

    def empty_past(self, n):
        return {name: np.zeros((n, shape[1].get_length(), 0, shape[3].get_length()), np.float32)
                for name, shape in self.past_shapes.items()}

    def decode(self, target, context, past):
        """One call of the decoder -> logits [n, t, vocabulary] and the past that follows."""
        self.decoder.infer({"tgt": target, **context, **past})
        present = {name: self.decoder.get_tensor(name.replace("past_", "present_")).data.copy() for name in past}
        return self.decoder.get_tensor("logits").data, present

    def greedy(self, sentences, max_length=80):
        """Sentences -> lists of target ids, without bos and eos."""
        context, past = self.encode(self.source_ids(sentences)), self.empty_past(len(sentences))
        token = np.full((len(sentences), 1), BOS, np.int64)
        results, open_rows = [[] for _ in sentences], np.ones(len(sentences), bool)
        for _ in range(max_length):
            logits, past = self.decode(token, context, past)
            token = logits[:, -1:].argmax(-1)
            open_rows &= token[:, 0] != EOS
            for row in np.flatnonzero(open_rows):
                results[row].append(int(token[row, 0]))
            if not open_rows.any():
                break
        return results

    def translate(self, sentences, batch=50):
        """Sentences -> translations; sentences of similar length share a batch, so that little is padding."""
        lengths = [len(self.pieces.encode(s)) for s in sentences]
        order = sorted(range(len(sentences)), key=lengths.__getitem__)
        translations = [""] * len(sentences)
        for start in range(0, len(order), batch):
            part = order[start:start + batch]
            for index, ids in zip(part, self.greedy([sentences[i] for i in part])):
                translations[index] = self.pieces.decode(ids)
        return translations


def read_lines(path, limit=None):
    with open(path, encoding="utf-8") as file:
        return [line.strip() for line in file][:limit]
