#include "operations/logistics.h"

#include <math.h>

#include "operations/draw.h"
#include "kernels/arithmetic.h"

namespace linnet {
namespace {

// q = U (1 - 2e-5) + 1e-5 keeps the logistic distribution's tails within +-11.5 scales.
constexpr float kQuantileSpan = 0x1.fffd6p-1f;
constexpr float kQuantileLow = 0x1.4f8b58p-17f;

float scale_of(const LogisticsOp& op, float parameter) {
  const float s = parameter > op.least_scale ? parameter : op.least_scale;
  return op.spread == Spread::exp ? exp_scalar(s) : softplus_scalar(s);
}

float rounded(const LogisticsOp& op, float v) {
  if (op.steps == 0.0f) {
    v = v > -1.0f ? v : -1.0f;
    return v < 1.0f ? v : 1.0f;
  }
  float z = v * op.steps;
  z = z > -32768.0f ? z : -32768.0f;
  z = z < 32767.0f ? z : 32767.0f;
  return static_cast<float>(static_cast<int32_t>(z)) * 0x1p-15f;
}

double softplus(double x) { return fmax(x, 0.0) + log1p(exp(-fabs(x))); }

// Where the values of a token begin and end; infinite beyond the first and the last.
struct Interval {
  double low, high;
};

Interval values_of(const LogisticsOp& op, uint32_t token) {
  Interval values;
  if (op.steps == 0.0f) {
    const double half = 1.0 / (op.classes - 1);
    values = Interval{(2.0 * token - 1.0) * half - 1.0, (2.0 * token + 1.0) * half - 1.0};
  } else {  // cut towards zero
    const double n = static_cast<double>(token) - 32768.0;
    values = Interval{(n > 0.0 ? n : n - 1.0) / op.steps, (n < 0.0 ? n : n + 1.0) / op.steps};
  }
  if (token == 0) values.low = -static_cast<double>(INFINITY);
  if (token == op.classes - 1) values.high = static_cast<double>(INFINITY);
  return values;
}

// log(F(b) - F(a)) of the standard logistic distribution, a < b: with e = exp, F(b) - F(a) =
// (1 - e(a - b)) / ((1 + e(a)) (1 + e(-b))), which cancels nowhere.
double log_share(double a, double b) {
  const double width = isinf(a) || isinf(b) ? 0.0 : log(-expm1(a - b));
  return width - softplus(a) - softplus(-b);
}

}  // namespace

float draw_logistic(State* state, const Mixture& mixture, uint32_t band) {
  const LogisticsOp& op = mixture.op;
  const size_t first = size_t{band} * op.mixtures;
  const float* logits = mixture.logits + first;
  if (state->inverse_temperature == 0.0f) return rounded(op, mixture.means[first + likeliest(logits, op.mixtures)]);
  const size_t k = first + draw_from(state, logits, op.mixtures, op.word + band);
  const float q = fmaf(uniform(*state, op.word + op.bands + band), kQuantileSpan, kQuantileLow);
  const float scale = scale_of(op, mixture.scales[k]) * state->sampling.temperature;
  return rounded(op, fmaf(scale, log_scalar((1.0f - q) / q), mixture.means[k]));
}

float logistic_value(const LogisticsOp& op, uint32_t token) {
  const float number = static_cast<float>(token);
  if (op.steps == 0.0f) return fmaf(number, 2.0f / static_cast<float>(op.classes - 1), -1.0f);
  return (number - 32768.0f) * 0x1p-15f;
}

double logistic_nats(State* state, const Mixture& mixture, uint32_t band, uint32_t token) {
  const LogisticsOp& op = mixture.op;
  const size_t first = size_t{band} * op.mixtures;
  const float* logits = mixture.logits + first;
  const float greatest = state->kernels.exponentials(op.mixtures, 1.0f, logits, state->e, state->groups);
  float total = state->groups[0];
  for (uint32_t g = 1; g < groups_of(op.mixtures); ++g) total = total + state->groups[g];
  const Interval values = values_of(op, token);
  // The sum over the mixtures, in units of the greatest term so far.
  double most = -static_cast<double>(INFINITY), sum = 0.0;
  for (uint32_t k = 0; k < op.mixtures; ++k) {
    const double mean = static_cast<double>(mixture.means[first + k]);
    const double scale = static_cast<double>(scale_of(op, mixture.scales[first + k]));
    const double share = log_share((values.low - mean) / scale, (values.high - mean) / scale);
    const double term = static_cast<double>(logits[k]) - static_cast<double>(greatest) + share;
    if (isinf(term)) continue;  // adds nothing
    if (term > most) {
      sum = sum * exp(most - term) + 1.0;
      most = term;
    } else {
      sum += exp(term - most);
    }
  }
  return log(static_cast<double>(total)) - most - log(sum);
}

}  // namespace linnet
