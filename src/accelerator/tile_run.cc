#include "accelerator/tile_run.h"

#include <algorithm>
#include <cmath>
#include <deque>

#include "accelerator/vault.h"

namespace dnateq::accelerator {
namespace {

// An operand's place in a vault, and which of its bursts came last: a piece that begins inside it needs it no second
// time.
struct Stream {
  int64_t base = 0;       // byte
  int64_t bits = 0;       // of a value
  int64_t shared_by = 1;  // vaults that hold a share each
  int64_t last = -1;      // burst

  void append(std::vector<Burst>& bursts, int64_t at, int64_t count, int64_t burst_bytes, bool write) {
    if (count == 0) return;
    const int64_t begin = base + at * bits / shared_by / 8;
    const int64_t end = base + ((at + count) * bits + shared_by * 8 - 1) / shared_by / 8;
    for (int64_t burst = begin / burst_bytes; burst * burst_bytes < end; ++burst) {
      if (burst == last) continue;
      last = burst;
      bursts.push_back({burst * burst_bytes, write});
    }
  }
};

// When what fills a half of a buffer may come: once the block before the last has been computed.
struct Halves {
  int64_t block = 0, ended = 0, ended_before = 0;

  int64_t free_for(int64_t next, int64_t computed) {
    if (next != block) {
      block = next;
      ended_before = ended;
      ended = computed;
    }
    return ended_before;
  }
};

class Run {
 public:
  explicit Run(const TileTask& task) : task_(task), vault_(task.config.memory) {
    const MemoryConfig& memory = task.config.memory;
    const double array_ns = 1000 / task.config.array.clock_mhz;
    clocks_a_cycle_ = array_ns / memory.clock_ns;
    // Regions far apart, and a row's worth of banks aside, so that streams begin in different banks.
    const int64_t region = int64_t{1} << 36;
    weights_ = {.base = 0, .bits = task.bits.weights, .shared_by = task.tiling.cut.rows};
    inputs_ = {.base = region + 3 * memory.row_bytes, .bits = task.bits.inputs, .shared_by = task.tiling.cut.outputs};
    outputs_ = {.base = 2 * region + 6 * memory.row_bytes, .bits = task.output_bits};
    room_bits_ = task.config.output_buffer.bytes * 8 / 2;
    lane_outputs_ = task.tiling.groups * task.tiling.rows * task.tiling.outputs;
    exchanged_ = task.tiling.cut.tiles() > 1;
  }

  TileRun run() {
    for_each_step(task_.layer, task_.bits, task_.config, task_.array, task_.tiling,
                  [this](const Step& step) { take(step); });
    finish();
    return result_;
  }

 private:
  struct Write {
    int64_t ready = 0, at = 0, count = 0;
  };

  int64_t to_clocks(int64_t cycle) const {
    return static_cast<int64_t>(std::ceil(static_cast<double>(cycle) * clocks_a_cycle_));
  }
  int64_t to_cycles(int64_t clock) const {
    return static_cast<int64_t>(std::ceil(static_cast<double>(clock) / clocks_a_cycle_ - 1e-9));
  }

  // Cycle at which the oldest outputs that wait are in memory.
  int64_t write_oldest() {
    const Write write = waiting_.front();
    waiting_.pop_front();
    waiting_bits_ -= write.count * task_.output_bits;
    bursts_.clear();
    outputs_.append(bursts_, write.at, write.count, task_.config.memory.burst_bytes, true);
    result_.written_bytes += static_cast<int64_t>(bursts_.size()) * task_.config.memory.burst_bytes;
    if (bursts_.empty()) return write.ready;
    return to_cycles(vault_.run(bursts_, to_clocks(write.ready)));
  }

  // Cycle at which the step's operands are in the buffers.
  int64_t fetch(const Step& step) {
    if (step.weights + step.inputs == 0) return 0;
    int64_t ready = 0;
    if (step.weights > 0) ready = std::max(ready, weight_halves_.free_for(step.weight_block, now_));
    if (step.inputs > 0) ready = std::max(ready, input_halves_.free_for(step.input_block, now_));
    while (!waiting_.empty() && waiting_.front().ready < ready) write_oldest();
    bursts_.clear();
    const int64_t burst_bytes = task_.config.memory.burst_bytes;
    double arriving_bits = 0;  // from other tiles
    const auto from = [&](Stream& stream, int64_t at, int64_t count, bool on_chip) {
      const auto total = static_cast<double>(count * stream.bits);
      if (on_chip) {
        arriving_bits += total;
        return;
      }
      stream.append(bursts_, at, count, burst_bytes, false);
      arriving_bits += total * static_cast<double>(stream.shared_by - 1) / static_cast<double>(stream.shared_by);
    };
    from(weights_, step.weights_at, step.weights, task_.bits.weights_on_chip);
    from(inputs_, step.inputs_at, step.inputs, task_.bits.inputs_on_chip);
    result_.read_bytes += static_cast<int64_t>(bursts_.size()) * burst_bytes;
    int64_t done = ready;
    if (!bursts_.empty()) done = to_cycles(vault_.run(bursts_, to_clocks(ready)));
    port_free_ =
        std::max(port_free_, static_cast<double>(ready)) + arriving_bits / 8 / task_.config.network.bytes_per_cycle;
    return std::max(done, static_cast<int64_t>(std::ceil(port_free_)));
  }

  void take(const Step& step) {
    const int64_t fetched = fetch(step);
    for (int64_t left = step.pairs; left > 0;) {
      wait(left == step.pairs ? fetched : 0);
      const int64_t pairs = std::min(left, task_.pe.flush_after - since_flush_);
      left -= pairs;
      now_ += pairs;
      since_flush_ += pairs;
      result_.cycles.compute += pairs;
      const bool ends = left == 0 && step.ends_fold;
      if (ends) {
        const int64_t drain = task_.array.rows + task_.array.columns - 2;
        now_ += drain;
        result_.cycles.drain += drain;
      } else if (since_flush_ < task_.pe.flush_after) {
        continue;
      }
      read_out(step.rows * step.columns, ends);
    }
  }

  // Until operands are there and counters are free.
  void wait(int64_t fetched) {
    const int64_t counters = since_flush_ == 0 ? counters_free_ : 0;
    const int64_t start = std::max({now_, fetched, counters});
    // What a full output buffer delayed the counters by is the memory's.
    const int64_t post = std::max<int64_t>(0, std::max(now_, counters - held_by_memory_) - now_);
    result_.cycles.post_processing += post;
    result_.cycles.memory_stall += start - now_ - post;
    now_ = start;
  }

  void read_out(int64_t lanes, bool last) {
    since_flush_ = 0;
    int64_t begin = std::max(now_, post_free_);
    held_by_memory_ = 0;
    int64_t written = 0, at = 0;
    if (last) {
      // What is written may be fewer values than lanes computed (pooling): spread evenly.
      at = share_of_outputs(lanes_done_);
      lanes_done_ += lanes;
      written = share_of_outputs(lanes_done_) - at;
      if (!task_.outputs_stay) {
        int64_t room_at = 0;
        while (!waiting_.empty() && waiting_bits_ + written * task_.output_bits > room_bits_) room_at = write_oldest();
        held_by_memory_ = std::max<int64_t>(0, room_at - begin);
        begin += held_by_memory_;
      }
    }
    const int64_t before = post_free_;
    post_free_ = begin + post_time(task_.config, task_.pe, lanes, last);
    counters_free_ = task_.config.array.double_buffered_counters ? before : post_free_;
    if (!last || task_.outputs_stay) return;
    double out = static_cast<double>(post_free_);
    if (exchanged_) {
      out = std::max(out, out_port_free_) +
            static_cast<double>(written * task_.output_bits) / 8 / task_.config.network.bytes_per_cycle;
      out_port_free_ = out;
    }
    waiting_.push_back({static_cast<int64_t>(std::ceil(out)), at, written});
    waiting_bits_ += written * task_.output_bits;
  }

  int64_t share_of_outputs(int64_t lanes) const {
    return static_cast<int64_t>(static_cast<__int128>(lanes) * task_.output_values / lane_outputs_);
  }

  void finish() {
    result_.cycles.drain -= 1;
    const int64_t post = std::max<int64_t>(0, post_free_ - now_);
    result_.cycles.post_processing += post;
    now_ += post;
    int64_t written = 0;
    while (!waiting_.empty()) written = std::max(written, write_oldest());
    result_.cycles.memory_stall += std::max<int64_t>(0, written - now_);
  }

  const TileTask& task_;
  Vault vault_;
  double clocks_a_cycle_ = 1;
  Stream weights_, inputs_, outputs_;
  Halves weight_halves_, input_halves_;
  std::vector<Burst> bursts_;
  std::deque<Write> waiting_;
  int64_t waiting_bits_ = 0, room_bits_ = 0, lane_outputs_ = 0, lanes_done_ = 0;
  bool exchanged_ = false;
  int64_t now_ = 0, since_flush_ = 0, post_free_ = 0, counters_free_ = 0, held_by_memory_ = 0;
  double port_free_ = 0, out_port_free_ = 0;
  TileRun result_;
};

}  // namespace

TileRun run_tile(const TileTask& task) { return Run(task).run(); }

}  // namespace dnateq::accelerator
