// Convolutions beside oneDNN's INT8, by problem strings:
//
//   bench_kernels conv:n1h56w56c64o64k3s1b4 conv:n1h224w224c3o64k7s2b4,s8 conv:n1h56w56c64o64k3s1b4,g=64
//
// n: batch, h, w: image, c, o: input and output channels, k: kernel, s: stride, b: stored bits. g=G: groups (as many as
// channels: depthwise). p=P: padding on all sides (default (k - 1) / 2). s8: signed activations (default u8, as after a
// ReLU). sums, kernel=NAME, threads=T: as in kernels.cc.
//
// The sums are compared with a direct convolution first. oneDNN chooses the layout of its weights, and that of the
// images ("any") or NHWC: the faster one of the two is what ours is compared with.
#include "kernels/convolution.h"

#include <fmt/format.h>
#include <tbb/task_arena.h>

#include <cstdlib>
#include <dnnl.hpp>
#include <random>
#include <unordered_map>

#include "kernels/depthwise.h"
#include "problems.h"
#include "turns.h"

namespace dnateq::bench {
namespace {

using namespace kernels;  // NOLINT: a program

struct Problem {
  ConvolutionShape shape;
  int bits = 4, threads = 1;
  bool is_signed = false, sums = false;
  std::string kernel;
};

Problem parse(const std::string& text) {
  Problem problem;
  const auto fail = [&] {
    fmt::print(
        stderr,
        "{}: write it as conv:n1h56w56c64o64k3s1b4[,g=GROUPS][,p=PADDING][,s8][,sums][,threads=T][,kernel=NAME]\n",
        text);
    std::exit(2);
  };
  ConvolutionShape& s = problem.shape;
  const size_t comma = std::min(text.find(','), text.size());
  size_t kernel = 1, stride = 1;
  if (std::sscanf(text.substr(0, comma).c_str(), "conv:n%zuh%zuw%zuc%zuo%zuk%zus%zub%d", &s.batch, &s.height, &s.width,
                  &s.channels, &s.outputs, &kernel, &stride, &problem.bits) != 8)
    fail();
  size_t padding = (kernel - 1) / 2;
  for (size_t at = comma; at < text.size();) {
    const size_t next = std::min(text.find(',', at + 1), text.size());
    const std::string option = text.substr(at + 1, next - at - 1);
    if (option == "s8")
      problem.is_signed = true;
    else if (option == "sums")
      problem.sums = true;
    else if (option.starts_with("g="))
      s.groups = std::stoul(option.substr(2));
    else if (option.starts_with("p="))
      padding = std::stoul(option.substr(2));
    else if (option.starts_with("threads="))
      problem.threads = std::stoi(option.substr(8));
    else if (option.starts_with("kernel="))
      problem.kernel = option.substr(7);
    else
      fail();
    at = next;
  }
  s.kernel_height = s.kernel_width = kernel, s.stride_height = s.stride_width = stride;
  s.pad_top = s.pad_left = s.pad_bottom = s.pad_right = padding;
  return problem;
}

// oneDNN's convolution with the same epilogue.
class OneDnn {
 public:
  // `levels`: outputs x kh x kw x c.
  OneDnn(const Problem& problem, bool nhwc, const std::vector<int8_t>& levels, const Tensor<uint8_t>& x,
         const std::vector<float>& scales) {
    using dnnl::memory, dnnl::primitive_attr, dnnl::reorder;
    using tag = memory::format_tag;
    using type = memory::data_type;
    const auto dim = [](size_t size) { return static_cast<memory::dim>(size); };
    const ConvolutionShape& s = problem.shape;
    const memory::dims x_dims{dim(s.batch), dim(s.channels), dim(s.height), dim(s.width)};
    const memory::dims y_dims{dim(s.batch), dim(s.outputs), dim(s.output_height()), dim(s.output_width())};
    const auto g = dim(s.groups), o = dim(s.outputs / s.groups), c = dim(s.channels / s.groups),
               kh = dim(s.kernel_height), kw = dim(s.kernel_width);
    const memory::dims w_dims = s.groups == 1 ? memory::dims{o, c, kh, kw} : memory::dims{g, o, c, kh, kw};
    const type x_type = problem.is_signed ? type::s8 : type::u8, y_type = problem.sums ? type::s32 : type::f32;
    const tag image = nhwc ? tag::nhwc : tag::any;
    const memory::desc x_any(x_dims, x_type, image), w_any(w_dims, type::s8, tag::any), y_any(y_dims, y_type, image),
        bias_desc({dim(s.outputs)}, type::f32, tag::a);
    const memory::dims strides{dim(s.stride_height), dim(s.stride_width)};
    const memory::dims begin{dim(s.pad_top), dim(s.pad_left)}, end{dim(s.pad_bottom), dim(s.pad_right)};
    primitive_attr attributes;
    if (!problem.sums) attributes.set_output_scales(1 << 1, scales);
    const auto kind = dnnl::prop_kind::forward_inference;
    const auto algorithm = dnnl::algorithm::convolution_direct;
    const auto desc =
        problem.sums
            ? dnnl::convolution_forward::desc(kind, algorithm, x_any, w_any, y_any, strides, begin, end)
            : dnnl::convolution_forward::desc(kind, algorithm, x_any, w_any, bias_desc, y_any, strides, begin, end);
    const dnnl::convolution_forward::primitive_desc chosen(desc, attributes, engine_);
    name_ = chosen.impl_info_str();
    convolve_ = dnnl::convolution_forward(chosen);

    memory plain_x({x_dims, x_type, tag::nhwc}, engine_), packed_x(chosen.src_desc(), engine_);
    std::copy(x.begin(), x.end(), static_cast<uint8_t*>(plain_x.get_data_handle()));
    reorder(plain_x, packed_x).execute(stream_, plain_x, packed_x);
    memory plain_w({w_dims, type::s8, s.groups == 1 ? tag::ohwi : tag::gohwi}, engine_),
        packed_w(chosen.weights_desc(), engine_);
    std::copy(levels.begin(), levels.end(), static_cast<int8_t*>(plain_w.get_data_handle()));
    reorder(plain_w, packed_w).execute(stream_, plain_w, packed_w);
    arguments_ = {
        {DNNL_ARG_SRC, packed_x}, {DNNL_ARG_WEIGHTS, packed_w}, {DNNL_ARG_DST, memory(chosen.dst_desc(), engine_)}};
    if (!problem.sums) {
      memory bias(bias_desc, engine_);
      std::fill_n(static_cast<float*>(bias.get_data_handle()), s.outputs, 0.5F);
      arguments_[DNNL_ARG_BIAS] = bias;
    }
    stream_.wait();
  }

  void run() {
    convolve_.execute(stream_, arguments_);
    stream_.wait();
  }
  const std::string& name() const { return name_; }

 private:
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  dnnl::convolution_forward convolve_;
  std::unordered_map<int, dnnl::memory> arguments_;
  std::string name_;
};

// A convolution with everything it needs.
class Ours {
 public:
  Ours(const Problem& problem, int bits, const std::vector<uint8_t>& codes, const std::vector<int>& levels,
       const Tensor<uint8_t>& x)
      : problem_(problem),
        x_(x),
        scales_(problem.shape.outputs, 0.001F),
        bias_(problem.shape.outputs, 0.5F),
        sums_(problem.shape.rows() * problem.shape.outputs),
        y_(sums_.size()) {
    const ConvolutionShape& s = problem.shape;
    if (is_depthwise()) {
      filters_.emplace_back(codes, s.channels, s.taps(), bits, levels);
      return;
    }
    const size_t size = codes.size() / s.groups;
    for (size_t group = 0; group < s.groups; ++group)
      groups_.emplace_back(std::span(codes).subspan(group * size, size), s.outputs / s.groups, s.inputs(), bits,
                           levels);
  }
  void run(bool sums) {
    Epilogue epilogue;
    epilogue.stride = problem_.shape.outputs;
    if (sums) {
      epilogue.sums = sums_.data();
    } else {
      epilogue.values = y_.data();
      epilogue.channel_scale = scales_.data();
      epilogue.bias = bias_.data();
    }
    const Levels x = problem_.is_signed ? Levels(reinterpret_cast<const int8_t*>(x_.data())) : Levels(x_.data());
    if (is_depthwise() && problem_.kernel.empty())
      convolve_depthwise(problem_.shape, filters_[0], x, epilogue);
    else if (is_depthwise())
      convolve_depthwise_with(problem_.kernel, problem_.shape, filters_[0], x, epilogue);
    else if (problem_.kernel.empty())
      convolve(problem_.shape, groups_, x, epilogue);
    else
      convolve_with(problem_.kernel, problem_.shape, groups_, x, epilogue);
  }
  const Tensor<int32_t>& sums() const { return sums_; }
  const std::vector<float>& scales() const { return scales_; }

 private:
  bool is_depthwise() const {
    const ConvolutionShape& s = problem_.shape;
    return s.groups > 1 && s.groups == s.channels && s.groups == s.outputs;
  }

  const Problem& problem_;
  const Tensor<uint8_t>& x_;
  std::vector<float> scales_, bias_;
  Tensor<int32_t> sums_;
  Tensor<float> y_;
  std::vector<PackedWeights> groups_;
  std::vector<DepthwiseWeights> filters_;  // one, or none
};

int32_t direct_sum(const Problem& problem, const std::vector<int8_t>& levels, const Tensor<uint8_t>& x, size_t row,
                   size_t output) {
  const ConvolutionShape& s = problem.shape;
  const size_t group_channels = s.channels / s.groups, group = output / (s.outputs / s.groups);
  const size_t column = row % s.output_width(), line = row / s.output_width() % s.output_height();
  const size_t image = row / s.output_width() / s.output_height();
  int32_t sum = 0;
  for (size_t tap = 0; tap < s.taps(); ++tap) {
    const size_t h = line * s.stride_height + tap / s.kernel_width - s.pad_top;  // wraps above the image
    const size_t w = column * s.stride_width + tap % s.kernel_width - s.pad_left;
    if (h >= s.height || w >= s.width) continue;
    for (size_t c = 0; c < group_channels; ++c) {
      const uint8_t byte = x[((image * s.height + h) * s.width + w) * s.channels + group * group_channels + c];
      sum += (problem.is_signed ? static_cast<int8_t>(byte) : byte) *
             levels[(output * s.taps() + tap) * group_channels + c];
    }
  }
  return sum;
}

}  // namespace

bool convolve(const std::string& text) {
  const Problem problem = parse(text);
  const ConvolutionShape& s = problem.shape;
  std::mt19937 random(7);
  std::vector<int> levels(size_t{1} << problem.bits), levels8(256);
  for (size_t i = 1; i < levels.size(); ++i) levels[i] = static_cast<int>(random() % 255) - 127;
  for (int i = 1; i < 256; ++i)
    levels8[static_cast<size_t>(i)] = std::max(static_cast<int>(static_cast<int8_t>(i)), -127);
  Tensor<uint8_t> x(s.batch * s.height * s.width * s.channels);
  std::vector<uint8_t> codes(s.outputs * s.inputs()), codes8(codes.size());
  std::vector<int8_t> weights(codes.size());
  for (uint8_t& byte : x) byte = static_cast<uint8_t>(random());
  for (size_t i = 0; i < codes.size(); ++i) {
    codes[i] = static_cast<uint8_t>(random() & ((1U << problem.bits) - 1));
    weights[i] = static_cast<int8_t>(levels[codes[i]]);
    codes8[i] = static_cast<uint8_t>(weights[i]);
  }
  Ours ours(problem, problem.bits, codes, levels, x), eight(problem, 8, codes8, levels8, x);

  ours.run(true);
  const size_t step = std::max<size_t>(1, ours.sums().size() * s.inputs() / 50'000'000) | 1;
  for (size_t i = 0; i < ours.sums().size(); i += step)
    if (const int32_t sum = direct_sum(problem, weights, x, i / s.outputs, i % s.outputs); sum != ours.sums()[i]) {
      fmt::print(stderr, "{}: wrong at row {}, channel {}: {} instead of {}\n", text, i / s.outputs, i % s.outputs,
                 ours.sums()[i], sum);
      return false;
    }

  const double macs = static_cast<double>(s.rows() * s.outputs * s.inputs());
  const auto repeats = std::max<size_t>(1, static_cast<size_t>(1e9 / (macs + 1e7)));
  const std::function<void()> our_run = [&] { ours.run(problem.sums); };
  if (problem.threads > 1) return print_scaling(text, our_run, repeats, problem.threads, 1);

  OneDnn any(problem, false, weights, x, ours.scales()), nhwc(problem, true, weights, x, ours.scales());
  std::vector<double> times;
  tbb::task_arena(1).execute([&] {
    times = by_turns({our_run, [&] { any.run(); }, [&] { eight.run(problem.sums); }, [&] { nhwc.run(); }},
                     std::vector<size_t>(4, repeats), 31);
  });
  const double our_time = times[0], any_time = times[1], eight_time = times[2], nhwc_time = times[3];
  const double peer = std::min(any_time, nhwc_time);
  fmt::print(
      "{:44} ours {:8.1f} us, ours at 8 bits {:8.1f}, oneDNN {:8.1f} (any: {}), {:8.1f} (NHWC: {}); speed over "
      "oneDNN {:.2f}; {:.0f} GMAC/s\n",
      text, our_time * 1e6, eight_time * 1e6, any_time * 1e6, any.name(), nhwc_time * 1e6, nhwc.name(), peer / our_time,
      macs / our_time / 1e9);
  return true;
}

}  // namespace dnateq::bench
