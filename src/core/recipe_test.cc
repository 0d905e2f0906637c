#include "dnateq/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "dnateq/error.h"

namespace dnateq {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;
using Pointer = Json::json_pointer;

using Double = std::numeric_limits<double>;

TensorCode sample_code() {
  TensorCode code = with_level_counts({}, 4);
  code.base = 1.3;
  code.alpha = 0.1;
  code.beta = -0.05;
  code.grid = 47.125;
  return code;
}

TensorRecipe sample_tensor(const std::string& name) {
  TensorRecipe tensor;
  tensor.tensor = name;
  tensor.shape = {8, 27};
  tensor.elements = 216;
  tensor.code = sample_code();
  tensor.rmae = 0.1;
  tensor.sqnr_db = 21.5;
  tensor.uniform_sqnr_db = 19.25;
  tensor.bytes = 140;
  tensor.sensitivity = 1e-5;
  tensor.distribution = "exponential";
  return tensor;
}

Recipe sample_recipe() {
  Recipe recipe;
  recipe.model_file = "model.onnx";
  recipe.model_fingerprint = "0123";
  recipe.data_fingerprint = "abcd";
  recipe.options = "--bits 4 --name \"\u00e9\"";
  recipe.strategy = "optimal";
  recipe.seed = std::numeric_limits<uint64_t>::max();
  recipe.target_isa = TargetIsa::kVnni;
  LayerRecipe layer;
  layer.name = "conv1";
  layer.type = "Convolution";
  layer.weight_shape = {8, 3, 3, 3};
  layer.macs = 1'000'000;
  layer.weights = sample_tensor("conv1/weights");
  layer.activations = sample_tensor("conv1/input");
  layer.output_sqnr_db = 17;
  layer.nearest_output_sqnr_db = 15;
  layer.standard_weights = StandardCodes{layer.weights.code, 0.2, 12.5, 15.5};
  recipe.layers.push_back(layer);
  layer.standard_weights.reset();
  layer.name = "gather";
  layer.type = "Gather";
  layer.activations.reset();
  layer.shares_weights_with = "conv1";
  layer.weights.bytes = 0;
  recipe.layers.push_back(layer);
  recipe.unquantized = {{"head", "MatMul", "too sensitive", 100}};
  recipe.parameters = 1234;
  recipe.passed = {"exact", 640, 11.25, {{"sum", "Add", 160, 0.25}}};
  recipe.steps = {{4.5, 5.5, 0.25, 0.125, "too lossy"}};
  recipe.metric = MetricResult{"top1",     70.5, 70.25, Double::quiet_NaN(), -0.5, 0.25, 500, "validation", true,
                               "relative", 0.01, true,  "by 500 samples"};
  recipe.split = SplitRecipe{1000, 400, 500, "0123456789abcdef", "12 samples are both"};
  recipe.emissions = {{"exact", 70.5, 0.002, -0.001, 0.005, 0.0045, "exact binomial", true, 500, 600, 1234, 99, 8.0}};
  recipe.thresholds.emplace();
  recipe.thresholds->weights = 0.125;
  recipe.thresholds->activations = 0.25;
  recipe.thresholds->chosen_by = "loss";
  recipe.thresholds->samples = 250;
  recipe.thresholds->weight_thresholds = {0.5, 0.125};
  recipe.thresholds->activation_thresholds = {0.75, 0.25, 0.0625};
  recipe.thresholds->plans = {{4.5, 5.5, 5.25, 0.75}, {6.5, 5.5, 6.25, Double::quiet_NaN()}};
  recipe.thresholds->cells = {0, 0, 1, 0, 1, 1};
  return recipe;
}

Json sample_json() { return Json::parse(to_json(sample_recipe())); }

Recipe read(const Json& json) { return recipe_from_json(json.dump(), "r.json"); }

std::string error_of_text(const std::string& text) {
  try {
    recipe_from_json(text, "r.json");
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::string error_of(const Json& json) { return error_of_text(json.dump()); }

// Every value in the document, as the path to it.
std::vector<Pointer> all_paths(const Json& json) {
  std::vector<Pointer> paths;
  const auto flat = json.flatten();
  for (const auto& [path, value] : flat.items()) {
    for (Pointer pointer(path); !pointer.empty(); pointer.pop_back())
      if (std::ranges::find(paths, pointer) == paths.end()) paths.push_back(pointer);
  }
  return paths;
}

TEST(Recipe, ComesBackFromJsonWithEveryMember) {
  const Recipe in = sample_recipe();
  const Recipe out = recipe_from_json(to_json(in), "r.json");
  EXPECT_EQ(out.version, kRecipeVersion);
  EXPECT_EQ(out.model_file, in.model_file);
  EXPECT_EQ(out.model_fingerprint, in.model_fingerprint);
  EXPECT_EQ(out.data_fingerprint, in.data_fingerprint);
  EXPECT_EQ(out.options, in.options);
  EXPECT_EQ(out.strategy, in.strategy);
  EXPECT_EQ(out.seed, in.seed);

  ASSERT_EQ(out.layers.size(), 2U);
  const LayerRecipe &layer = out.layers[0], &layer_in = in.layers[0];
  EXPECT_EQ(layer.name, layer_in.name);
  EXPECT_EQ(layer.type, layer_in.type);
  EXPECT_EQ(layer.weight_shape, layer_in.weight_shape);
  EXPECT_EQ(layer.macs, layer_in.macs);
  EXPECT_EQ(layer.output_sqnr_db, layer_in.output_sqnr_db);
  EXPECT_EQ(layer.nearest_output_sqnr_db, layer_in.nearest_output_sqnr_db);
  ASSERT_TRUE(layer.standard_weights.has_value());
  EXPECT_EQ(layer.standard_weights->code, layer_in.standard_weights->code);
  EXPECT_EQ(layer.standard_weights->rmae, 0.2);
  EXPECT_EQ(layer.standard_weights->sqnr_db, 12.5);
  EXPECT_EQ(layer.standard_weights->output_sqnr_db, 15.5);
  EXPECT_FALSE(out.layers[1].standard_weights.has_value());
  EXPECT_EQ(layer.shares_weights_with, "");
  EXPECT_EQ(out.layers[1].shares_weights_with, "conv1");
  EXPECT_FALSE(out.layers[1].activations.has_value());
  ASSERT_TRUE(layer.activations.has_value());
  for (const auto& [tensor, tensor_in] :
       {std::pair(layer.weights, layer_in.weights), std::pair(*layer.activations, *layer_in.activations)}) {
    EXPECT_EQ(tensor.tensor, tensor_in.tensor);
    EXPECT_EQ(tensor.shape, tensor_in.shape);
    EXPECT_EQ(tensor.elements, tensor_in.elements);
    EXPECT_EQ(tensor.code, tensor_in.code);
    EXPECT_EQ(tensor.rmae, tensor_in.rmae);
    EXPECT_EQ(tensor.sqnr_db, tensor_in.sqnr_db);
    EXPECT_EQ(tensor.uniform_sqnr_db, tensor_in.uniform_sqnr_db);
    EXPECT_EQ(tensor.bytes, tensor_in.bytes);
    EXPECT_EQ(tensor.sensitivity, tensor_in.sensitivity);
    EXPECT_EQ(tensor.distribution, tensor_in.distribution);
  }

  ASSERT_EQ(out.unquantized.size(), 1U);
  EXPECT_EQ(out.unquantized[0].name, "head");
  EXPECT_EQ(out.unquantized[0].type, "MatMul");
  EXPECT_EQ(out.unquantized[0].reason, "too sensitive");
  EXPECT_EQ(out.unquantized[0].weight_elements, 100);
  ASSERT_EQ(out.steps.size(), 1U);
  EXPECT_EQ(out.steps[0].weight_bits, 4.5);
  EXPECT_EQ(out.steps[0].activation_bits, 5.5);
  EXPECT_EQ(out.steps[0].loss, 0.25);
  EXPECT_EQ(out.steps[0].predicted, 0.125);
  EXPECT_EQ(out.steps[0].note, "too lossy");
  ASSERT_TRUE(out.metric.has_value());
  EXPECT_EQ(out.metric->name, "top1");
  EXPECT_EQ(out.metric->reference, 70.5);
  EXPECT_EQ(out.metric->quantized, 70.25);
  EXPECT_TRUE(std::isnan(out.metric->exact));
  EXPECT_EQ(out.metric->confidence_low, -0.5);
  EXPECT_EQ(out.metric->confidence_high, 0.25);
  EXPECT_EQ(out.metric->samples, 500);
  EXPECT_EQ(out.metric->samples_from, "validation");
  EXPECT_TRUE(out.metric->held_out);
  EXPECT_EQ(out.metric->limit, 0.01);
  EXPECT_TRUE(out.metric->certified);
  EXPECT_EQ(out.metric->verdict, "by 500 samples");
  ASSERT_EQ(out.emissions.size(), 1U);
  const EmissionResult& emission = out.emissions[0];
  EXPECT_EQ(emission.emission, "exact");
  EXPECT_EQ(emission.score, 70.5);
  EXPECT_EQ(emission.loss, 0.002);
  EXPECT_EQ(emission.low, -0.001);
  EXPECT_EQ(emission.high, 0.005);
  EXPECT_EQ(emission.upper_bound, 0.0045);
  EXPECT_EQ(emission.bound_method, "exact binomial");
  EXPECT_TRUE(emission.certified);
  EXPECT_EQ(emission.samples, 500);
  EXPECT_EQ(emission.samples_needed, 600);
  EXPECT_EQ(emission.bytes, 1234);
  ASSERT_TRUE(out.split.has_value());
  EXPECT_EQ(out.split->solve, 1000);
  EXPECT_EQ(out.split->search, 400);
  EXPECT_EQ(out.split->judge, 500);
  EXPECT_EQ(out.split->hash, "0123456789abcdef");
  EXPECT_EQ(out.split->note, "12 samples are both");
  ASSERT_TRUE(out.thresholds.has_value());
  EXPECT_EQ(out.thresholds->weights, 0.125);
  EXPECT_EQ(out.thresholds->activations, 0.25);
  EXPECT_EQ(out.thresholds->chosen_by, "loss");
  EXPECT_EQ(out.thresholds->samples, 250);
  EXPECT_EQ(out.thresholds->weight_thresholds, in.thresholds->weight_thresholds);
  EXPECT_EQ(out.thresholds->activation_thresholds, in.thresholds->activation_thresholds);
  EXPECT_EQ(out.thresholds->cells, in.thresholds->cells);
  ASSERT_EQ(out.thresholds->plans.size(), 2U);
  EXPECT_EQ(out.thresholds->plans[0].weight_bits, 4.5);
  EXPECT_EQ(out.thresholds->plans[0].activation_bits, 5.5);
  EXPECT_EQ(out.thresholds->plans[0].tensor_mean_bits, 5.25);
  EXPECT_EQ(out.thresholds->plans[0].loss, 0.75);
  EXPECT_TRUE(std::isnan(out.thresholds->plans[1].loss));  // not judged
  EXPECT_EQ(emission.graph_bytes, 99);
  EXPECT_EQ(emission.bits_on_disk, 8.0);
  EXPECT_EQ(out.parameters, 1234);
  EXPECT_EQ(out.passed.emission, "exact");
  EXPECT_EQ(out.passed.values, 640);
  EXPECT_EQ(out.passed.mean_bits, 11.25);
  ASSERT_EQ(out.passed.in_float.size(), 1U);
  EXPECT_EQ(out.passed.in_float[0].name, "sum");
  EXPECT_EQ(out.passed.in_float[0].type, "Add");
  EXPECT_EQ(out.passed.in_float[0].elements, 160);
  EXPECT_EQ(out.passed.in_float[0].share, 0.25);
}

// What recipes had before a key was added means the same as its default.
bool came_later(const Pointer& path) {
  static const std::set<std::string> later = {"/emissions",
                                              "/split",
                                              "/target_isa",
                                              "/parameters",
                                              "/passed_activations",
                                              "/thresholds",
                                              "/metric/held_out",
                                              "/metric/drop_type",
                                              "/metric/limit",
                                              "/metric/certified",
                                              "/metric/verdict",
                                              "/layers/0/standard_weights",
                                              "/layers/1/standard_weights"};
  return later.contains(path.to_string());
}

TEST(Recipe, OfAnEarlierDnateqLoadsWithDefaults) {
  Json json = sample_json();
  for (const Pointer& path : all_paths(json))
    if (came_later(path)) json.at(path.parent_pointer()).erase(path.back());
  const Recipe recipe = read(json);
  EXPECT_TRUE(recipe.emissions.empty());
  EXPECT_FALSE(recipe.split.has_value());
  EXPECT_EQ(recipe.target_isa, TargetIsa::kVnni);
  EXPECT_EQ(recipe.parameters, 0);
  EXPECT_EQ(recipe.passed.values, 0);
  EXPECT_FALSE(recipe.layers[0].standard_weights.has_value());
  EXPECT_FALSE(recipe.thresholds.has_value());
  EXPECT_TRUE(recipe.metric->held_out);
  EXPECT_EQ(recipe.metric->drop_type, "absolute");
  EXPECT_TRUE(std::isnan(recipe.metric->limit));
  EXPECT_FALSE(recipe.metric->certified);
  json["metric"]["samples_from"] = "calibration itself (too few samples to hold any back)";
  EXPECT_FALSE(read(json).metric->held_out);
}

TEST(Recipe, RefusesAGridThatDoesNotFitItsThresholds) {
  const auto refuse = [](const char* key, const Json& value) {
    Json json = sample_json();
    json["thresholds"][key] = value;
    EXPECT_THAT(error_of(json), AllOf(HasSubstr("r.json, thresholds"), HasSubstr("'cells'")));
  };
  refuse("cells", Json({0, 0, 1}));
  refuse("cells", Json({0, 0, 1, 0, 1, 2}));
  refuse("weight_thresholds", Json({0.5}));
  refuse("plans", Json::array());
}

TEST(Recipe, ComesBackWhenItIsEmpty) {
  const Recipe recipe = recipe_from_json(to_json({}), "r.json");
  EXPECT_TRUE(recipe.layers.empty());
  EXPECT_FALSE(recipe.metric.has_value());
  EXPECT_EQ(recipe.seed, 0U);
}

TEST(Recipe, KeepsEveryDoubleExactly) {
  std::mt19937_64 random(1);
  Recipe recipe;
  for (int i = 0; i < 10'000; ++i) recipe.steps.push_back({std::bit_cast<double>(random()), 0, 0, 0, ""});
  for (const double value : {0.0, -0.0, 0.1, 1.0 / 3, Double::infinity(), -Double::infinity(), Double::quiet_NaN(),
                             5e-324, 1.7976931348623157e308})
    recipe.steps.push_back({value, 0, 0, 0, ""});
  const Recipe again = recipe_from_json(to_json(recipe), "r.json");
  ASSERT_EQ(again.steps.size(), recipe.steps.size());
  for (size_t i = 0; i < recipe.steps.size(); ++i) {
    const double expected = recipe.steps[i].weight_bits, value = again.steps[i].weight_bits;
    if (std::isnan(expected))
      EXPECT_TRUE(std::isnan(value));
    else
      EXPECT_EQ(std::bit_cast<uint64_t>(value), std::bit_cast<uint64_t>(expected)) << expected;
  }
}

TEST(Recipe, WritesNaNAsNull) { EXPECT_TRUE(sample_json()["metric"]["exact"].is_null()); }

TEST(Recipe, KeepsCodesOfEveryFamilyArithmeticAndRounding) {
  for (const Family family : {Family::kFree, Family::kSharedBase, Family::kBeta0, Family::kPow2})
    for (const Arithmetic arithmetic : {Arithmetic::kExponential, Arithmetic::kInt8Grid})
      for (const Rounding rounding : {Rounding::kNearest, Rounding::kLogarithmic}) {
        Recipe recipe = sample_recipe();
        TensorCode& code = recipe.layers[0].weights.code;
        code.family = family;
        code.pow2_q = family == Family::kPow2 ? 3 : 0;
        code.arithmetic = arithmetic;
        code.rounding = rounding;
        EXPECT_EQ(recipe_from_json(to_json(recipe), "r.json").layers[0].weights.code, code);
      }
}

TEST(Recipe, IsIndentedByOneSpaceAndListsKeysInAFixedOrder) {
  EXPECT_TRUE(to_json(sample_recipe()).starts_with("{\n \"version\": 1,\n \"model_file\": \"model.onnx\",\n"));
  EXPECT_EQ(to_json(sample_recipe()), to_json(sample_recipe()));
}

TEST(Recipe, TellsExponentBitsOnlyWhereTheCodeIsClassic) {
  struct Case {
    int stored_bits, negative_levels, positive_levels;
    int exponent_bits;  // 0: none
  };
  for (const auto& [k, negative, positive, expected] :
       {Case{4, 7, 7, 3}, Case{4, 0, 15, 4}, Case{8, 127, 127, 7}, Case{4, 7, 8, 0}, Case{4, 6, 6, 0},
        Case{4, 0, 14, 0}, Case{4, 2, 13, 0}, Case{2, 1, 1, 1}}) {
    Recipe recipe = sample_recipe();
    TensorCode& code = recipe.layers[0].weights.code;
    code.stored_bits = k;
    code.negative_levels = negative;
    code.positive_levels = positive;
    code.arithmetic = Arithmetic::kExponential;
    const Json json = Json::parse(to_json(recipe))["layers"][0]["weights"]["code"];
    EXPECT_EQ(json.value("exponent_bits", 0), expected) << k << " bits, " << negative << " and " << positive;
    EXPECT_EQ(read(Json::parse(to_json(recipe))).layers[0].weights.code, code);
  }
}

TEST(Recipe, RefusesExponentBitsThatContradictTheLevels) {
  Json json = sample_json();
  json["layers"][0]["weights"]["code"]["exponent_bits"] = 3;
  EXPECT_THAT(error_of(json), HasSubstr("exponent_bits"));
}

TEST(Recipe, RefusesANewerVersionWithoutLookingAtTheRest) {
  EXPECT_THAT(error_of_text(R"({"version": 2})"),
              AllOf(HasSubstr("r.json"), HasSubstr("version 2"), HasSubstr("up to 1"), HasSubstr("update dnateq")));
}

TEST(Recipe, RefusesEveryMissingKeyByName) {
  const Json whole = sample_json();
  for (const Pointer& path : all_paths(whole)) {
    if (whole.at(path.parent_pointer()).is_array() || came_later(path)) continue;
    Json json = whole;
    json.at(path.parent_pointer()).erase(path.back());
    EXPECT_THAT(error_of(json), AllOf(HasSubstr("r.json"), HasSubstr("'" + path.back() + "' is missing")))
        << path.to_string();
  }
}

TEST(Recipe, RefusesEveryValueOfAWrongType) {
  const Json whole = sample_json();
  for (const Pointer& path : all_paths(whole)) {
    for (const Json& wrong : {Json(true), Json::array({Json::object()}), Json::object({{"x", 1}})}) {
      if (wrong.is_boolean() && whole.at(path).is_boolean()) continue;
      Json json = whole;
      json[path] = wrong;
      EXPECT_THAT(error_of(json), AllOf(HasSubstr("r.json"), HasSubstr("quantize the model"))) << path.to_string();
    }
    if (whole.at(path).is_number_integer()) {
      for (const Json& wrong : {Json(-1), Json(1.5), Json("1"), Json(nullptr)}) {
        Json json = whole;
        json[path] = wrong;
        EXPECT_NE(error_of(json), "no error") << path.to_string() << " = " << wrong;
      }
    }
  }
}

TEST(Recipe, RefusesACopyThatIsNeitherTrueNorFalse) {
  Json json = sample_json();
  for (const Json& wrong : {Json(1), Json("true"), Json(nullptr)}) {
    json["layers"][1]["had_own_copy"] = wrong;
    EXPECT_THAT(error_of(json), AllOf(HasSubstr("had_own_copy"), HasSubstr("gather")));
  }
}

TEST(Recipe, RefusesIntegersThatDoNotFit) {
  for (const char* path : {"/layers/0/macs", "/layers/0/weight_shape/0", "/layers/0/weights/bytes",
                           "/layers/0/weights/code/stored_bits", "/layers/0/weights/code/negative_levels"}) {
    Json json = sample_json();
    json[Pointer(path)] = std::numeric_limits<uint64_t>::max();
    EXPECT_THAT(error_of(json), HasSubstr("layer 'conv1'")) << path;
  }
}

TEST(Recipe, RefusesCodesThatBreakTheirInvariants) {
  const auto refuse = [](const char* key, const Json& value) {
    Json json = sample_json();
    json["layers"][0]["activations"]["code"][key] = value;
    EXPECT_THAT(error_of(json), AllOf(HasSubstr("r.json"), HasSubstr("layer 'conv1'"), HasSubstr("activations")))
        << key << " = " << value;
  };
  refuse("stored_bits", 1);
  refuse("stored_bits", 3);  // 15 levels do not fit
  refuse("stored_bits", 9);
  refuse("positive_levels", 9);
  refuse("base", 1.0);
  refuse("base", nullptr);
  refuse("alpha", "inf");
  refuse("grid", 0);
  refuse("family", "paretic");
  refuse("family", "pow2:0");
  refuse("arithmetic", "float");
  refuse("rounding", "up");
}

TEST(Recipe, NamesTheFileTheLayerAndTheTensorInErrors) {
  Json json = sample_json();
  json["layers"][0]["weights"]["rmae"] = "small";
  EXPECT_EQ(error_of(json),
            "r.json, layer 'conv1', weights: 'rmae' must be a number, null, \"inf\" or \"-inf\", not string; restore "
            "the file or quantize the model again");
}

TEST(Recipe, RefusesWeightsSharedWithNoEarlierOwner) {
  for (const char* owner : {"gather", "conv9"}) {
    Json json = sample_json();
    json["layers"][1]["shares_weights_with"] = owner;
    EXPECT_THAT(error_of(json), AllOf(HasSubstr("layer 'gather'"), HasSubstr(owner)));
  }
  Json json = sample_json();
  json["layers"][0]["shares_weights_with"] = "gather";
  EXPECT_THAT(error_of(json), HasSubstr("layer 'conv1'"));
}

TEST(Recipe, RefusesATextCutShortAnywhere) {
  const std::string text = to_json(sample_recipe());
  for (size_t length = 0; length + 2 < text.size(); ++length)
    EXPECT_THAT(error_of_text(text.substr(0, length)), HasSubstr("r.json is not valid JSON")) << length;
}

TEST(Recipe, RefusesJsonThatIsNoRecipe) {
  for (const char* text : {"null", "[]", "3", "\"recipe\"", "{}", R"({"version": "1"})", R"({"version": 0})",
                           R"({"version": 1e400})", "{\"version\": \"\xff\"}"})
    EXPECT_THAT(error_of_text(text), HasSubstr("r.json")) << text;
}

TEST(Recipe, IgnoresKeysItDoesNotKnow) {
  Json json = sample_json();
  json["comment"] = "edited by hand";
  json["layers"][0]["weights"]["color"] = "blue";
  EXPECT_EQ(to_json(read(json)), to_json(sample_recipe()));
}

TEST(Recipe, RefusesToWriteANameThatIsNotUtf8) {
  Recipe recipe = sample_recipe();
  recipe.layers[0].name = "\xff\xfe";
  EXPECT_THROW(to_json(recipe), Error);
}

class RecipeFile : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(::testing::TempDir()) / ("recipe_test_" + std::to_string(std::random_device()()));
    std::filesystem::create_directory(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::ptrdiff_t files() const {
    return std::distance(std::filesystem::directory_iterator(folder_), std::filesystem::directory_iterator());
  }

  std::filesystem::path folder_;
};

TEST_F(RecipeFile, ComesBackAndLeavesNothingElseBehind) {
  const std::filesystem::path file = folder_ / "recipe.dnateq.json";
  save_recipe({}, file);
  save_recipe(sample_recipe(), file);  // replaces
  EXPECT_EQ(to_json(load_recipe(file)), to_json(sample_recipe()));
  EXPECT_EQ(files(), 1);
}

TEST_F(RecipeFile, IsRefusedByNameWhenItIsMissingOrAFolderOrBroken) {
  for (const char* name : {"missing.json", "folder.json", "broken.json"}) {
    std::filesystem::create_directory(folder_ / "folder.json");
    std::ofstream(folder_ / "broken.json") << "{";
    try {
      load_recipe(folder_ / name);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(name));
    }
  }
}

TEST_F(RecipeFile, ThatCannotBeWrittenIsAnErrorAndLeavesTheOldOneAlone) {
  EXPECT_THROW(save_recipe({}, folder_ / "no such folder" / "recipe.json"), Error);
  std::filesystem::create_directories(folder_ / "occupied" / "by a folder");
  EXPECT_THROW(save_recipe({}, folder_ / "occupied"), Error);
  EXPECT_EQ(files(), 1) << "the temporary file is removed";
}

// 216 weights in 140 bytes, shared once, and 100 weights left in FP32.
TEST(Bits, CountEveryByteOfTheWeightsAndFloatLayersAt32) {
  const BitSummary bits = weight_bits(sample_recipe());
  EXPECT_DOUBLE_EQ(bits.stored_bits, (140 * 8 + 100 * 32) / 316.0);
  EXPECT_DOUBLE_EQ(bits.tensor_mean_bits, (4 + 32) / 2.0);
  EXPECT_DOUBLE_EQ(bits.compression_vs_fp32 * bits.stored_bits, 32);
  EXPECT_DOUBLE_EQ(bits.compression_vs_int8 * bits.stored_bits, 8);
}

TEST(Bits, CountSharedWeightsOnce) {
  Recipe recipe = sample_recipe();
  const BitSummary shared = weight_bits(recipe);
  recipe.layers.pop_back();
  EXPECT_EQ(weight_bits(recipe).stored_bits, shared.stored_bits);
  EXPECT_EQ(weight_bits(recipe).tensor_mean_bits, shared.tensor_mean_bits);
}

TEST(Bits, CountASecondFormOfSharedWeightsInTheFile) {
  Recipe recipe = sample_recipe();
  recipe.layers.back().weights.bytes = 120;
  EXPECT_DOUBLE_EQ(weight_bits(recipe).stored_bits, ((140 + 120) * 8 + 100 * 32) / 316.0);
}

TEST(Bits, CountWeightsThatTheNetworkHoldsTwiceTwiceThoughTheyAreStoredOnce) {
  Recipe recipe = sample_recipe();
  recipe.layers.back().had_own_copy = true;
  EXPECT_DOUBLE_EQ(weight_bits(recipe).stored_bits, (140 * 8 + 100 * 32) / (316.0 + 216));
}

TEST_F(RecipeFile, RemembersWhatTheNetworkHeldTwice) {
  Recipe recipe = sample_recipe();
  recipe.layers.back().had_own_copy = true;
  save_recipe(recipe, folder_ / "recipe.json");
  EXPECT_TRUE(load_recipe(folder_ / "recipe.json").layers.back().had_own_copy);
}

TEST_F(RecipeFile, RemembersWhichActivationsAreCentred) {
  Recipe recipe = sample_recipe();
  EXPECT_EQ(to_json(recipe).find("centered"), std::string::npos);
  recipe.layers.front().activations->centered = true;
  save_recipe(recipe, folder_ / "recipe.json");
  EXPECT_TRUE(load_recipe(folder_ / "recipe.json").layers.front().activations->centered);
}

TEST_F(RecipeFile, RemembersThePowerOfTwoOfChannelScales) {
  Recipe recipe = sample_recipe();
  EXPECT_EQ(to_json(recipe).find("scale_exponent"), std::string::npos);
  recipe.layers.front().weights.scale_exponent = -43;
  recipe.layers.front().standard_weights->scale_exponent = 7;
  save_recipe(recipe, folder_ / "recipe.json");
  const Recipe again = load_recipe(folder_ / "recipe.json");
  EXPECT_EQ(again.layers.front().weights.scale_exponent, -43);
  EXPECT_EQ(again.layers.front().standard_weights->scale_exponent, 7);
  EXPECT_EQ(again.layers.back().weights.scale_exponent, 0);
  for (const Json& wrong : {Json(101), Json(-101), Json(0.5), Json("3")}) {
    Json json = sample_json();
    json["layers"][0]["weights"]["scale_exponent"] = wrong;
    EXPECT_THAT(error_of(json), AllOf(HasSubstr("layer 'conv1'"), HasSubstr("'scale_exponent'")));
  }
}

TEST(Bits, WeighActivationsByTheirValues) {
  Recipe recipe = sample_recipe();
  recipe.unquantized.clear();
  LayerRecipe layer = recipe.layers[0];
  layer.activations->code.stored_bits = 6;
  layer.activations->elements = 2 * 216;
  recipe.layers.push_back(layer);
  const BitSummary bits = activation_bits(recipe);
  EXPECT_DOUBLE_EQ(bits.stored_bits, (4 + 2 * 6) / 3.0);
  EXPECT_DOUBLE_EQ(bits.tensor_mean_bits, 5) << "the embedding has no activations";
}

TEST(Bits, CountInputsOfFloatLayersAt32InTheMeanOverTensorsOnly) {
  const BitSummary bits = activation_bits(sample_recipe());
  EXPECT_DOUBLE_EQ(bits.stored_bits, 4);
  EXPECT_DOUBLE_EQ(bits.tensor_mean_bits, (4 + 32) / 2.0);
}

TEST(Bits, CountAllActivationsAt32WhereOnlyWeightsAreQuantized) {
  Recipe recipe = sample_recipe();
  recipe.layers[0].activations.reset();
  const BitSummary bits = activation_bits(recipe);
  EXPECT_DOUBLE_EQ(bits.stored_bits, 32);
  EXPECT_DOUBLE_EQ(bits.tensor_mean_bits, 32);
  EXPECT_DOUBLE_EQ(bits.compression_vs_fp32, 1);
}

TEST(Bits, IgnoreUnquantizedLayersWithoutWeights) {
  Recipe recipe = sample_recipe();
  const double weights = weight_bits(recipe).tensor_mean_bits, all = all_tensor_mean_bits(recipe);
  recipe.unquantized.push_back({"softmax", "MatMul", "no constant weights", 0});
  EXPECT_EQ(weight_bits(recipe).tensor_mean_bits, weights);
  EXPECT_EQ(all_tensor_mean_bits(recipe), all);
}

TEST(Bits, MeanOverAllTensorsTakesWeightsAndActivationsAlike) {
  EXPECT_DOUBLE_EQ(all_tensor_mean_bits(sample_recipe()), (4 + 32 + 4 + 32) / 4.0);
}

TEST(Bits, AreZeroForAnEmptyRecipe) {
  EXPECT_EQ(weight_bits({}).stored_bits, 0);
  EXPECT_EQ(activation_bits({}).compression_vs_fp32, 0);
  EXPECT_EQ(all_tensor_mean_bits({}), 0);
}

}  // namespace
}  // namespace dnateq
