// A language model's table cut by rows, so that frequent tokens can get more bits than rare ones.
//
// Tokenizers number tokens by how often they were met (byte pairs by the order of merges), and a text uses few of them
// most of the time: of a table that is both embeddings and head, the first rows matter far more than the last ones.
//
//   Gather(table, ids)    -> Select(ids < end_0, Gather(block_0, ids), Select(ids < end_1, Gather(block_1, ...), ...))
//   MatMul(x, table^T)    -> Concat(MatMul(x, block_0^T), MatMul(x, block_1^T), ...)
//
// Every block is a layer of its own; the same values come out. Ours.
#pragma once

#include <cstdint>
#include <functional>
#include <openvino/openvino.hpp>
#include <optional>
#include <vector>

#include "graph/import.h"

namespace dnateq {

// The ends of the blocks that a table of so many rows is cut into, the last one `rows`; one end: it stays whole.
std::vector<int64_t> table_block_ends(int64_t rows);

// Cuts every table of embeddings of which `ends_of(rows)` makes several blocks, and the MatMuls that share it, in a
// copy of the network. Nothing is changed in networks without state.
PreparedModel cut_tables(const PreparedModel& prepared,
                         const std::function<std::vector<int64_t>(int64_t)>& ends_of = table_block_ends);

// Lookups in the blocks of one table, and what joins them.
struct CutLookup {
  std::vector<ov::Node*> lookups;  // Gathers, in the order of rows
  ov::Output<ov::Node> indices;    // into the whole table
  ov::Output<ov::Node> joined;
};
// Where `first` is the lookup in the first block of a table that cut_tables() cut.
std::optional<CutLookup> cut_lookup(ov::Node* first);

// The Concat over channels that alone reads `blocks`, and nothing else; null: there is none.
ov::Node* joined_channels(const std::vector<ov::Output<ov::Node>>& blocks);

}  // namespace dnateq
