#include "report/accelerator_document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "accelerator/precision.h"

namespace dnateq {
namespace {

using namespace accelerator;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::ordered_json;

SimulationRun run_of(const std::string& network) {
  SimulationRun run;
  run.int8 = run.workload = built_in_workload(network);
  set_mean_precision(run.workload, {.weight_bits = 4, .activation_bits = 4, .origin = "test"});
  run.config = default_config();
  for (const Design design : all_designs())
    run.designs.push_back(simulate(design == Design::kInt8 ? run.int8 : run.workload, run.config, design));
  return run;
}

TEST(AcceleratorDocument, PartsAddUpToTheWhole) {
  const Json document = simulation_document(run_of("alexnet"));
  ASSERT_EQ(document.at("designs").size(), all_designs().size());
  EXPECT_EQ(document["designs"][0]["design"], "int8");
  for (const Json& design : document["designs"]) {
    EXPECT_EQ(design["layers"].size(), document["workload"]["layers"].size());
    int64_t cycles = 0, bytes = 0;
    double energy = 0, components = 0;
    for (const Json& layer : design["layers"]) {
      cycles += layer["cycles"]["total"].get<int64_t>();
      bytes += layer["bytes"]["total"].get<int64_t>();
      energy += layer["total_energy_pj"].get<double>();
    }
    for (const auto& [component, value] : design["energy_pj"].items()) components += value.get<double>();
    EXPECT_EQ(cycles, design["cycles"].get<int64_t>());
    EXPECT_EQ(bytes, design["bytes"]["total"].get<int64_t>());
    EXPECT_NEAR(energy, design["total_energy_pj"].get<double>(), 1e-9 * energy);
    EXPECT_NEAR(components, design["total_energy_pj"].get<double>(), 1e-9 * energy);
  }
  EXPECT_EQ(document["designs"][0]["against_int8"]["speed"], 1.0);
}

TEST(AcceleratorDocument, LayersOnInt8LanesHaveTheBaselinesBits) {
  SimulationRun run = run_of("alexnet");
  run.workload.layers[0].activations.exponent_bits = run.workload.layers[0].activations.stored_bits = 8;
  const Workload mixed = with_int8_layers(run.workload, run.int8, 7);
  run.designs = {simulate(run.int8, run.config, Design::kInt8), simulate(mixed, run.config, Design::kDecode)};
  const Json document = simulation_document(run);
  const Json& design = document["designs"][1];
  EXPECT_TRUE(design["layers"][0]["int8_lanes"]);
  EXPECT_FALSE(design["layers"][1]["int8_lanes"]);
  EXPECT_EQ(design["layers"][0]["weight_bits"], 8);
  EXPECT_EQ(design["int8_lane"]["exponent_bits"], 0);
  EXPECT_GT(design["lane"]["exponent_bits"], 0);
  EXPECT_TRUE(document["designs"][0]["int8_lane"].is_null());
  double area = 0;
  for (const auto& [part, um2] : design["area_um2"].items()) area += um2.get<double>();
  EXPECT_NEAR(area, design["total_area_um2"].get<double>(), 1e-9 * area);
  EXPECT_GT(design["area_um2"]["int8_lanes"], 0);
  EXPECT_THAT(layers_csv(run), AllOf(HasSubstr(",lanes,"), HasSubstr(",int8,")));
}

TEST(AcceleratorDocument, DesignsSayWhetherTheirCodesAreTheNetworks) {
  SimulationRun run = run_of("alexnet");
  const Json document = simulation_document(run);
  for (const Json& design : document["designs"]) {
    if (design["design"] == "int8")
      EXPECT_TRUE(design["codes"].is_null());  // grids of its own
    else
      EXPECT_EQ(design["codes"]["own"], true) << design["design"];
  }
  run.workload.layers[1].weights.base *= 1.1;
  run.workload.layers[2].weights.levels = Levels::kReal;
  run.workload.layers[3].weights.base *= 1.1;
  const Json designs = simulation_document(run)["designs"];
  for (const Json& design : designs) {
    if (design["design"] == "int8") continue;
    const Json& codes = design["codes"];
    EXPECT_EQ(codes["own"], false) << design["design"];
    EXPECT_EQ(codes["layers"], run.workload.layers.size());
    EXPECT_EQ(codes["foreign_layers"], design["design"] == "decode" ? 1 : 2);
    EXPECT_EQ(codes["reasons"].size(), 1U);
    EXPECT_THAT(codes["wanted"].get<std::string>(), HasSubstr("quantize --"));
  }
  run.designs[1].layers[1].int8_lanes = true;  // there its codes do not matter
  EXPECT_EQ(simulation_document(run)["designs"][1]["codes"]["foreign_layers"], 1);
}

TEST(AcceleratorDocument, TheRecipesAccuracyStandsBesideItsFigures) {
  SimulationRun run = run_of("alexnet");
  EXPECT_TRUE(simulation_document(run)["recipe"].is_null());
  run.recipe.emplace();
  run.recipe->strategy = "paper";
  EXPECT_TRUE(simulation_document(run)["recipe"]["metric"].is_null());
  run.recipe->metric.emplace();
  run.recipe->metric->name = "top1";
  run.recipe->metric->reference = 0.5;
  run.recipe->metric->exact = 0.25;
  run.recipe->metric->quantized = std::nan("");
  const Json recipe = simulation_document(run)["recipe"];
  EXPECT_EQ(recipe["strategy"], "paper");
  EXPECT_EQ(recipe["metric"]["reference"], 0.5);
  EXPECT_EQ(recipe["metric"]["exact"], 0.25);
  EXPECT_TRUE(recipe["metric"]["quantized"].is_null());
  EXPECT_TRUE(recipe["metric"]["confidence"].is_null());
}

TEST(AcceleratorDocument, ReadingsAreRatiosToTheirOwnBaseline) {
  SimulationRun run = run_of("alexnet");
  EXPECT_TRUE(simulation_document(run)["readings"].empty());
  Outcome int8, decode;
  int8.milliseconds = int8.energy_pj = int8.area_um2 = 4;
  decode = int8;
  decode.design = Design::kDecode;
  decode.milliseconds = 2;
  run.readings = {{BitsAre::kStored, 3, 4, {int8, decode}}, {BitsAre::kExponent, 4, 5, {int8, decode}}};
  run.readings[1].outcomes[1].error = "no energies";
  const Json readings = simulation_document(run)["readings"];
  EXPECT_EQ(readings[0]["bits_are"], "stored");
  EXPECT_EQ(readings[0]["designs"][1]["speed"], 2.0);
  EXPECT_EQ(readings[1]["bits_are"], "exponent");
  EXPECT_EQ(readings[1]["weight_bits"], 4.0);
  EXPECT_EQ(readings[1]["designs"][1]["error"], "no energies");
}

TEST(AcceleratorDocument, EveryNumberOfTheMachineHasItsSourceOrIsAFlag) {
  const Json config = simulation_document(run_of("alexnet")).at("config");
  for (const auto& [key, value] : config["values"].items())
    EXPECT_TRUE(config["sources"].contains(key) || value == 0 || value == 1) << key;
  for (const Json& key : config["assumed"]) EXPECT_TRUE(config["values"].contains(key.get<std::string>())) << key;
}

TEST(AcceleratorDocument, ShareThatTheClaimAsksFor) {
  // 40 % less traffic and dot products 66 % cheaper: 77 % of the baseline's energy must be in them.
  const Energy baseline = {{"dram", 50}, {"lanes", 50}}, design = {{"dram", 30}, {"lanes", 17}};
  const ShareCheck check = share_check(baseline, design, 2.5);
  EXPECT_DOUBLE_EQ(check.share, 0.5);
  EXPECT_DOUBLE_EQ(check.inside_ratio, 0.34);
  EXPECT_DOUBLE_EQ(check.outside_ratio, 0.6);
  ASSERT_TRUE(check.needed.has_value());
  EXPECT_NEAR(*check.needed, 0.77, 0.005);
  EXPECT_FALSE(check.holds);
  const double whole = *check.needed * 0.34 + (1 - *check.needed) * 0.6;
  EXPECT_NEAR(whole, 1 / 2.5, 1e-12);
  EXPECT_FALSE(share_check(baseline, {{"dram", 30}, {"lanes", 45}}, 2.5).needed.has_value());
  EXPECT_TRUE(share_check(baseline, {{"dram", 10}, {"lanes", 10}}, 2.5).holds);
}

TEST(AcceleratorDocument, TablesHaveARowADesignAndLayer) {
  SimulationRun run = run_of("alexnet");
  run.workload.layers[0].weights.origin = "a, \"b\"";
  const std::string csv = layers_csv(run);
  const auto lines = std::count(csv.begin(), csv.end(), '\n');
  EXPECT_EQ(lines, static_cast<int64_t>(1 + run.designs.size() * run.workload.layers.size()));
  EXPECT_THAT(csv, HasSubstr("\"a, \"\"b\"\"\""));
  EXPECT_THAT(csv.substr(0, csv.find('\n')), HasSubstr("dram_pj"));
}

TEST(AcceleratorDocument, PointsThatAreNotPossibleSayWhy) {
  const std::vector<SweepAxis> axes = {{"array.counter_bits", {2, 10}}};
  Outcome int8, broken;
  int8.cycles = 100;
  int8.milliseconds = int8.energy_pj = int8.area_um2 = 2;
  broken.design = Design::kCounting;
  broken.error = "counters too narrow, by far";
  Outcome good = int8;
  good.design = Design::kCounting;
  good.milliseconds = 1;
  const std::vector<SweepPoint> points = {{{2}, {int8, broken}}, {{10}, {int8, good}}};
  const Json sweep = sweep_document(axes, points);
  EXPECT_EQ(sweep["points"][0]["designs"][1]["error"], broken.error);
  EXPECT_EQ(sweep["points"][1]["designs"][1]["speed"], 2.0);
  const std::string csv = sweep_csv(axes, points);
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 5);
  EXPECT_THAT(csv, HasSubstr("\"counters too narrow, by far\""));
}

TEST(AcceleratorDocument, PageIsSelfContained) {
  SimulationRun run = run_of("alexnet");
  run.workload.layers[0].name = "</script><b>";
  const std::string page = render_accelerator_html(simulation_document(run));
  EXPECT_THAT(page, Not(HasSubstr("</script><b>")));
  EXPECT_THAT(page, Not(HasSubstr("@drawing.js@")));
  EXPECT_THAT(page, Not(HasSubstr("@report.data@")));
  for (const char* fetched : {"src=\"", "@import", "url(", "<link"}) EXPECT_THAT(page, Not(HasSubstr(fetched)));
}

}  // namespace
}  // namespace dnateq
