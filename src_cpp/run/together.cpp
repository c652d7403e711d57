#include "run/together.h"

#include "operations/linear.h"

namespace linnet {

void run_together(const Plan& plan, uint32_t task, Step* steps, uint32_t count, float* packed) {
  const Operation& op = *plan.tasks[task].operation;
  Part part = plan.part(task, 0);
  if (op.code() == Code::linear) {
    multiply_together(op, steps, count, packed);
    part.product = false;
  }
  for (uint32_t l = 0; l < count; ++l) plan.tasks[task].row->run(steps[l], op, part);
}

}  // namespace linnet
