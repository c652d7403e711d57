// A value of each band, drawn from a mixture of logistic distributions.
#include "operations/logistics.h"

#include <math.h>

#include "file/validation.h"
#include "operations/categorical.h"
#include "operations/part.h"
#include "operations/pcm.h"
#include "operations/random.h"

namespace linnet {
namespace {

// q = U (1 - 2e-5) + 1e-5 keeps the logistic distribution's tails within +-11.5 scales.
constexpr float kQuantileSpan = 0x1.fffd6p-1f;
constexpr float kQuantileLow = 0x1.4f8b58p-17f;

bool declare(Checks& checks, const Operation& operation) {
  const auto& op = operation.as<LogisticsWords>();
  if (checks.logistics != nullptr) return checks.fail("a second mixture of logistics");
  checks.logistics = &operation;
  if (op.random_word > kNone - 2 * op.bands) return checks.fail("random words beyond 2^32");
  if (op.values_per_unit > 0.0f && op.classes != 65536)
    return checks.fail("classes is not 65536 where values are cut to steps");
  Config& config = checks.config();
  if (op.mixtures > config.most_classes) config.most_classes = op.mixtures;
  return true;
}

// The parameters of one band in one step.
struct Mixture {
  const LogisticsWords& op;
  const float *logits, *means, *scales;  // (mixtures)

  float scale(size_t k) const {
    const float s = scales[k] > op.least_scale ? scales[k] : op.least_scale;
    return op.scale_activation == ScaleActivation::exp ? exp_scalar(s) : softplus_scalar(s);
  }
};

float rounded(const LogisticsWords& op, float v) {
  if (op.values_per_unit == 0.0f) return clamped(v, -1.0f, 1.0f);
  return static_cast<float>(static_cast<int32_t>(clamped(v * op.values_per_unit, -32768.0f, 32767.0f))) * 0x1p-15f;
}

float draw_value(Step& step, const Mixture& mixture, uint32_t band) {
  const LogisticsWords& op = mixture.op;
  const size_t k = draw_class(step, mixture.logits, op.mixtures, op.random_word + band);
  if (step.sampler->inverse_temperature == 0.0f) return rounded(op, mixture.means[k]);
  const float q = fused(uniform(*step.sampler, op.random_word + op.bands + band), kQuantileSpan, kQuantileLow);
  const float scale = mixture.scale(k) * step.sampler->sampling.temperature;
  return rounded(op, fused(scale, log_scalar((1.0f - q) / q), mixture.means[k]));
}

// The value that a token stands for.
float value_of(const LogisticsWords& op, uint32_t token) {
  const float number = static_cast<float>(token);
  if (op.values_per_unit == 0.0f) return fused(number, 2.0f / static_cast<float>(op.classes - 1), -1.0f);
  return (number - 32768.0f) * 0x1p-15f;
}

double softplus(double x) { return fmax(x, 0.0) + log1p(exp(-fabs(x))); }

// Where the values of a token begin and end; infinite beyond the first and the last.
struct Interval {
  double low, high;
};

Interval values_of(const LogisticsWords& op, uint32_t token) {
  Interval values;
  if (op.values_per_unit == 0.0f) {
    const double half = 1.0 / (op.classes - 1);
    values = Interval{(2.0 * token - 1.0) * half - 1.0, (2.0 * token + 1.0) * half - 1.0};
  } else {  // cut towards zero
    const double n = static_cast<double>(token) - 32768.0;
    values = Interval{(n > 0.0 ? n : n - 1.0) / op.values_per_unit, (n < 0.0 ? n : n + 1.0) / op.values_per_unit};
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

// Nats of one token at temperature 1: of the values that are rounded to it.
double nats_of(Step& step, const Mixture& mixture, uint32_t token) {
  const LogisticsWords& op = mixture.op;
  const Softmax softmax = softmax_of(step, mixture.logits, op.mixtures);
  const Interval values = values_of(op, token);
  // The sum over the mixtures, in units of the greatest term so far.
  double most = -static_cast<double>(INFINITY), sum = 0.0;
  for (uint32_t k = 0; k < op.mixtures; ++k) {
    const double mean = static_cast<double>(mixture.means[k]);
    const double scale = static_cast<double>(mixture.scale(k));
    const double share = log_share((values.low - mean) / scale, (values.high - mean) / scale);
    const double term = static_cast<double>(mixture.logits[k]) - softmax.greatest + share;
    if (isinf(term)) continue;  // adds nothing
    if (term > most) {
      sum = sum * exp(most - term) + 1.0;
      most = term;
    } else {
      sum += exp(term - most);
    }
  }
  return softmax.log_total - most - log(sum);
}

void run(Step& step, const Operation& operation, const Part&) {
  const auto& op = operation.as<LogisticsWords>();
  float* out = step.at(op.out);
  for (uint32_t band = 0; band < op.bands; ++band) {
    const size_t first = size_t{band} * op.mixtures;
    const Mixture mixture = {op, step.at(op.input) + first, step.at(op.means) + first, step.at(op.scales) + first};
    if (step.forced == nullptr) {
      out[band] = draw_value(step, mixture, band);
    } else {
      step.nats += nats_of(step, mixture, step.forced[band]);
      out[band] = value_of(op, step.forced[band]);
    }
  }
}

Items items(const Model&, const Operation& operation, bool) {
  const auto& op = operation.as<LogisticsWords>();
  return one_item(op.bands * (kAloneCost + op.mixtures));
}

}  // namespace

namespace rows {

constexpr Word kLogisticsWords[] = {number(1, "mixtures", 1, 256),
                                    number(2, "bands", 1, kMostSubBands),
                                    number(3, "scale_activation", 0, 1, "0 exp, 1 softplus"),
                                    reads(4, "input", {Size::product, 1, 2}, "logits"),
                                    writes(6, "out", {Size::word, 2, 0}),
                                    reads(8, "means", {Size::product, 1, 2}),
                                    reads(10, "scales", {Size::product, 1, 2}),
                                    real(12, "least_scale"),
                                    number(13, "random_word", 0, kNone, "index of the first random number"),
                                    real(14, "values_per_unit", "values per unit, 0 or more", 0),
                                    number(15, "classes", 2, 65536),
                                    {}};

const OperationRow logistics = {Code::logistics, "logistics", kInSample, kLogisticsWords, declare, nullptr,
                                nullptr,         run,         items};

}  // namespace rows
}  // namespace linnet
