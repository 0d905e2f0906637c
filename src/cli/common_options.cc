// Options that several commands have.
#include <algorithm>
#include <thread>

#include "cli/commands.h"

namespace dnateq {

int Session::thread_count() const {
  return threads > 0 ? threads : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

void add_output(CLI::App& command, Session& session) {
  command.add_flag("--json", session.json, "print one JSON document on standard output");
  command.add_flag("-q,--quiet", session.quiet, "no progress");
}

void add_common(CLI::App& command, Session& session) {
  add_output(command, session);
  command.add_option("--threads", session.threads, "threads to use; the result does not depend on it (default: all)")
      ->check(CLI::Range(0, 1024));
}

void add_data(CLI::App& command, const std::string& flag, DataArguments& data, const std::string& what, bool required) {
  command
      .add_option(flag, data.path, what + ": .npz, .npy, a folder of .npz (one call each), a folder or .tar of images")
      ->required(required);
  command.add_option("--mean", data.mean, "images: subtracted from 0...255 pixels, e.g. 123.7,116.3,103.5");
  command.add_option("--std", data.std, "images: divides afterwards");
  command.add_option("--resize", data.resize, "images: shorter side, antialiased bilinear")
      ->check(CLI::Range(0, 16384));
  command.add_option("--crop", data.crop, "images: centre crop")->check(CLI::Range(0, 16384));
  command.add_option("--color", data.color, "images")->check(CLI::IsMember({"rgb", "bgr", "gray"}));
  command.add_option("--layout", data.layout, "images")->check(CLI::IsMember({"nchw", "nhwc"}));
}

void add_text(CLI::App& command, DataArguments& data) {
  command.add_option("--text", data.text,
                     "language models: a text file (UTF-8), read by the tokenizer in the model's folder");
  command.add_option("--context", data.context, "tokens of the text that the model sees at once (default: 512)")
      ->check(CLI::Range(2, 1 << 20));
  command.add_option("--windows", data.windows, "so many pieces of --context tokens, at most; 0: all (default: 64)")
      ->check(CLI::Range(0, 1 << 20));
}

void add_limit(CLI::App& command, std::string& max_drop, std::string& drop_type, std::string& max_loss) {
  command.add_option("--max-drop", max_drop, "fewest bits whose loss is at most this, e.g. 0.01 or 1%");
  command
      .add_option("--drop-type", drop_type,
                  "how --max-drop counts: absolute, in the metric's own units, so that 1% of top1 is one point\n"
                  "(default), or relative to FP32's score")
      ->check(CLI::IsMember({"absolute", "relative"}));
  command.add_option("--max-loss", max_loss,
                     "the older name: absolute for the metrics that have names here, relative for command:CMD");
}

void add_ignored(CLI::App& command, std::vector<std::string>& names, std::vector<std::string>& types) {
  command.add_option("--ignore-name", names, "leave the layer of this whole name out")->allow_extra_args(false);
  command.add_option("--ignore-type", types, "leave layers of this operation out, e.g. MatMul, Convolution or Gather")
      ->allow_extra_args(false);
}

void add_batch_axis(CLI::App& command, DataArguments& data) {
  command
      .add_option("--batch-axis", data.batch_axis,
                  "axis of the model's inputs along which the calls of a folder of .npz hold several samples\n"
                  "(default: the first, where the network shows that its samples do not see each other)")
      ->check(CLI::Range(0, 15));
}

}  // namespace dnateq
