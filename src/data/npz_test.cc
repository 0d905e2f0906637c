#include "data/npz.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/test_files.h"

namespace dnateq {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using testing::Bytes;
using testing::bytes_of;
using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using testing::npy;
using testing::npz;
using testing::Packing;
using testing::put_u32;
using testing::values_of;
using testing::zip_field;

// Offsets inside a zip's central directory entry.
constexpr size_t kFlags = 8;
constexpr size_t kMethod = 10;
constexpr size_t kCrc = 16;
constexpr size_t kPackedSize = 20;
constexpr size_t kSize = 24;
const std::string kDirectory("PK\1\2");
const std::string kLocal("PK\3\4");

Bytes two_arrays(Packing packing) {
  return npz({{"x", npy("<f4", "(2, 2)", bytes_of<float>({1, 2, 3, 4}))}, {"mask", npy("|b1", "(2,)", Bytes(2))}},
             packing);
}

std::vector<NamedArray> read(const Bytes& file, const std::vector<std::string>& wanted = {}) {
  return NpzArchive(file, "a.npz").read(wanted);
}

std::string error_in(const Bytes& file) {
  return error_of([&] { read(file); });
}

TEST(Npz, ReadsStoredAndDeflatedArraysInTheirOrder) {
  for (const Packing packing : {Packing::kStored, Packing::kDeflated}) {
    const auto arrays = read(two_arrays(packing));
    ASSERT_EQ(arrays.size(), 2U);
    EXPECT_EQ(arrays[0].name, "x");
    EXPECT_THAT(values_of<float>(arrays[0].array), ElementsAre(1, 2, 3, 4));
    EXPECT_EQ(arrays[1].name, "mask");
    EXPECT_EQ(arrays[1].array.type, DataType::kBool);
  }
}

TEST(Npz, ReadsOnlyWhatIsWantedInThatOrder) {
  const Bytes file =
      npz({{"bad", bytes_of<char>({'?'})}, {"a/b", npy("|u1", "(1,)", Bytes(1))}, {"c", npy("|u1", "(1,)", Bytes(1))}});
  const auto arrays = read(file, {"c", "a/b"});
  ASSERT_EQ(arrays.size(), 2U);
  EXPECT_EQ(arrays[0].name, "c");
  EXPECT_EQ(arrays[1].name, "a/b");
  EXPECT_EQ(error_of([&] { read(file, {"y"}); }),
            "'a.npz' has no array 'y', only 'bad', 'a/b', 'c'; name its arrays as the model's inputs");
}

TEST(Npz, UnpacksLargeArrays) {
  std::vector<int32_t> values(300000);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int32_t>(i * i);
  const Bytes file = npz({{"x", npy("<i4", "(300000,)", bytes_of(values))}}, Packing::kDeflated);
  EXPECT_EQ(values_of<int32_t>(read(file)[0].array), values);
  // Highly compressible, but small: allowed.
  const Bytes zeros = npz({{"x", npy("<i4", "(300000,)", Bytes(1200000))}}, Packing::kDeflated);
  EXPECT_LT(zeros.size(), 3000U);
  EXPECT_EQ(read(zeros)[0].array.elements(), 300000);
}

TEST(Npz, NamesTheDamagedArray) {
  EXPECT_THAT(error_in(npz({{"x", npy("|O", "(1,)", Bytes(8))}})),
              HasSubstr("'a.npz': array 'x' holds Python objects"));
  EXPECT_THAT(error_in(npz({{"x", bytes_of<char>({'a', 'b'})}})), HasSubstr("'a.npz': array 'x' is truncated"));
  EXPECT_THAT(error_in(npz({{"x", {}}})), HasSubstr("'a.npz': array 'x' is truncated"));
  EXPECT_THAT(error_in(npz({})), HasSubstr("holds no arrays"));
  EXPECT_THAT(error_in(bytes_of<char>({'n', 'o', ' ', 'z', 'i', 'p'})), HasSubstr("'a.npz' is not a readable .npz"));
}

TEST(Npz, RefusesSizesThatTheArchiveCannotHold) {
  Bytes file = two_arrays(Packing::kStored);
  put_u32(file, zip_field(file, kDirectory, kSize), 0x7fffffff);
  EXPECT_THAT(error_in(file), AllOf(HasSubstr("array 'x' declares 2147483647 bytes"), HasSubstr("cannot hold")));
  put_u32(file, zip_field(file, kDirectory, kPackedSize), 0x7fffffff);
  EXPECT_THAT(error_in(file), HasSubstr("cannot hold"));
  file = two_arrays(Packing::kDeflated);
  put_u32(file, zip_field(file, kDirectory, kSize), 0x7fffffff);
  EXPECT_THAT(error_in(file), HasSubstr("cannot hold"));
}

TEST(Npz, RefusesArraysThatAreLongerOrShorterThanDeclared) {
  const Bytes whole = npz({{"x", npy("|u1", "(5000,)", Bytes(5000))}}, Packing::kDeflated);
  for (const uint32_t declared : {10U, 5000U, 5500U}) {
    Bytes file = whole;
    put_u32(file, zip_field(file, kDirectory, kSize), declared);
    EXPECT_THAT(error_in(file), AllOf(HasSubstr("'a.npz': array 'x'"), HasSubstr("again"))) << declared;
  }
}

TEST(Npz, RefusesABombBeforeUnpackingIt) {
  // Four members that each declare what deflate could just reach, 1.5 GB in all, in an archive of 1.5 MB.
  const Bytes noise(380000);
  const Bytes packed = npz({{"x", noise}});
  Bytes file = packed;
  const size_t method = zip_field(file, kDirectory, kMethod);
  file[method] = std::byte{8};
  put_u32(file, zip_field(file, kDirectory, kSize), 380000U * 1000U);
  EXPECT_THAT(error_in(file), HasSubstr("array 'x'"));  // 380 MB are allowed, but it is no deflate stream
  const Bytes large = npz({{"x", Bytes(1600000)}});
  file = large;
  file[zip_field(file, kDirectory, kMethod)] = std::byte{8};
  put_u32(file, zip_field(file, kDirectory, kSize), 1600000000U);
  EXPECT_THAT(error_in(file), HasSubstr("'a.npz' would unpack to more than 1073741824 bytes"));
}

TEST(Npz, RefusesOtherMethodsEncryptionAndWrongChecksums) {
  Bytes file = two_arrays(Packing::kStored);
  file[zip_field(file, kDirectory, kMethod)] = std::byte{12};
  EXPECT_THAT(error_in(file), AnyOf(HasSubstr("zip method 12"), HasSubstr("not a readable")));
  file = two_arrays(Packing::kStored);
  file[zip_field(file, kDirectory, kFlags)] |= std::byte{1};
  file[zip_field(file, kLocal, 6)] |= std::byte{1};
  EXPECT_THAT(error_in(file), HasSubstr("encrypted"));
  file = two_arrays(Packing::kStored);
  put_u32(file, zip_field(file, kDirectory, kCrc), 0);
  EXPECT_THAT(error_in(file), HasSubstr("array 'x' is damaged (CRC error)"));
}

TEST(Npz, RefusesEveryTruncation) {
  for (const Packing packing : {Packing::kStored, Packing::kDeflated}) {
    const Bytes whole = two_arrays(packing);
    for (size_t size = 0; size < whole.size(); ++size) {
      const Bytes cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
      EXPECT_THAT(error_in(cut), HasSubstr("'a.npz'")) << size;
    }
  }
}

TEST(Npz, SurvivesEveryChangedByte) {
  for (const Packing packing : {Packing::kStored, Packing::kDeflated}) {
    const Bytes whole = two_arrays(packing);
    for (size_t at = 0; at < whole.size(); ++at) {
      for (const int change : {0x01, 0x10, 0x80, 0xff}) {
        Bytes changed = whole;
        changed[at] ^= static_cast<std::byte>(change);
        try {
          read(changed);
        } catch (const Error&) {
        }
      }
    }
  }
}

}  // namespace
}  // namespace dnateq
