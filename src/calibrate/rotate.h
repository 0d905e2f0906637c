// Rotations of a language model's inner spaces, folded into its weights: what the network computes stays as it is, and
// weights become more like a normal distribution, without outliers, which codes with one scale a channel need.
//
//   residual stream   what embeddings and layers add up, normalized by its root mean square (RMSNorm), and read by
//                     layers: the norms' weights move into the layers that read them, and both sides are multiplied by
//                     one orthogonal matrix. Where the table of embeddings is that of the output too, a small matrix in
//                     front of the output takes the last norm's weights, so that both keep one table.
//   values            of attention, head by head: the layer that makes them, with its bias, alone or beside queries and
//                     keys, and the one that reads attention's result.
//   MLPs              what enters the second layer of each, by a Hadamard transform (core/hadamard.h) that the network
//                     computes: nothing else could undo it in front of a product or an activation function.
//
// Source: SliceGPT (arXiv 2401.15024) and QuaRot (arXiv 2404.00456) for the idea; the shared table is ours.
#pragma once

#include <cstdint>
#include <string>

#include "graph/import.h"

namespace dnateq {

struct Rotated {
  PreparedModel prepared;
  bool stream = false;     // the residual stream is rotated
  std::string why_not;     // the stream is not, because; a whole sentence without its full stop
  size_t value_heads = 0;  // layers of attention whose values are rotated
  size_t mlps = 0;         // MLPs whose inner values are transformed
};

// The matrices are random, by the seed. `prepared` is left as it was.
Rotated rotate(const PreparedModel& prepared, uint64_t seed, bool transforms_mlps = true);

}  // namespace dnateq
