#include "accelerator/vault.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace dnateq::accelerator {
namespace {

constexpr int64_t kLongAgo = -(int64_t{1} << 40);

int shift_of(int64_t value) {
  return std::has_single_bit(static_cast<uint64_t>(value)) ? std::countr_zero(static_cast<uint64_t>(value)) : -1;
}

}  // namespace

Vault::Vault(const MemoryConfig& memory)
    : row_bytes_(memory.row_bytes),
      banks_count_(memory.banks_per_vault),
      row_shift_(shift_of(memory.row_bytes)),
      bank_shift_(shift_of(memory.banks_per_vault)),
      banks_(static_cast<size_t>(memory.banks_per_vault)),
      last_activation_(kLongAgo) {
  const auto clocks = [&](double ns) { return static_cast<int64_t>(std::ceil(ns / memory.clock_ns - 1e-9)); };
  burst_ = std::max<int64_t>(1, clocks(memory.burst_ns));
  trcd_ = clocks(memory.trcd_ns);
  tcl_ = clocks(memory.tcl_ns);
  trp_ = clocks(memory.trp_ns);
  tras_ = clocks(memory.tras_ns);
  trrd_ = clocks(memory.trrd_ns);
  twr_ = clocks(memory.twr_ns);
  trtp_ = clocks(memory.trtp_ns);
  twtr_ = clocks(memory.twtr_ns);
  trfc_ = clocks(memory.trfc_ns);
  trefi_ = std::max<int64_t>(1, clocks(memory.trefi_ns));
  tfaw_ = clocks(memory.tfaw_ns);
  activations_.fill(kLongAgo);
  next_refresh_ = (trefi_ + 1) / 2;  // the mean of an unknown phase: a short run meets its share of refreshes
}

Vault::Request Vault::request(const Burst& burst, int64_t entered) const {
  Request result{.entered = entered, .write = burst.write};
  const int64_t row = row_shift_ >= 0 ? burst.address >> row_shift_ : burst.address / row_bytes_;
  if (bank_shift_ >= 0) {
    result.bank = static_cast<int>(row & (banks_count_ - 1));
    result.row = row >> bank_shift_;
  } else {
    result.bank = static_cast<int>(row % banks_count_);
    result.row = row / banks_count_;
  }
  return result;
}

int64_t Vault::activate_at(const Request& request) const {
  const Bank& bank = banks_[static_cast<size_t>(request.bank)];
  const int64_t closed = bank.row < 0 ? std::max(bank.activate_after, request.entered)
                                      : std::max(bank.precharge_after, request.entered) + trp_;
  return std::max({closed, last_activation_ + trrd_, activations_[oldest_activation_] + tfaw_});
}

int64_t Vault::column_at(const Request& request) const {
  const Bank& bank = banks_[static_cast<size_t>(request.bank)];
  const int64_t opened =
      bank.row == request.row ? std::max(bank.column_after, request.entered) : activate_at(request) + trcd_;
  return std::max(opened, request.write ? write_after_ : read_after_);
}

void Vault::issue(const Request& request) {
  Bank& bank = banks_[static_cast<size_t>(request.bank)];
  if (bank.row != request.row) {
    ++row_misses_;
    const int64_t activation = activate_at(request);
    bank.row = request.row;
    bank.column_after = activation + trcd_;
    bank.precharge_after = activation + tras_;
    last_activation_ = activation;
    activations_[oldest_activation_] = activation;
    oldest_activation_ = (oldest_activation_ + 1) % activations_.size();
  }
  const int64_t column = column_at(request);
  const int64_t data_end = column + tcl_ + burst_;
  last_column_ = column;
  if (request.write) {
    bank.precharge_after = std::max(bank.precharge_after, data_end + twr_);
    write_after_ = column + burst_;
    read_after_ = data_end + twtr_;
  } else {
    bank.precharge_after = std::max(bank.precharge_after, column + trtp_);
    read_after_ = column + burst_;
    write_after_ = column + burst_ + 1;  // one clock for the bus to turn; writes and reads have the same latency
  }
  done_ = std::max(done_, data_end);
}

void Vault::refresh() {
  int64_t start = next_refresh_;
  for (const Bank& bank : banks_) {
    if (bank.row >= 0) start = std::max(start, bank.precharge_after);
  }
  for (Bank& bank : banks_) {
    bank.row = -1;
    bank.activate_after = start + trp_ + trfc_;
  }
  next_refresh_ += trefi_;
}

int64_t Vault::run(std::span<const Burst> bursts, int64_t ready) {
  // Refreshes of a long idle time happen unseen; the last one may still be in the way.
  if (next_refresh_ + trefi_ < ready) next_refresh_ += (ready - next_refresh_ - 1) / trefi_ * trefi_;
  std::array<Request, kQueue> queue;
  size_t waiting = 0, next = 0;
  int64_t entered = ready;
  while (waiting > 0 || next < bursts.size()) {
    while (waiting < queue.size() && next < bursts.size()) queue[waiting++] = request(bursts[next++], entered);
    size_t best = 0;
    int64_t best_at = column_at(queue[0]);
    // Nothing can be sooner than what the bus allows.
    const int64_t soonest = std::max(ready, std::min(read_after_, write_after_));
    for (size_t i = 1; i < waiting && best_at > soonest; ++i) {
      const int64_t at = column_at(queue[i]);
      if (at < best_at) best_at = at, best = i;
    }
    if (best_at >= next_refresh_) {
      refresh();
      continue;
    }
    issue(queue[best]);
    entered = std::max(entered, last_column_);
    std::move(queue.begin() + static_cast<std::ptrdiff_t>(best) + 1,
              queue.begin() + static_cast<std::ptrdiff_t>(waiting), queue.begin() + static_cast<std::ptrdiff_t>(best));
    --waiting;
  }
  return done_;
}

}  // namespace dnateq::accelerator
