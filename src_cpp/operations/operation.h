// What an operation of a program is. Each has one file here, which declares it in one row: what its sixteen words hold
// (export/FORMAT.md, "Programs"), which of them name floats that it reads or writes, and what it does. Validation, the
// sharing of work among threads, the engine and the document's tables all follow the row.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "file/model.h"
#include "kernels/contract.h"

namespace linnet {

// Every operation, in the order of its number in the file, which starts at 1.
#define LINNET_OPERATIONS(X)                                                                                          \
  X(linear)                                                                                                           \
  X(gates)                                                                                                            \
  X(history)                                                                                                          \
  X(upsample) X(add) X(embedding) X(draw) X(output) X(logistics) X(sub_bands) X(step_up) X(predict) X(match) X(pitch) \
      X(levinson) X(harmonics) X(source) X(all_pole) X(subscale)

enum class Code : uint32_t {
  none,
#define LINNET_CODE(name) name,
  LINNET_OPERATIONS(LINNET_CODE)
#undef LINNET_CODE
};

// The arena from offset + stride * (number of the row within its frame), in floats.
struct Operand {
  uint32_t offset;
  uint32_t stride;
};

// As it lies in the file. The file of each operation gives its words names and types.
struct Operation {
  uint32_t words[16];

  Code code() const { return static_cast<Code>(words[0]); }

  template <class Words>
  const Words& as() const {
    static_assert(sizeof(Words) == sizeof words, "an operation has sixteen words");
    return *reinterpret_cast<const Words*>(words);
  }
};

inline const Operation& last_operation(const Model& model) {
  return model.sample_program[model.config.n_sample_operations - 1];
}

struct Checks;  // file/validation.h
struct Step;    // operations/step.h
struct Part;    // operations/part.h
struct Items;

// How many of something the words of an operation ask for.
struct Size {
  enum Form : uint8_t {
    constant,     // a
    word,         // word a
    multiple,     // a times word b
    product,      // word a times word b
    power,        // 2 to the power of word a
    tensor_rows,  // rows of the tensor that word a names
    tensor_cols,  // its columns
    padded_cols,  // its columns, up to a whole block
    frame_rows,   // rows of a frame times word a
    spaced_rows,  // rows of a frame of word a floats each, as far apart as the operand's second word says
    sub_tensors,  // what a lane sees of the sub-tensors before it: words a, b and b + 1 say how many, and how far
    merge_state,  // what merging 2 to the power of word a sub-bands keeps, with the filters that word b names
  } form;
  uint8_t a, b;
};

enum class WordKind : uint8_t { number, real, slot, vector, table, matrix, operand };
enum class Use : uint8_t { read, write, update };  // of an operand's floats
constexpr uint8_t kProduct = 1, kFinish = 2;       // halves of a linear operation

// What one word of an operation holds, or two in the case of an operand. The functions below make them.
struct Word {
  uint8_t at = 0;  // 1 .. 15; 0 behind the last word
  WordKind kind = WordKind::number;
  Use use = Use::read;
  bool optional = false;  // may be kNone
  bool in_place = false;  // a written operand that may be exactly another one
  bool shared = false;    // a written operand that may overlap others
  uint8_t half = 0;       // kProduct or kFinish: touched only by that half of a linear operation; 0: by both
  uint8_t needs = 0;      // not 0: a word that must be `needs_value`, else this one is 0 and means nothing
  uint8_t needs_value = 0;
  Size size = {Size::constant, 0, 0};  // floats of an operand or a vector; constant 0: a vector of any size
  float least = 0, most = 0;           // of a number or a real
  char name[16] = {};                  // no pointer: that would have to be relocated when the library is loaded
  const char* meaning = nullptr;       // for the document; null: the name says it
};

constexpr float kMostReal = 3.4028234663852886e38f;  // the greatest finite float
constexpr float kAboveZero = 0x1p-126f;              // the least positive normal float
constexpr float kBelowOne = 0x1.fffffep-1f;          // the greatest float below 1
constexpr float kMostFloats = 1u << 26;              // of an arena

constexpr Word number(uint8_t at, const char* name, float least, float most, const char* meaning = nullptr) {
  Word word;
  word.at = at;
  word.least = least;
  word.most = most;
  for (uint32_t i = 0; name[i] != 0; ++i) word.name[i] = name[i];
  word.meaning = meaning;
  return word;
}
constexpr Word real(uint8_t at, const char* name, const char* meaning = nullptr, float least = -kMostReal,
                    float most = kMostReal) {
  Word word = number(at, name, least, most, meaning);
  word.kind = WordKind::real;
  return word;
}
constexpr Word named(uint8_t at, WordKind kind, const char* name, Size size = {Size::constant, 0, 0}) {
  Word word = number(at, name, 0, 0);
  word.kind = kind;
  word.size = size;
  return word;
}
constexpr Word reads(uint8_t at, const char* name, Size size, const char* meaning = nullptr) {
  Word word = named(at, WordKind::operand, name, size);
  word.meaning = meaning;
  return word;
}
constexpr Word writes(uint8_t at, const char* name, Size size, const char* meaning = nullptr) {
  Word word = reads(at, name, size, meaning);
  word.use = Use::write;
  return word;
}
constexpr Word updates(uint8_t at, const char* name, Size size, const char* meaning = nullptr) {
  Word word = reads(at, name, size, meaning);
  word.use = Use::update;
  return word;
}
constexpr Word optional(Word word) {
  word.optional = true;
  return word;
}
constexpr Word in_place(Word word) {
  word.in_place = true;
  return word;
}
constexpr Word shared(Word word) {
  word.shared = true;
  return word;
}
constexpr Word of_half(uint8_t half, Word word) {
  word.half = half;
  return word;
}
constexpr Word only_if(uint8_t needs, uint8_t value, Word word) {
  word.needs = needs;
  word.needs_value = value;
  return word;
}

constexpr const char* kActivations = "0 none, 1 relu, 2 tanh, 3 sigmoid, 4 exp";

// Where an operation may stand: in the frame program, within the sample program, as its last one, or behind both.
constexpr uint8_t kInFrame = 1, kInSample = 2, kEndsSample = 4, kBehind = 8;

struct OperationRow {
  Code code;
  const char* name;
  uint8_t places;
  const Word* words;  // an empty one ends them

  // Rules beyond those of the words; null: there are none. `declare` runs for all operations of the sample program
  // before any `check`: what a draw says of its slot, others rely on.
  bool (*declare)(Checks& checks, const Operation& op);
  bool (*check)(Checks& checks, const Operation& op);
  // What a reset does, after the arena was zeroed; null: nothing.
  void (*reset)(const Step& step, const Operation& op);
  // One thread's part of it.
  void (*run)(Step& step, const Operation& op, const Part& part);
  // How it is dealt out to threads, the product of a linear operation or all but that; null: it is one thread's.
  Items (*items)(const Model& model, const Operation& op, bool product);
  // Its multiplications, where it goes through an operand more than once; null: it does not.
  uint64_t (*products)(const Model& model, const Operation& op) = nullptr;
};

namespace rows {
#define LINNET_ROW(name) extern const OperationRow name;
LINNET_OPERATIONS(LINNET_ROW)
#undef LINNET_ROW
}  // namespace rows

// The row of a code that exists; null for another one.
const OperationRow* row_of(Code code);

uint64_t size_of(const Model& model, const Operation& op, const Word& word);

// Whether the word means something in this operation.
bool has(const Operation& op, const Word& word);

}  // namespace linnet
