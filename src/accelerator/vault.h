// One vault of a 3D-stacked memory: banks with one open row each, one data bus, refresh. Runs a stream of bursts and
// says when the last one has moved.
//
// Time is counted in the memory's clock; every timing parameter is rounded up to whole clocks, as a controller does. A
// request names the first byte of a burst; consecutive rows lie in consecutive banks. Requests of one call wait in a
// queue of kQueue entries, of which the one that can move soonest goes first (the oldest among equals): row hits pass
// requests that wait for a row. Rows stay open until another row of their bank is wanted or a refresh closes all.
//
// Source of the structure: JEDEC-like timing as in gem5's HMC_2500_1x32; agrees with DRAMsim3 within 1 %
// (vault_test.cc). Non-goals: the serial links (processing in the logic die bypasses them), vaults' crosstalk,
// power-down.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "accelerator/config.h"

namespace dnateq::accelerator {

struct Burst {
  int64_t address = 0;  // byte; the burst is the one that holds it
  bool write = false;
};

class Vault {
 public:
  static constexpr int kQueue = 32;

  explicit Vault(const MemoryConfig& memory);

  // Runs these, none before `ready` (memory clocks from the beginning); the clock after the last data. Calls are served
  // in order: a later call's bursts wait for an earlier call's.
  int64_t run(std::span<const Burst> bursts, int64_t ready);

  int64_t row_misses() const { return row_misses_; }

 private:
  struct Bank {
    int64_t row = -1;
    int64_t activate_after = 0, column_after = 0, precharge_after = 0;
  };
  struct Request {
    int64_t row = 0, entered = 0;
    int bank = 0;
    bool write = false;
  };

  Request request(const Burst& burst, int64_t entered) const;
  int64_t activate_at(const Request& request) const;  // for a request whose row is not open
  int64_t column_at(const Request& request) const;
  void issue(const Request& request);
  void refresh();

  int64_t row_bytes_, banks_count_;
  int row_shift_, bank_shift_;  // -1: not a power of two
  int64_t burst_, trcd_, tcl_, trp_, tras_, trrd_, twr_, trtp_, twtr_, trfc_, trefi_, tfaw_;
  std::vector<Bank> banks_;
  std::array<int64_t, 4> activations_{};  // the last four, for tFAW; a ring
  size_t oldest_activation_ = 0;
  int64_t last_activation_, read_after_ = 0, write_after_ = 0;  // earliest column commands that the bus allows
  int64_t last_column_ = 0, done_ = 0, next_refresh_;
  int64_t row_misses_ = 0;
};

}  // namespace dnateq::accelerator
