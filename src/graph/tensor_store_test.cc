#include "graph/tensor_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <thread>
#include <vector>

namespace dnateq {
namespace {

constexpr size_t kFloats = 1000, kBytes = kFloats * sizeof(float);

ov::Tensor filled(float value, size_t floats = kFloats) {
  ov::Tensor tensor(ov::element::f32, {1, floats});
  std::fill_n(tensor.data<float>(), floats, value);
  return tensor;
}

void expect_filled(const TensorStore::Kept& kept, float value, size_t floats = kFloats) {
  const ov::Tensor tensor = kept.load();
  ASSERT_EQ(tensor.get_shape(), (ov::Shape{1, floats}));
  EXPECT_EQ(kept.shape(), tensor.get_shape());
  const float* values = tensor.data<float>();
  EXPECT_TRUE(std::all_of(values, values + floats, [&](float x) { return x == value; })) << value;
}

TEST(TensorStore, KeepsCopiesInMemoryUpToTheLimitAndOnDiskBeyond) {
  TensorStore store(2 * kBytes, ::testing::TempDir());
  std::vector<TensorStore::Kept> kept;
  ov::Tensor tensor = filled(0);
  for (int i = 0; i < 5; ++i) {
    std::fill_n(tensor.data<float>(), kFloats, static_cast<float>(i));
    kept.push_back(store.keep(tensor));
    EXPECT_EQ(kept.back().in_memory(), i < 2);
  }
  for (int i = 0; i < 5; ++i) expect_filled(kept[static_cast<size_t>(i)], static_cast<float>(i));
  kept.erase(kept.begin());  // room in memory again
  EXPECT_TRUE(store.keep(tensor).in_memory());
}

TEST(TensorStore, RoomIsUsedAgainAndNothingIsOverwritten) {
  TensorStore store(0, ::testing::TempDir());
  std::vector<std::pair<TensorStore::Kept, size_t>> kept;
  for (size_t round = 0; round < 200; ++round) {
    const size_t floats = 100 + round * 37 % 900;
    kept.emplace_back(store.keep(filled(static_cast<float>(floats), floats)), floats);
    if (round % 3 == 1) kept.erase(kept.begin() + static_cast<ptrdiff_t>(round * 7 % kept.size()));
  }
  for (const auto& [tensor, floats] : kept) expect_filled(tensor, static_cast<float>(floats), floats);
}

TEST(TensorStore, AnEmptyTensorAndOneThatOutlivesTheStore) {
  std::optional<TensorStore> store(std::in_place, kBytes, ::testing::TempDir());
  const TensorStore::Kept small = store->keep(ov::Tensor(ov::element::i64, {0, 3})), first = store->keep(filled(1)),
                          second = store->keep(filled(2));
  EXPECT_FALSE(second.in_memory());
  store.reset();
  EXPECT_EQ(small.load().get_shape(), (ov::Shape{0, 3}));
  expect_filled(first, 1);
  expect_filled(second, 2);
}

TEST(TensorStore, ServesFromMemoryWhereThereCanBeNoFile) {
  TensorStore store(0, "/nonexistent");
  const TensorStore::Kept kept = store.keep(filled(3));
  EXPECT_TRUE(kept.in_memory());
  expect_filled(kept, 3);
}

TEST(TensorStore, ServesSeveralThreads) {
  TensorStore store(3 * kBytes, ::testing::TempDir());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      std::vector<TensorStore::Kept> own;
      for (int i = 0; i < 50; ++i) {
        own.push_back(store.keep(filled(static_cast<float>(100 * t + i))));
        if (i % 2 == 1) own.erase(own.begin());
      }
      for (size_t i = 0; i < own.size(); ++i)
        expect_filled(own[i], static_cast<float>(100 * t + 25 + static_cast<int>(i)));
    });
  for (std::thread& thread : threads) thread.join();
}

TEST(TensorStore, KeepsEmptyTensors) {
  TensorStore store(0, ::testing::TempDir());
  const ov::Tensor whole(ov::element::f32, ov::Shape{1, 2, 4, 3});
  const ov::Tensor none(whole, ov::Coordinate{0, 0, 0, 0},
                        ov::Coordinate{1, 2, 0, 3});  // strided, as OpenVINO may give
  EXPECT_EQ(store.keep(none).load().get_shape(), (ov::Shape{1, 2, 0, 3}));
  EXPECT_EQ(store.keep(ov::Tensor(ov::element::f32, ov::Shape{0, 5})).load().get_shape(), (ov::Shape{0, 5}));
}

}  // namespace
}  // namespace dnateq
