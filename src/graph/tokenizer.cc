#include "graph/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/sentence.h"
#include "dnateq/error.h"
#include "graph/import.h"

namespace dnateq {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPieceBytes = 2048;

// Of whole lines, and of at least kPieceBytes but for the last one.
std::vector<std::string> pieces_of(const std::string& text) {
  std::vector<std::string> pieces;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = text.find('\n', std::min(begin + kPieceBytes, text.size()));
    end = end == std::string::npos ? text.size() : end + 1;
    pieces.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return pieces;
}

std::vector<int64_t> tokens_of(ov::InferRequest& request, const std::string& text) {
  ov::Tensor input(ov::element::string, ov::Shape{1});
  input.data<std::string>()[0] = text;
  request.set_input_tensor(0, input);
  request.infer();
  const ov::Tensor ids = request.get_tensor("input_ids");
  if (ids.get_element_type() == ov::element::i32) {
    const int32_t* values = ids.data<int32_t>();
    return {values, values + ids.get_size()};
  }
  const int64_t* values = ids.data<int64_t>();
  return {values, values + ids.get_size()};
}

}  // namespace

TokenText tokenize(ov::Core& core, const fs::path& folder, const fs::path& extension, const std::string& text,
                   const std::string& source) {
  const fs::path file = folder / "openvino_tokenizer.xml";
  if (!fs::exists(file))
    throw Error(fmt::format("'{}' holds no openvino_tokenizer.xml; export the model again with its tokenizer",
                            folder.string()));
  if (extension.empty())
    throw Error(
        "the package openvino-tokenizers, which reads texts, is not installed; install it with pip, in the "
        "version of OpenVINO");
  TokenText result{source, {}, {}};
  try {
    core.add_extension(extension.string());
    ov::InferRequest request = core.compile_model(read_model(core, file), "CPU").create_infer_request();
    const auto first = tokens_of(request, "a"), second = tokens_of(request, ".");
    size_t before = 0, behind = 0;  // what any text begins and ends with
    while (before < std::min(first.size(), second.size()) && first[before] == second[before]) ++before;
    while (before + behind < std::min(first.size(), second.size()) &&
           first[first.size() - 1 - behind] == second[second.size() - 1 - behind])
      ++behind;
    if (before > 0) result.prefix = first[0];
    for (const std::string& piece : pieces_of(text)) {
      const std::vector<int64_t> ids = tokens_of(request, piece);
      if (ids.size() > before + behind)
        result.tokens.insert(result.tokens.end(), ids.begin() + static_cast<std::ptrdiff_t>(before),
                             ids.end() - static_cast<std::ptrdiff_t>(behind));
    }
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(fmt::format("the tokenizer '{}' does not run with '{}' ({}); make both of one version of OpenVINO",
                            file.string(), extension.string(), plain_sentence(error.what())));
  }
  return result;
}

}  // namespace dnateq
