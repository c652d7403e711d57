// What the operations do that neither draw nor leave the arena.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/contract.h"
#include "file/model.h"
#include "run/plan.h"
#include "operations/prediction.h"

namespace linnet {

// The operations of a program, for one step of one stream; those that draw, and the output, are the engine's.
struct Step {
  const Model& model;
  const Kernels& kernels;
  float* arena;
  uint32_t i;  // number of the row within its frame

  float* at(const Operand& operand) const { return arena + operand.offset + size_t{operand.stride} * i; }

  void linear(const LinearOp& op, bool product, bool finish, const Share& share) const {
    float* out = at(op.out) + share.first;
    if (product) {
      const float* bias =
          op.bias == kNone ? nullptr : static_cast<const float*>(model.tensors[op.bias].values) + share.first;
      kernels.matvec_for(share.weights)(share.weights, at(op.in), bias, out);
    }
    if (!finish) return;
    if (op.add.offset != kNone) {
      kernels.finish(share.count, op.activation, at(op.add) + share.first, out);
    } else if (op.activation != Activation::none) {
      kernels.finish(share.count, op.activation, nullptr, out);
    }
  }

  void linear(const LinearOp& op) const {
    const Matrix& w = model.tensors[op.weights];
    linear(op, true, true, Share{0, w.rows, w});
  }

  void gates(const GatesOp& op, uint32_t first, uint32_t count) const {
    kernels.gates(count, op.units, at(op.recurrent) + first, at(op.input) + first, at(op.state) + first);
  }

  void history(const HistoryOp& op) const {
    float* window = at(op.out);
    const size_t kept = size_t{op.size} * (op.frames - 1);
    memmove(window, window + op.size, kept * sizeof *window);
    memcpy(window + kept, at(op.in), op.size * sizeof *window);
  }

  void upsample(const UpsampleOp& op) const {
    kernels.upsample(model.config.rows(), op.window, op.channels,
                     static_cast<const float*>(model.tensors[op.weights].values), at(op.in), op.row_stride,
                     arena + op.out);
  }

  void add(const AddOp& op, uint32_t first, uint32_t count) const {
    const float* a = at(op.in) + first;
    const float* b = at(op.add) + first;
    float* out = at(op.out) + first;
    if (out == b) {
      kernels.finish(count, op.activation, a, out);
    } else {
      if (out != a) memcpy(out, a, count * sizeof *out);
      kernels.finish(count, op.activation, b, out);
    }
  }

  void predict(const PredictOp& op) const { linnet::predict(op, at(op.in), *at(op.gain), at(op.past), at(op.out)); }

  void embedding(const EmbeddingOp& op, uint32_t token) const {
    const Matrix& table = model.tensors[op.table];
    const uint32_t row_bytes = (table.cols + kGroup - 1) / kGroup * kGroup * (table.dtype == Dtype::fp32 ? 4 : 2);
    const uint8_t* row = static_cast<const uint8_t*>(table.values) + size_t{row_bytes} * token;
    kernels.widen(table.cols, table.dtype, row, at(op.out));
  }
};

}  // namespace linnet
