#include "graph/state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/subgraph.h"
#include "graph/test_language_model.h"

namespace dnateq::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::vector<int64_t> kPrompt = {3, 1, 4, 1, 5, 9, 2, 6};

std::vector<float> prompt_of(ov::Core& core, const ModelPtr& model) {
  return Conversation(core, model).say(2, kPrompt);
}

TEST(State, TheTestsLanguageModelsMindTheirBeamsAndTheirPast) {
  ov::Core core;
  for (const auto& [name, architecture] : architectures()) {
    SCOPED_TRACE(name);
    const ModelPtr model = language_model(architecture);
    Conversation one(core, model), other(core, model), whole(core, model);
    one.say(2, kPrompt);
    other.say(2, kPrompt);
    const std::vector<float> kept = one.say(2, {7, 7}), swapped = other.say(2, {7, 7}, {1, 0});
    EXPECT_GT(relative_error(kept, swapped), 1e-3);
    const size_t row = kept.size() / 2;
    expect_near({swapped.begin(), swapped.begin() + static_cast<ptrdiff_t>(row)},
                {kept.begin() + static_cast<ptrdiff_t>(row), kept.end()});
  }
}

TEST(State, TakenOutTheNetworkComputesWhatItDoesAfterAReset) {
  ov::Core core;
  for (const auto& [name, architecture] : architectures()) {
    SCOPED_TRACE(name);
    const std::vector<float> wanted = prompt_of(core, language_model(architecture));
    const ModelPtr stateless = language_model(architecture);
    const NetworkState state = remove_state(stateless, "net.xml");
    EXPECT_EQ(state.variables.size(), 2 * static_cast<size_t>(architecture.layers));
    EXPECT_TRUE(stateless->get_variables().empty());
    EXPECT_TRUE(stateless->get_sinks().empty());
    for (const auto& op : stateless->get_ops()) {
      EXPECT_FALSE(ov::is_type<ov::op::util::ReadValueBase>(op)) << op->get_friendly_name();
      if (ov::is_type<op::Constant>(op)) continue;
      for (const auto& output : op->outputs()) {  // nothing of the state is left that would run, or be copied
        const auto readers = output.get_target_inputs();
        for (const auto& reader : readers) EXPECT_FALSE(ov::is_type<op::Assign>(reader.get_node()));
      }
    }
    EXPECT_EQ(stateless->inputs().size(), 4U);
    expect_near(prompt_of(core, stateless), wanted);
  }
}

TEST(State, PutBackTheNetworkTalksAsBefore) {
  ov::Core core;
  for (const auto& [name, architecture] : architectures()) {
    SCOPED_TRACE(name);
    const auto wanted = talk(core, language_model(architecture));
    const ModelPtr model = language_model(architecture);
    const NetworkState state = remove_state(model, "net.xml");
    const ModelPtr copy = copy_model(model).model;
    restore_state(model, state);
    EXPECT_EQ(model->get_variables().size(), 2 * static_cast<size_t>(architecture.layers));
    EXPECT_EQ(model->get_sinks().size(), model->get_variables().size());
    expect_same_talk(talk(core, model), wanted);
    restore_state(copy, state);  // once more, where nodes are copies
    expect_same_talk(talk(core, copy), wanted);
  }
}

TEST(State, SavedAndReadAgainTheVariablesAreCalledAsBefore) {
  ov::Core core;
  const TempFolder folder;
  const ModelPtr model = language_model();
  restore_state(model, remove_state(model, "net.xml"));
  ov::save_model(model, (folder / "net.xml").string(), false);
  const ModelPtr read = core.read_model((folder / "net.xml").string());
  std::vector<std::string> names;
  for (const auto& variable : read->get_variables()) names.push_back(variable->get_info().variable_id);
  EXPECT_THAT(names, ::testing::UnorderedElementsAre("past_key_values.0.key", "past_key_values.0.value",
                                                     "past_key_values.1.key", "past_key_values.1.value"));
  expect_same_talk(talk(core, read), talk(core, language_model()));
}

TEST(State, NodesOfOneNameAreToldApart) {
  ov::Core core;
  const auto wanted = talk(core, language_model());
  const ModelPtr model = language_model();
  for (const auto& node : model->get_ops())
    if (!ov::is_type<op::Parameter>(node) && !ov::is_type<op::Result>(node)) node->set_friendly_name("node");
  const NetworkState state = remove_state(model, "net.xml");
  std::set<std::string> names;
  for (const auto& node : model->get_ops()) EXPECT_TRUE(names.insert(node->get_friendly_name()).second);
  restore_state(model, state);
  expect_same_talk(talk(core, model), wanted);
}

TEST(State, ANetworkWithoutItIsLeftAsItIs) {
  const ModelPtr model = residual_cnn();
  const size_t count = model->get_ops().size();
  const NetworkState state = remove_state(model, "net.xml");
  EXPECT_TRUE(state.empty());
  restore_state(model, state);
  EXPECT_EQ(model->get_ops().size(), count);
}

TEST(State, AnOperationThatItHangsOnAndThatIsGoneIsNamed) {
  const ModelPtr model = language_model();
  const NetworkState state = remove_state(model, "net.xml");
  EXPECT_THAT(error_of([&] { restore_state(residual_cnn(), state); }),
              AllOf(HasSubstr("which the network's state hangs on"), HasSubstr("no longer in it")));
}

std::shared_ptr<ov::op::util::Variable> variable_called(const std::string& name) {
  return std::make_shared<ov::op::util::Variable>(
      ov::op::util::VariableInfo{ov::PartialShape{1, 4}, ov::element::f32, name});
}

TEST(State, ThatIsNoCacheStartsAsItsInitialValue) {
  ov::Core core;
  const auto make = [] {
    const auto x = parameter("x", {1, 4});
    const auto variable = variable_called("sum");
    const auto read = std::make_shared<op::ReadValue>(constant({1, 4}, {1, 2, 3, 4}), variable);
    const auto sum = std::make_shared<op::Add>(read, x);
    return std::make_shared<ov::Model>(
        ov::OutputVector{sum}, ov::SinkVector{std::make_shared<op::Assign>(sum, variable)}, ov::ParameterVector{x});
  };
  const std::vector<ov::Tensor> tens = {float_tensor({1, 4}, {10, 10, 10, 10})};
  const ModelPtr model = make();
  const NetworkState state = remove_state(model, "net.xml");
  const std::vector<float> first = {11, 12, 13, 14};
  EXPECT_EQ(infer_calls(core, model, {tens}), first);
  EXPECT_EQ(infer_calls(core, model, {tens, tens}), (std::vector<float>{11, 12, 13, 14, 11, 12, 13, 14}));
  restore_state(model, state);
  EXPECT_EQ(infer_calls(core, model, {tens, tens}), (std::vector<float>{11, 12, 13, 14, 21, 22, 23, 24}));
}

TEST(State, WhoseInitialShapeTheNetworkReadsToo) {
  ov::Core core;
  const auto make = [] {
    const auto x = parameter("x", {-1, 4});
    const auto variable = std::make_shared<ov::op::util::Variable>(
        ov::op::util::VariableInfo{ov::PartialShape{-1, 4}, ov::element::f32, "sum"});
    const auto rows = std::make_shared<op::Gather>(std::make_shared<op::ShapeOf>(x), constant({0}), constant({0}));
    const auto shape = std::make_shared<op::Concat>(ov::OutputVector{rows, constant({4})}, 0);
    const auto initial = std::make_shared<op::Broadcast>(constant(ov::Shape{}, {5.0F}), shape);
    const auto sum = std::make_shared<op::Add>(std::make_shared<op::ReadValue>(initial, variable), x);
    return std::make_shared<ov::Model>(ov::OutputVector{std::make_shared<op::Reshape>(sum, shape, false)},
                                       ov::SinkVector{std::make_shared<op::Assign>(sum, variable)},
                                       ov::ParameterVector{x});
  };
  const std::vector<ov::Tensor> ones = {float_tensor({1, 4}, {1, 1, 1, 1})};
  const ModelPtr model = make();
  const NetworkState state = remove_state(model, "net.xml");
  EXPECT_EQ(infer_calls(core, model, {ones, ones}), std::vector<float>(8, 6));
  restore_state(model, state);
  EXPECT_EQ(model->get_variables().front()->get_info().data_shape, (ov::PartialShape{-1, 4}));
  EXPECT_EQ(infer_calls(core, model, {ones, ones}), (std::vector<float>{6, 6, 6, 6, 7, 7, 7, 7}));
}

TEST(State, ThatCannotBeTakenOutIsRefusedByName) {
  const auto x = parameter("x", {1, 4});
  const auto variable = variable_called("memory");
  {
    const auto read = std::make_shared<op::ReadValue>(variable);
    const auto sum = std::make_shared<op::Add>(read, x);
    const auto model = std::make_shared<ov::Model>(
        ov::OutputVector{sum}, ov::SinkVector{std::make_shared<op::Assign>(sum, variable)}, ov::ParameterVector{x});
    EXPECT_THAT(error_of([&] { remove_state(model, "net.xml"); }),
                AllOf(HasSubstr("state 'memory' of 'net.xml' has no initial value"), HasSubstr("export")));
  }
  const auto one = std::make_shared<op::ReadValue>(x, variable), two = std::make_shared<op::ReadValue>(x, variable);
  const auto sum = std::make_shared<op::Add>(one, two);
  const auto model = std::make_shared<ov::Model>(
      ov::OutputVector{sum}, ov::SinkVector{std::make_shared<op::Assign>(sum, variable)}, ov::ParameterVector{x});
  EXPECT_THAT(error_of([&] { remove_state(model, "net.xml"); }),
              AllOf(HasSubstr("state 'memory' of 'net.xml' is not read once"), HasSubstr("export")));
}

}  // namespace
}  // namespace dnateq::testing
