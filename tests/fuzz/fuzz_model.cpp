// libFuzzer: whatever lies in a sealed file, it is refused with a typed error or it runs, with the same samples from every
// kernel set. The header's size and checksum are corrected first; otherwise hardly a mutation would come past them.
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <algorithm>
#include <random>

#include "run_file.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

constexpr size_t kHeaderSize = 128, kTensorSize = 128, kOperationSize = 64;

uint32_t word(const uint8_t* data, size_t at) {
  uint32_t value;
  memcpy(&value, data + at, sizeof value);
  return value;
}

// Where some u32 of the header, the tensor directory or the operations stands.
size_t descriptive_word(const uint8_t* data, size_t size, std::minstd_rand* random) {
  const size_t tensors = word(data, 96), operations = word(data, 104);
  const size_t n_tensors = word(data, 64), n_operations = size_t{word(data, 68)} + word(data, 72);
  size_t from = 32, length = kHeaderSize - 32;
  const unsigned part = (*random)() % 5;
  if (part == 1 || part == 2) from = tensors, length = n_tensors * kTensorSize;
  if (part > 2) from = operations, length = n_operations * kOperationSize;
  const size_t at = from + (*random)() % std::max<size_t>(length, 4) / 4 * 4;
  return at + 4 <= size ? at : 32;
}

}  // namespace

// Most of a file is weights, which are all alike to the loader: three mutations in four change a number that describes them.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  std::minstd_rand random(seed);
  if (size < kHeaderSize || random() % 4 == 0) return LLVMFuzzerMutate(data, size, max_size);
  const size_t at = descriptive_word(data, size, &random);
  const uint32_t old = word(data, at), other = word(data, descriptive_word(data, size, &random));
  const uint32_t step = 1u << random() % 8;
  const uint32_t values[] = {old + step, old - step, other, old * 2, old / 2, 0, 0xFFFFFFFFu, 1u << random() % 32};
  const uint32_t value = values[random() % (sizeof values / sizeof values[0])];
  memcpy(data + at, &value, sizeof value);
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<unsigned char> file(data, data + size);
  seal(&file);
  run_file(file);
  return 0;
}
