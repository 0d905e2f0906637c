// read_recipe RECIPE.json: each layer's weight levels, and the code of 0.5.
#include <cstdio>

#include "dnateq/code.h"
#include "dnateq/error.h"
#include "dnateq/recipe.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: read_recipe RECIPE.json\n", stderr);
    return 2;
  }
  try {
    const dnateq::Recipe recipe = dnateq::load_recipe(argv[1]);
    for (const dnateq::LayerRecipe& layer : recipe.layers) {
      const dnateq::TensorCode& code = layer.weights.code;
      const dnateq::Encoder encoder(code);
      std::printf("%s: %d bits, levels", layer.name.c_str(), code.stored_bits);
      for (const float level : dnateq::magnitudes(code)) std::printf(" %.3g", static_cast<double>(level));
      const uint8_t half = encoder.encode(0.5F);
      std::printf("; 0.5 becomes %.3g (code %d)\n", static_cast<double>(encoder.decode(half)), half);
    }
  } catch (const dnateq::Error& error) {  // one sentence for the user
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
