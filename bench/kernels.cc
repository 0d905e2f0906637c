// Correctness and speed of the kernels, by problem strings; matmuls beside oneDNN's INT8 where it was found:
//
//   bench_kernels matmul:m1k4096n4096b4,cold matmul:m128k1024n1024b4 matmul:m196k2304n256b4,threads=2,u8
//   bench_kernels encode:b4 encode:b4,u8 count:n3,k4096 count:n3,k4096,one   (encoder.cc, counting.cc)
//
// bN: stored bits. cold: a chain of matrices well beyond the second-level cache, as a network's layers are; without it
// one matrix, warm. u8: unsigned activations. threads=T: ours on T threads against ours on one, without oneDNN.
// kernel=NAME: that kernel instead of the list's choice. sums: INT32 output (default: f32 with scales and bias).
// conv:... problems are convolution.cc's.
//
// Every product is compared with plain integers first. Then ours, our 8-bit path and oneDNN (weights in its own order,
// one thread) take turns, and medians are printed with ratios: absolute times mean little on a shared machine. Cold
// problems add the share of the read bandwidth that a plain loop reaches here in the same turns.
#include <fmt/format.h>
#include <sys/mman.h>
#include <tbb/task_arena.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "kernels/matmul.h"
#include "problems.h"
#include "turns.h"

#if DNATEQ_BENCH_ONEDNN
#include <dnnl.hpp>
#endif

namespace {

using namespace dnateq::kernels;  // NOLINT: a program

struct Problem {
  size_t m = 1, k = 0, n = 0;
  int bits = 4, threads = 1;
  bool cold = false, is_unsigned = false, sums = false;
  std::string kernel;
};

Problem parse(std::string text) {
  Problem problem;
  const auto fail = [&] {
    fmt::print(stderr, "{}: write it as matmul:m1k4096n4096b4[,cold][,u8][,sums][,threads=T][,kernel=NAME]\n", text);
    std::exit(2);
  };
  const size_t colon = text.find(':'), comma = std::min(text.find(','), text.size());
  if (colon == std::string::npos || text.substr(0, colon) != "matmul") fail();
  const std::string shape = text.substr(colon + 1, comma - colon - 1);
  if (std::sscanf(shape.c_str(), "m%zuk%zun%zub%d", &problem.m, &problem.k, &problem.n, &problem.bits) != 4) fail();
  for (size_t at = comma; at < text.size();) {
    const size_t next = std::min(text.find(',', at + 1), text.size());
    const std::string option = text.substr(at + 1, next - at - 1);
    if (option == "cold")
      problem.cold = true;
    else if (option == "u8")
      problem.is_unsigned = true;
    else if (option == "sums")
      problem.sums = true;
    else if (option.starts_with("threads="))
      problem.threads = std::stoi(option.substr(8));
    else if (option.starts_with("kernel="))
      problem.kernel = option.substr(7);
    else
      fail();
    at = next;
  }
  return problem;
}

// What a plain loop of wide loads reads in a second, over as many bytes as the problem's codes.
class ReadLoop {
 public:
  explicit ReadLoop(size_t bytes) : bytes_(bytes / 512 * 512) {
    const size_t huge = size_t{2} << 20, rounded = (bytes + huge - 1) / huge * huge;
    data_ = static_cast<uint8_t*>(std::aligned_alloc(huge, rounded));
    madvise(data_, rounded, MADV_HUGEPAGE);
    std::fill_n(data_, rounded, uint8_t{1});
  }
  ReadLoop(const ReadLoop&) = delete;
  ReadLoop& operator=(const ReadLoop&) = delete;
  ~ReadLoop() { std::free(data_); }

  void run() { sink_ = __builtin_cpu_supports("avx512f") != 0 ? run_wide() : run_narrow(); }
  size_t bytes() const { return bytes_; }

 private:
  // No intrinsics: only this function may contain AVX-512, and in assembly nothing is reordered.
  __attribute__((noinline)) int run_wide() const {
    const uint8_t *at = data_, *const end = data_ + bytes_;
    while (at != end) {
      asm volatile(
          "vmovdqu64 (%0), %%zmm16\n vmovdqu64 64(%0), %%zmm17\n vmovdqu64 128(%0), %%zmm18\n vmovdqu64 192(%0), "
          "%%zmm19\n"
          "vmovdqu64 256(%0), %%zmm16\n vmovdqu64 320(%0), %%zmm17\n vmovdqu64 384(%0), %%zmm18\n vmovdqu64 448(%0), "
          "%%zmm19" ::"r"(at)
          : "memory");
      at += 512;
    }
    return 0;
  }
  int run_narrow() const {
    uint64_t sum = 0;
    for (size_t at = 0; at < bytes_ / 8; ++at) sum ^= reinterpret_cast<const uint64_t*>(data_)[at];
    return static_cast<int>(sum);
  }

  size_t bytes_;
  uint8_t* data_;
  volatile int sink_ = 0;
};

#if DNATEQ_BENCH_ONEDNN

// oneDNN's INT8 matmul over the same number of matrices.
class OneDnn {
 public:
  OneDnn(const Problem& problem, size_t layers, const std::vector<std::vector<int8_t>>& weights,
         const std::vector<uint8_t>& x, const std::vector<float>& scales)
      : x_(x) {
    using dnnl::memory, dnnl::primitive_attr, dnnl::reorder;
    using tag = memory::format_tag;
    using type = memory::data_type;
    const auto m = static_cast<memory::dim>(problem.m), k = static_cast<memory::dim>(problem.k),
               n = static_cast<memory::dim>(problem.n);
    const memory::desc x_desc({m, k}, problem.is_unsigned ? type::u8 : type::s8, tag::ab);
    const memory::desc any_weights({k, n}, type::s8, tag::any);
    const memory::desc y_desc({m, n}, problem.sums ? type::s32 : type::f32, tag::ab);
    const memory::desc bias_desc({1, n}, type::f32, tag::ab);
    primitive_attr attributes;
    if (!problem.sums) attributes.set_output_scales(1 << 1, scales);
    const dnnl::matmul::desc desc = problem.sums ? dnnl::matmul::desc(x_desc, any_weights, y_desc)
                                                 : dnnl::matmul::desc(x_desc, any_weights, bias_desc, y_desc);
    const dnnl::matmul::primitive_desc chosen(desc, attributes, engine_);
    name_ = chosen.impl_info_str();
    multiply_ = dnnl::matmul(chosen);
    memory bias(bias_desc, engine_);
    if (!problem.sums) std::fill_n(static_cast<float*>(bias.get_data_handle()), problem.n, 0.5F);
    y_ = memory(y_desc, engine_);
    const memory x_memory(x_desc, engine_, x_.data());
    for (size_t layer = 0; layer < layers; ++layer) {
      memory plain({{k, n}, type::s8, tag::ba}, engine_), packed(chosen.weights_desc(), engine_);
      const auto& from = weights[layer % weights.size()];
      std::copy(from.begin(), from.end(), static_cast<int8_t*>(plain.get_data_handle()));
      reorder(plain, packed).execute(stream_, plain, packed);
      std::unordered_map<int, memory> arguments{
          {DNNL_ARG_SRC, x_memory}, {DNNL_ARG_WEIGHTS, packed}, {DNNL_ARG_DST, y_}};
      if (!problem.sums) arguments[DNNL_ARG_BIAS] = bias;
      arguments_.push_back(arguments);
    }
    stream_.wait();
  }

  void run() {
    for (const auto& arguments : arguments_) multiply_.execute(stream_, arguments);
    stream_.wait();
  }
  const std::string& name() const { return name_; }

 private:
  std::vector<uint8_t> x_;
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  dnnl::matmul multiply_;
  dnnl::memory y_;
  std::vector<std::unordered_map<int, dnnl::memory>> arguments_;
  std::string name_;
};

#else

class OneDnn {
 public:
  OneDnn(const Problem&, size_t, const std::vector<std::vector<int8_t>>&, const std::vector<uint8_t>&,
         const std::vector<float>&) {}
  void run() {}
  std::string name() const { return ""; }
};

#endif

struct Ours {
  Ours(const Problem& of, const std::vector<uint8_t>& activations, const std::vector<float>& channel_scales,
       const std::vector<float>& biases)
      : problem(&of), x(&activations), scales(&channel_scales), bias(&biases), y(of.m * of.n), sums(of.m * of.n) {}

  std::vector<PackedWeights> layers;
  const Problem* problem;
  const std::vector<uint8_t>* x;
  const std::vector<float>*scales, *bias;
  dnateq::bench::Tensor<float> y;
  dnateq::bench::Tensor<int32_t> sums;

  void run() {
    Epilogue epilogue;
    epilogue.stride = problem->n;
    if (problem->sums) {
      epilogue.sums = sums.data();
    } else {
      epilogue.values = y.data();
      epilogue.channel_scale = scales->data();
      epilogue.bias = bias->data();
    }
    const uint8_t* first = x->data();
    const Activations activations = problem->is_unsigned
                                        ? Activations(first, problem->m, problem->k)
                                        : Activations(reinterpret_cast<const int8_t*>(first), problem->m, problem->k);
    for (const PackedWeights& weights : layers)
      if (problem->kernel.empty() || weights.bits() == 8)
        matmul(weights, activations, epilogue);
      else
        matmul_with(problem->kernel, weights, activations, epilogue);
  }
};

bool bench(const std::string& text) {
  const Problem problem = parse(text);
  std::mt19937 random(7);
  // Cold: 160 MB of INT8 and no less than 40 MB of codes.
  const size_t matrix = problem.k * problem.n;
  const size_t layers = problem.cold ? std::max<size_t>(10, 160'000'000 / matrix) : 1;
  std::vector<int> levels(size_t{1} << problem.bits), levels8(256);
  for (size_t i = 1; i < levels.size(); ++i) levels[i] = static_cast<int>(random() % 255) - 127;
  for (int i = 1; i < 256; ++i)
    levels8[static_cast<size_t>(i)] = std::max(static_cast<int>(static_cast<int8_t>(i)), -127);

  std::vector<uint8_t> x(problem.m * problem.k);
  for (uint8_t& byte : x) byte = static_cast<uint8_t>(random());
  std::vector<float> scales(problem.n, 0.001F), bias(problem.n, 0.5F);
  Ours ours(problem, x, scales, bias), eight(problem, x, scales, bias);
  std::vector<uint8_t> codes(matrix), codes8(matrix);
  std::vector<std::vector<int8_t>> level_matrices(1, std::vector<int8_t>(matrix));
  for (size_t i = 0; i < matrix; ++i) {
    codes[i] = static_cast<uint8_t>(random() & ((1U << problem.bits) - 1));
    const int level = levels[codes[i]];
    level_matrices[0][i] = static_cast<int8_t>(level);
    codes8[i] = static_cast<uint8_t>(level);
  }
  // The same values at different addresses: what is read counts, not what it says.
  for (size_t layer = 0; layer < layers; ++layer) {
    ours.layers.emplace_back(codes, problem.n, problem.k, problem.bits, levels);
    eight.layers.emplace_back(codes8, problem.n, problem.k, 8, levels8);
  }

  // Correctness, before any time is taken.
  ours.run();
  for (size_t row = 0; row < problem.m; ++row)
    for (size_t n = 0; n < problem.n; ++n) {
      int32_t sum = 0;
      for (size_t i = 0; i < problem.k; ++i) {
        const int byte = x[row * problem.k + i];
        const int level = !problem.is_unsigned && byte > 127 ? byte - 256 : byte;
        sum += level * level_matrices[0][n * problem.k + i];
      }
      const size_t at = row * problem.n + n;
      const float product = static_cast<float>(sum) * 0.001F;
      const float expected = product + 0.5F;
      if (problem.sums ? ours.sums[at] != sum : std::abs(ours.y[at] - expected) > 1e-5F * std::abs(expected)) {
        fmt::print(stderr, "{}: wrong at row {}, channel {}: {} instead of {}\n", text, row, n,
                   problem.sums ? static_cast<float>(ours.sums[at]) : ours.y[at],
                   problem.sums ? static_cast<float>(sum) : expected);
        return false;
      }
    }

  const double macs = static_cast<double>(problem.m * matrix * layers);
  const size_t repeats = problem.cold ? 1 : std::max<size_t>(1, static_cast<size_t>(2e9 / macs));
  const std::function<void()> our_run = [&] { ours.run(); };
  if (problem.threads > 1)
    return dnateq::bench::print_scaling(text, our_run, repeats, problem.threads, static_cast<double>(layers));

  OneDnn peer(problem, layers, level_matrices, x, scales);
  const size_t code_bytes = ours.layers[0].bytes() * layers;
  ReadLoop read(problem.cold ? code_bytes : 512);
  std::vector<double> times;
  tbb::task_arena(1).execute([&] {
    times = dnateq::bench::by_turns({our_run, [&] { eight.run(); }, [&] { peer.run(); }, [&] { read.run(); }},
                                    {repeats, repeats, repeats, 1}, 21);
  });
  const double our_time = times[0], eight_time = times[1], peer_time = times[2], read_time = times[3];
  const double per_layer = 1e6 / static_cast<double>(layers);
  fmt::print("{:44} ours {:8.1f} us, {:.0f} GMAC/s; at 8 bits {:8.1f} us, speed over it {:.2f}", text,
             our_time * per_layer, macs / our_time / 1e9, eight_time * per_layer, eight_time / our_time);
  if (!peer.name().empty())
    fmt::print("; oneDNN ({}) {:8.1f} us, speed over it {:.2f}", peer.name(), peer_time * per_layer,
               peer_time / our_time);
  if (problem.cold)
    fmt::print("; {:.1f} GB/s of codes = {:.0f} % of the {:.1f} that a loop reads",
               static_cast<double>(code_bytes) / our_time / 1e9, 100 * read_time / our_time,
               static_cast<double>(read.bytes()) / read_time / 1e9);
  fmt::print("\n");
  return true;
}

}  // namespace

int main(int count, char** arguments) {
  // oneDNN is compared on one thread. Its OpenMP reads the variable when it is loaded, before main: start again with
  // it.
  const char* threads = std::getenv("OMP_NUM_THREADS");  // NOLINT(concurrency-mt-unsafe): before any thread
  if (threads == nullptr || std::string(threads) != "1") {
    setenv("OMP_NUM_THREADS", "1", 1);  // NOLINT(concurrency-mt-unsafe)
    execv("/proc/self/exe", arguments);
    fmt::print(stderr, "set OMP_NUM_THREADS=1: this program could not do it\n");
    return 2;
  }
  bool right = true;
  for (int i = 1; i < count; ++i) {
    const std::string problem = arguments[i];
    auto run = bench;
    if (problem.starts_with("encode:")) run = dnateq::bench::encode;
    if (problem.starts_with("count:")) run = dnateq::bench::count;
#if DNATEQ_BENCH_ONEDNN
    if (problem.starts_with("conv:")) run = dnateq::bench::convolve;
#endif
    right = run(problem) && right;
  }
  return right ? 0 : 1;
}
