#include "reference.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <deque>
#include <stdexcept>
#include <string>
#include <utility>

namespace dnateq::rtl {

// ---- parts and vectors ----

int Part::rows() const {
  if (multiplies()) return 1;
  if (design == "shift") return q;
  return histograms() == 4 ? 4 << n : (2 << n) - 1;
}

int Part::term_bits() const { return design == "shift" ? width + ((2 << n) - 2) / q : width; }

int Part::sum_bits() const {
  int row_bits = 0;
  while ((1 << row_bits) < rows()) ++row_bits;
  return std::max(40, term_bits() + 17 + row_bits + 6);
}

int64_t Part::init() const { return (int64_t{1} << (term_bits() - 1)) + (int64_t{1} << (term_bits() - 4)) / 3; }

int Part::horizon() const {
  const int64_t room = (int64_t{1} << term_bits()) - 1 - init();
  if (multiplies()) return static_cast<int>(room >> 14);
  return static_cast<int>(room >> (term_bits() - width));
}

namespace {
template <size_t kWords>
void put(std::array<uint32_t, kWords>& words, int low, int bits, uint64_t value) {
  for (int b = 0; b < bits; ++b) {
    const auto word = static_cast<size_t>(low + b) / 32;
    const uint32_t bit = uint32_t{1} << ((low + b) % 32);
    words[word] = (value >> b & 1) ? words[word] | bit : words[word] & ~bit;
  }
}
}  // namespace

void Vector::set(int low, int bits, uint64_t value) { put(in, low, bits, value); }

void Vector::expect(int low, int bits, uint64_t value) {
  put(mask, low, bits, ~uint64_t{0});
  put(expected, low, bits, value);
}

bool Vector::agrees(const std::array<uint32_t, 3>& out) const {
  for (size_t k = 0; k < 3; ++k)
    if ((out[k] ^ expected[k]) & mask[k]) return false;
  return true;
}

std::string Vector::line() const {
  char text[96];
  int used = std::snprintf(text, sizeof text, "%x", static_cast<unsigned>(phase));
  const auto append = [&](const auto& words) {
    for (size_t k = words.size(); k-- > 0;)
      used += std::snprintf(text + used, sizeof text - static_cast<size_t>(used), "%08x", words[k]);
  };
  append(in);
  append(mask);
  append(expected);
  return text;
}

// ---- lanes ----

LaneModel::LaneModel(const Part& part) : part_(part), rows_(static_cast<size_t>(part.rows())) {}

void LaneModel::add(const Operand& x, const Operand& w) {
  if (x.zero || w.zero) return;
  const int64_t sign = x.sign != w.sign ? -1 : 1;
  const int sum = x.exponent + w.exponent;
  if (part_.design == "int8") {
    rows_[0] += x.value * w.value;
  } else if (part_.design == "decode") {
    rows_[0] += sign * levels_[0][static_cast<size_t>(x.exponent)] * levels_[1][static_cast<size_t>(w.exponent)];
  } else if (part_.design == "shift") {
    rows_[static_cast<size_t>(sum % part_.q)] += sign * (int64_t{1} << (sum / part_.q));
  } else {
    rows_[static_cast<size_t>(sum)] += sign;
    if (part_.histograms() == 4) {
      rows_[static_cast<size_t>((2 << part_.n) - 1)] += sign;
      rows_[static_cast<size_t>((2 << part_.n) + x.exponent)] += sign;
      rows_[static_cast<size_t>((3 << part_.n) + w.exponent)] += sign;
    }
  }
}

int64_t LaneModel::drain(int row) { return std::exchange(rows_[static_cast<size_t>(row)], 0); }

uint64_t LaneModel::stored(int64_t value) const {
  const int64_t sum = value + part_.init();
  if (sum < 0 || sum >> part_.term_bits()) throw std::logic_error("a test stream overflows a row; the test is wrong");
  return static_cast<uint64_t>(sum);
}

Scaled channel_scale(__int128 sum, int sum_bits, uint32_t scale, int pre_shift) {
  const bool sign = sum < 0;
  const __int128 absolute = (sign ? -sum : sum) & ((__int128{1} << sum_bits) - 1);
  const auto shifted = static_cast<uint64_t>(absolute >> pre_shift);
  const uint64_t magnitude = std::min<uint64_t>(shifted, 0xffffff);
  return {sign, static_cast<uint32_t>((magnitude * scale + 0x8000) >> 16)};
}

Operand Thresholds::quantize(bool sign, uint32_t magnitude, bool is_float) const {
  Operand code;
  code.sign = sign;
  const auto reached = std::upper_bound(thresholds.begin(), thresholds.end(), magnitude) - thresholds.begin();
  const int levels = sign ? negative_levels : positive_levels;
  if (reached == 0 || levels == 0 || (is_float && magnitude > 0x7f800000)) return code;
  code.zero = false;
  code.exponent = std::min(static_cast<int>(reached), levels) - 1;
  return code;
}

Operand int8_quantize(bool sign, uint32_t magnitude, uint32_t multiplier, int shift) {
  const uint64_t product = uint64_t{magnitude} * multiplier;
  const uint64_t rounded = ((product << 1 >> shift) + 1) >> 1;
  const int value = static_cast<int>(std::min<uint64_t>(rounded, 127));
  Operand result;
  result.zero = value == 0;
  result.value = sign ? -value : value;
  return result;
}

// ---- operands ----

Operand Draw::quantized(double value, double largest) {
  Operand result;
  result.sign = value < 0;
  const double magnitude = std::abs(value) / largest;
  if (part_.design == "int8") {
    result.value = static_cast<int>(std::min(127.0, std::floor(magnitude * 127 + 0.5)));
    result.zero = result.value == 0;
    if (result.sign) result.value = -result.value;
    return result;
  }
  // Codes of fewer bits than the part is built for: of base 2^(1/q) if it has that q at every width, else of a base as
  // many times as large, whose exponents the part sees as many times as large.
  const int n = part_.code_bits > 0 ? part_.code_bits : part_.n;
  const int stretch = part_.q == 1 << (part_.n - 2) ? 1 << (part_.n - n) : 1;
  const double step = part_.q > 0 ? static_cast<double>(stretch) / part_.q : 1.0 / (1 << (n - 2));  // log2 of the base
  const int most = (1 << n) - 1;
  const auto level = [&](int i) { return std::exp2(step * (i - most)); };
  if (magnitude < level(0) / 2) return result;
  result.zero = false;
  while (result.exponent < most && magnitude >= (level(result.exponent) + level(result.exponent + 1)) / 2)
    ++result.exponent;
  result.exponent *= stretch;
  return result;
}

Operand Draw::activation(double zeros) {
  std::uniform_real_distribution<double> uniform;
  if (uniform(random_) < zeros) return {};
  for (;;) {
    const double magnitude = -std::log1p(-uniform(random_));
    const Operand x = quantized(uniform(random_) < 0.5 ? -magnitude : magnitude, std::log(1000.0));
    if (!x.zero) return x;
  }
}

Operand Draw::weight() {
  std::uniform_real_distribution<double> uniform;
  for (;;) {  // Box and Muller, since the library's Gaussian is not the same everywhere
    const double value =
        std::sqrt(-2 * std::log1p(-uniform(random_))) * std::cos(2 * std::acos(-1.0) * uniform(random_));
    const Operand w = quantized(value, 3.29);
    if (!w.zero) return w;
  }
}

Operand Draw::any(double zeros) {
  Operand x;
  x.zero = std::uniform_real_distribution<double>{}(random_) < zeros;
  x.sign = random_() & 1;
  x.exponent = static_cast<int>(random_() & ((1U << part_.n) - 1));
  x.value = static_cast<int>(random_() & 0xff) - 128;
  if (part_.design == "int8") {
    if (x.zero || (part_.sign_magnitude && x.value == -128)) x.value = 0;
    x.zero = x.value == 0;
  }
  return x;
}

namespace {

// ---- streams of lanes ----

class LaneStream {
 public:
  explicit LaneStream(const Part& part) : part_(part), model_(part), draw_(part, 1) {
    if (part.design == "decode")
      for (int side = 0; side < 2; ++side)
        for (int e = 0; e < 1 << part.n; ++e) {
          const int n = part.code_bits > 0 ? part.code_bits : part.n;
          load(side, e, std::min(127, ((e + 1) * 127 + (1 << (n - 1))) >> n));
        }
    for (int row = 0; row < part.rows(); ++row) drain(row, kOther, false);
    bubble();
  }

  void load(int side, int exponent, int level) {
    Vector& v = next(kOther);
    v.set(32, 1, 1);
    v.set(33, 1, static_cast<uint64_t>(side));
    v.set(34, 7, static_cast<uint64_t>(exponent));
    v.set(41, 8, static_cast<uint64_t>(level));
    model_.set_level(side, exponent, level);
  }

  void pair(const Operand& x, const Operand& w, int phase = kOther) {
    if (pairs_ == part_.horizon()) flush();
    Vector& v = next(phase);
    v.set(0, 1, 1);
    v.set(2, 1, x.zero);
    v.set(3, 1, w.zero);
    operand(v, 4, x);
    operand(v, 12, w);
    model_.add(x, w);
    ++pairs_;
  }

  void bubble() { next(kOther); }

  void drain(int row, int phase, bool known = true) {
    Vector& v = next(phase);
    v.set(1, 1, 1);
    v.set(20, 12, part_.multiplies() ? 0 : static_cast<uint64_t>(row));
    if (draw_.random()() & 1) v.set(0, 1, 1);  // a pair beside a drain does not count
    drained_ = {true, known, model_.stored(model_.drain(row))};
  }

  void flush(int phase = kDrain) {
    for (int row = 0; row < part_.rows(); ++row) drain(row, phase);
    pairs_ = 0;
  }

  std::vector<Vector> finish() {
    flush();
    bubble();
    if (part_.product_register) bubble();
    return std::move(vectors_);
  }

  Draw& draw() { return draw_; }

 private:
  struct Drained {
    bool any = false, known = true;
    uint64_t value = 0;
  };

  // Opens a cycle; what the last one drained shows in it, or with a product register the one before.
  Vector& next(int phase) {
    Vector v;
    v.phase = phase;
    const Drained shown = part_.product_register ? before_ : drained_;
    if (!shown.any || shown.known) v.expect(0, part_.term_bits(), shown.any ? shown.value : 0);
    before_ = std::exchange(drained_, {});
    vectors_.push_back(v);
    return vectors_.back();
  }

  void operand(Vector& v, int low, const Operand& x) const {
    if (part_.sign_magnitude) {
      v.set(low, 7, static_cast<uint64_t>(std::abs(x.value)));
      v.set(low + 7, 1, x.value < 0);
    } else if (part_.design == "int8") {
      v.set(low, 8, static_cast<uint64_t>(x.value));
    } else {
      v.set(low, 7, static_cast<uint64_t>(x.exponent));
      v.set(low + 7, 1, x.sign);
    }
  }

  Part part_;
  LaneModel model_;
  Draw draw_;
  std::vector<Vector> vectors_;
  int pairs_ = 0;
  Drained drained_, before_;  // in the last cycle and in the one before
};

Operand extreme(const Part& part, bool low, bool sign) {
  Operand x;
  x.zero = false;
  x.sign = sign;
  x.exponent = low ? 0 : (1 << part.n) - 1;
  x.value = low ? 1 : sign ? (part.sign_magnitude ? -127 : -128) : 127;
  return x;
}

std::vector<Vector> lane_correctness(const Part& part) {
  LaneStream stream(part);
  Draw& draw = stream.draw();
  const int horizon = std::min(part.horizon(), 2000);
  // The worst that a row can see, both ways: every pair the largest product of one sign, up to the last pair that fits.
  for (const bool x_sign : {false, true})
    for (const bool w_sign : {false, true})
      for (const bool low : {false, true}) {
        for (int k = 0; k < horizon; ++k) stream.pair(extreme(part, low, x_sign), extreme(part, low, w_sign));
        stream.flush();
      }
  for (int k = 0; k < horizon; ++k)  // alternating signs, the same row
    stream.pair(extreme(part, false, false), extreme(part, false, k & 1));
  for (int k = 0; k < horizon; ++k)  // alternating rows
    stream.pair(extreme(part, k & 1, false), extreme(part, k & 1, true));
  for (int k = 0; k < 100; ++k) stream.pair(draw.any(1), draw.any(1));  // zeros, with anything in the other bits
  stream.flush();
  for (int k = 0; k < 5000; ++k) {  // every code, gaps, single rows drained in between; flushes where they fall due
    const auto choice = draw.random()() % 64;
    if (choice < 2)
      stream.bubble();
    else if (choice == 2)
      stream.drain(static_cast<int>(draw.random()() % static_cast<unsigned>(part.rows())), kOther);
    else
      stream.pair(draw.any(0.2), draw.any(0.2));
  }
  stream.flush();
  for (int k = 0; k < 9216; ++k)
    stream.pair(draw.activation(0.45), draw.weight());  // the longest K of VGG and ResNet, 1024 x 3 x 3
  if (part.design == "decode") {                        // other tables, with the largest levels in all places
    stream.flush();
    for (int side = 0; side < 2; ++side)
      for (int e = 0; e < 1 << part.n; ++e) stream.load(side, e, side ? 127 : static_cast<int>(draw.random()() & 0x7f));
    for (int k = 0; k < 1000; ++k) stream.pair(draw.any(), draw.any());
  }
  return stream.finish();
}

std::vector<Vector> lane_energy(const Part& part) {
  LaneStream stream(part);
  Draw& draw = stream.draw();
  const int horizon = std::min(part.horizon(), 490);
  const auto segment = [&](int phase, double zeros) {
    for (int k = 0; k < horizon; ++k) {
      const Operand x = draw.activation(zeros);
      stream.pair(x, draw.weight(), phase);
    }
    stream.bubble();
    stream.flush();
    stream.bubble();
  };
  segment(kDense, 0);
  segment(kDense, 0);
  segment(kMixed, 0.45);
  segment(kMixed, 0.45);
  segment(kIdle, 1);
  return stream.finish();
}

// ---- streams of quantizers and post-processing: outputs due a fixed number of cycles later ----

class DelayedStream {
 public:
  DelayedStream(int latency, int valid_bit) : latency_(static_cast<size_t>(latency)), valid_bit_(valid_bit) {}

  Vector& next(int phase) {
    due_.resize(std::max(due_.size(), vectors_.size() + latency_ + 1));
    vectors_.emplace_back();
    vectors_.back().phase = phase;
    return vectors_.back();
  }
  // What the cycle just opened will show: bits from 0 up, beside the valid bit.
  void expect(int bits, uint64_t value) { due_[vectors_.size() - 1 + latency_] = {true, bits, value}; }

  std::vector<Vector> finish() {
    for (size_t k = 0; k <= latency_; ++k) next(kOther);
    for (size_t k = latency_; k < vectors_.size(); ++k) {
      vectors_[k].expect(valid_bit_, 1, due_[k].valid);
      if (due_[k].valid) vectors_[k].expect(0, due_[k].bits, due_[k].value);
    }
    return std::move(vectors_);
  }

 private:
  struct Due {
    bool valid = false;
    int bits = 0;
    uint64_t value = 0;
  };
  size_t latency_;
  int valid_bit_;
  std::vector<Vector> vectors_;
  std::deque<Due> due_;
};

Thresholds random_thresholds(const Part& part, std::mt19937& random, int positive, int negative) {
  const uint32_t most = part.magnitude == 31 ? 0x7f800000 : (uint32_t{1} << part.magnitude) - 1;
  Thresholds t{{}, positive, negative};
  while (t.thresholds.size() < size_t{1} << part.n) {
    t.thresholds.push_back(1 + static_cast<uint32_t>(random()) % most);
    std::sort(t.thresholds.begin(), t.thresholds.end());
    t.thresholds.erase(std::unique(t.thresholds.begin(), t.thresholds.end()), t.thresholds.end());
  }
  return t;
}

// Midpoints of a code's levels, the largest at 3/4 of the range: what the energy streams use.
Thresholds midpoints(const Part& part) {
  Thresholds t{{}, 1 << part.n, 1 << part.n};
  const int most = (1 << part.n) - 1;
  const double step = part.n >= 2 ? 1.0 / (1 << (part.n - 2)) : 1, largest = 0.75 * (1 << part.magnitude);
  const auto level = [&](int i) { return i < 0 ? 0 : largest * std::exp2(step * (i - most)); };
  for (int i = 0; i <= most; ++i) t.thresholds.push_back(static_cast<uint32_t>((level(i - 1) + level(i)) / 2));
  return t;
}

void load_thresholds(DelayedStream& stream, const Part& part, const Thresholds& t) {
  const auto load = [&](uint64_t address, uint64_t data) {
    Vector& v = stream.next(kOther);
    v.set(33, 1, 1);
    v.set(34, 8, address);
    v.set(42, part.magnitude, data);
  };
  for (size_t k = 0; k < t.thresholds.size(); ++k) load(k, t.thresholds[k]);
  load(uint64_t{1} << part.n,
       static_cast<uint64_t>(t.negative_levels) << (part.n + 1) | static_cast<uint64_t>(t.positive_levels));
}

void quantize(DelayedStream& stream, const Part& part, const Thresholds& t, bool sign, uint32_t magnitude, int phase) {
  Vector& v = stream.next(phase);
  v.set(0, 1, 1);
  v.set(1, 1, sign);
  v.set(2, part.magnitude, magnitude);
  const Operand code = t.quantize(sign, magnitude, part.magnitude == 31);
  stream.expect(9, static_cast<uint64_t>(code.zero) << 8 | static_cast<uint64_t>(sign) << 7 |
                       static_cast<uint64_t>(code.exponent));
}

std::vector<Vector> quantizer_correctness(const Part& part) {
  DelayedStream stream(part.n + 2, 9);
  std::mt19937 random(2);
  const int all = 1 << part.n;
  for (const auto& [positive, negative] : {std::pair{all, all - 1}, {all, 0}, {all - 1, all}, {all - 3, 2}, {0, all}}) {
    const Thresholds t = random_thresholds(part, random, positive, negative);
    for (int k = 0; k < part.n + 2; ++k) stream.next(kOther);  // nothing is in the pipeline while tables change
    load_thresholds(stream, part, t);
    std::vector<uint32_t> magnitudes{0, 1, (uint32_t{1} << part.magnitude) - 1};
    if (part.magnitude == 31)
      magnitudes.insert(magnitudes.end(), {0x7f7fffff, 0x7f800000, 0x7f800001, 0x7fc00000, 0x00800000});
    for (const uint32_t threshold : t.thresholds)
      for (const uint32_t near : {threshold - 1, threshold, threshold + 1}) magnitudes.push_back(near);
    for (int k = 0; k < 500; ++k) magnitudes.push_back(static_cast<uint32_t>(random()) >> (32 - part.magnitude));
    for (const uint32_t magnitude : magnitudes)
      for (const bool sign : {false, true}) {
        if (random() % 8 == 0) stream.next(kOther);
        quantize(stream, part, t, sign, magnitude & ((uint32_t{1} << part.magnitude) - 1), kOther);
      }
  }
  return stream.finish();
}

uint32_t laplacian_magnitude(std::mt19937& random, int bits) {
  const double value = -std::log1p(-std::uniform_real_distribution<double>{}(random)) / std::log(1000.0);
  return static_cast<uint32_t>(std::min(0.75 * value, 0.999) * (1 << bits));
}

std::vector<Vector> quantizer_energy(const Part& part) {
  DelayedStream stream(part.n + 2, 9);
  std::mt19937 random(3);
  const Thresholds t = midpoints(part);
  load_thresholds(stream, part, t);
  for (int k = 0; k < part.n + 4; ++k) stream.next(kOther);
  for (int k = 0; k < 1000; ++k)
    quantize(stream, part, t, random() & 1, laplacian_magnitude(random, part.magnitude), kDense);
  for (int k = 0; k < part.n + 4; ++k) stream.next(kOther);
  for (int k = 0; k < 200; ++k) stream.next(kIdle);
  return stream.finish();
}

void int8_load(DelayedStream& stream, uint64_t multiplier, int shift) {
  for (int address = 0; address < 2; ++address) {
    Vector& v = stream.next(kOther);
    v.set(33, 1, 1);
    v.set(34, 1, static_cast<uint64_t>(address));
    v.set(42, 16, address ? static_cast<uint64_t>(shift) : multiplier);
  }
}

void int8_value(DelayedStream& stream, bool sign, uint32_t magnitude, uint32_t multiplier, int shift, int phase) {
  Vector& v = stream.next(phase);
  v.set(0, 1, 1);
  v.set(1, 1, sign);
  v.set(2, 24, magnitude);
  const Operand code = int8_quantize(sign, magnitude, multiplier, shift);
  stream.expect(9, static_cast<uint64_t>(code.zero) << 8 | (static_cast<uint64_t>(code.value) & 0xff));
}

std::vector<Vector> int8_quantizer_vectors(bool energy) {
  DelayedStream stream(3, 9);
  std::mt19937 random(4);
  for (int round = 0; round < (energy ? 1 : 40); ++round) {
    for (int k = 0; k < 5; ++k) stream.next(kOther);
    // For energy: 0.75 of the range becomes 127.
    const uint32_t multiplier = energy ? 43349 : static_cast<uint32_t>(random() & 0xffff);
    const int shift = energy ? 32 : 1 + static_cast<int>(random() % 39);
    int8_load(stream, multiplier, shift);
    for (int k = 0; k < 5; ++k) stream.next(kOther);
    for (int k = 0; k < (energy ? 1000 : 200); ++k)
      int8_value(
          stream, random() & 1,
          energy ? laplacian_magnitude(random, 24) : static_cast<uint32_t>(random() & 0xffffff) >> (random() % 24),
          multiplier, shift, energy ? kDense : kOther);
  }
  for (int k = 0; k < 5; ++k) stream.next(kOther);
  for (int k = 0; k < 200; ++k) stream.next(energy ? kIdle : kOther);
  return stream.finish();
}

// Constants of the rows: fixed-point powers of the base, the largest 2^15 - 1; with four histograms alpha = 1, beta =
// -1/4.
std::vector<int> powers_of(const Part& part) {
  std::vector<int> powers;
  const double step = part.q > 0 ? 1.0 / part.q : 1.0 / (1 << (part.n - 2));
  if (part.design == "shift") {
    for (int r = 0; r < part.q; ++r) powers.push_back(static_cast<int>(std::lround(16383 * std::exp2(step * r))));
    return powers;
  }
  const int most = (2 << part.n) - 2;
  const auto power = [&](int e, double factor) {
    return static_cast<int>(std::lround(32767 * factor * std::exp2(step * (e - most))));
  };
  for (int e = 0; e <= most; ++e) powers.push_back(power(e, 1));
  if (part.histograms() == 4) {
    powers.push_back(power(0, 0.0625));
    for (int side = 0; side < 2; ++side)
      for (int e = 0; e < 1 << part.n; ++e) powers.push_back(power(e, -0.25));
  }
  return powers;
}

// As post_terms stores a constant.
uint64_t sign_and_magnitude(int power) { return (power < 0 ? 0x8000U : 0U) | static_cast<unsigned>(std::abs(power)); }

std::vector<Vector> post_vectors(const Part& part, bool energy) {
  DelayedStream stream(part.multiplies() ? 5 : 6, 25);
  std::mt19937 random(5);
  LaneModel lane(part);
  Draw draw(part, 6);
  std::vector<int> powers(static_cast<size_t>(part.rows()), 1);
  if (!part.multiplies()) {
    powers = powers_of(part);
    for (size_t k = 0; k < powers.size(); ++k) {
      if (!energy && k % 3 == 1) powers[k] = static_cast<int>(random() % 65535) - 32767;
      Vector& v = stream.next(kOther);
      v.set(80, 1, 1);
      v.set(81, 10, k);
      v.set(91, 16, sign_and_magnitude(powers[k]));
    }
  } else if (part.design == "decode") {
    for (int side = 0; side < 2; ++side)
      for (int e = 0; e < 1 << part.n; ++e) lane.set_level(side, e, ((e + 1) * 127 + (1 << (part.n - 1))) >> part.n);
  }
  for (int k = 0; k < 10; ++k) stream.next(kOther);
  const int outputs = energy ? std::clamp(1000 / part.rows(), 6, 300) : std::clamp(3000 / part.rows(), 8, 300);
  const int horizon = std::min(part.horizon(), energy ? 490 : 2000);
  for (int output = 0; output < outputs; ++output) {
    __int128 sum = 0;
    const int drains = energy ? 1 : 1 + static_cast<int>(random() % 3);
    for (int d = 0; d < drains; ++d) {
      const bool worst = !energy && random() % 4 == 0;
      const bool sign = random() & 1;
      for (int k = 0; k < horizon; ++k) {
        if (worst) {
          lane.add(extreme(part, false, sign), extreme(part, false, false));
          continue;
        }
        const Operand x = draw.activation();
        lane.add(x, draw.weight());
      }
      for (int row = 0; row < part.rows(); ++row) {
        const int64_t value = lane.drain(row);
        const bool last = d == drains - 1 && row == part.rows() - 1;
        const uint32_t scale = energy ? 40000 : random() & 0xffff;
        const int pre_shift = energy ? std::clamp(part.term_bits() + (part.multiplies() ? 0 : 16) - 22, 0, 31)
                                     : static_cast<int>(random() & 31);
        if (!energy && random() % 8 == 0) stream.next(kOther);
        Vector& v = stream.next(energy ? kDense : kOther);
        v.set(0, 1, 1);
        v.set(1, 1, last);
        v.set(2, 11, static_cast<uint64_t>(row));
        v.set(13, part.term_bits(), lane.stored(value));
        v.set(107, 16, scale);
        v.set(123, 5, static_cast<uint64_t>(pre_shift));
        sum += static_cast<__int128>(value) * powers[static_cast<size_t>(row)];
        if (last) {
          const Scaled scaled = channel_scale(sum, part.sum_bits(), scale, pre_shift);
          stream.expect(25, static_cast<uint64_t>(scaled.sign) << 24 | scaled.magnitude);
        }
      }
    }
  }
  for (int k = 0; k < 10; ++k) stream.next(kOther);
  for (int k = 0; k < 100; ++k) stream.next(energy ? kIdle : kOther);
  return stream.finish();
}

}  // namespace

std::vector<Vector> correctness_vectors(const Part& part) {
  if (part.name == "lane") return lane_correctness(part);
  if (part.name == "post") return post_vectors(part, false);
  return part.design == "int8" ? int8_quantizer_vectors(false) : quantizer_correctness(part);
}

std::vector<Vector> energy_vectors(const Part& part) {
  if (part.name == "lane") return lane_energy(part);
  if (part.name == "post") return post_vectors(part, true);
  return part.design == "int8" ? int8_quantizer_vectors(true) : quantizer_energy(part);
}

int test_pe(const Part& part, const Device& device) {
  std::mt19937 random(7);
  Draw draw(part, 8);
  LaneModel lane(part);
  std::deque<Scaled> due;
  int right = 0, cycles = 0;
  const auto cycle = [&](Vector& v) {
    const auto out = device(v);
    if (out[0] >> 25 & 1) {
      if (due.empty()) throw std::runtime_error("a result came that none was due for");
      const Scaled wanted = due.front();
      due.pop_front();
      if ((out[0] & 0xffffff) != wanted.magnitude || (out[0] >> 24 & 1) != wanted.sign)
        throw std::runtime_error("output " + std::to_string(right) + " in cycle " + std::to_string(cycles) + " is " +
                                 std::to_string(out[0] & 0x1ffffff) + ", not " +
                                 std::to_string(static_cast<uint32_t>(wanted.sign) << 24 | wanted.magnitude));
      ++right;
    }
    ++cycles;
    return (out[0] >> 26 & 1) != 0;
  };
  const auto load = [&](uint64_t target, uint64_t address, uint64_t data) {
    Vector v;
    v.set(36, 1, 1);
    v.set(37, 2, target);
    v.set(39, 11, address);
    v.set(50, 24, data);
    cycle(v);
  };

  const bool int8 = part.design == "int8";
  const uint32_t multiplier = 43349;
  const int shift = 32, all = 1 << part.n;
  Thresholds thresholds;
  std::vector<int> powers(static_cast<size_t>(part.rows()), 1);
  if (int8) {
    load(0, 0, multiplier);
    load(0, 1, static_cast<uint64_t>(shift));
  } else {
    thresholds = random_thresholds(part, random, all, all - 1);
    for (size_t k = 0; k < thresholds.thresholds.size(); ++k) load(0, k, thresholds.thresholds[k]);
    load(0, static_cast<uint64_t>(all), static_cast<uint64_t>(all - 1) << (part.n + 1) | static_cast<uint64_t>(all));
  }
  if (!part.multiplies()) {
    powers = powers_of(part);
    for (size_t k = 0; k < powers.size(); ++k) load(1, k, sign_and_magnitude(powers[k]));
  }
  if (part.design == "decode")
    for (int side = 0; side < 2; ++side)
      for (int e = 0; e < all; ++e) {
        const int level = ((e + 1) * 127 + all / 2) >> part.n;
        load(static_cast<uint64_t>(2 + side), static_cast<uint64_t>(e), static_cast<uint64_t>(level));
        lane.set_level(side, e, level);
      }

  const int horizon = part.horizon();
  for (const int inputs : {1, 2, 27, horizon - 1, horizon, horizon + 1, 3 * horizon + 7, 4608, 5}) {
    __int128 sum = 0;
    const bool worst = inputs > horizon && inputs < 4 * horizon;
    const uint32_t scale = random() & 0xffff;
    const int pre_shift = static_cast<int>(random() % 20);
    for (int k = 0; k < inputs;) {
      const bool sign = !worst && (random() & 1);
      const uint32_t magnitude = worst ? 0xffffff : random() & 0xffffff;
      const Operand w = worst ? extreme(part, false, true) : draw.any(0.2);
      Vector v;
      const bool valid = random() % 16 != 0;
      v.set(0, 1, valid);
      v.set(1, 1, k == inputs - 1);
      v.set(2, 1, sign);
      v.set(3, 24, magnitude);
      v.set(27, 8,
            int8 ? static_cast<uint64_t>(w.value)
                 : static_cast<uint64_t>(w.sign) << 7 | static_cast<uint64_t>(w.exponent));
      v.set(35, 1, w.zero);
      v.set(107, 16, scale);
      v.set(123, 5, static_cast<uint64_t>(pre_shift));
      const Operand x =
          int8 ? int8_quantize(sign, magnitude, multiplier, shift) : thresholds.quantize(sign, magnitude, false);
      // Whether the pair is taken shows in this cycle; its result comes later.
      if (cycle(v) && valid) {
        lane.add(x, w);
        ++k;
        if (k % horizon == 0 || k == inputs) {
          for (int row = 0; row < part.rows(); ++row) {
            lane.stored(lane.value(row));
            sum += static_cast<__int128>(lane.drain(row)) * powers[static_cast<size_t>(row)];
          }
        }
      }
    }
    due.push_back(channel_scale(sum, part.sum_bits(), scale, pre_shift));
  }
  for (int k = 0; k < part.rows() + 40; ++k) {
    Vector v;
    cycle(v);
  }
  if (!due.empty()) throw std::runtime_error(std::to_string(due.size()) + " results never came");
  return right;
}

}  // namespace dnateq::rtl
