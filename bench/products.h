#pragma once

namespace bench {

// Print the speed of products with random matrices: every kernel set, beside the stream limit of the same weights.
void print_products();

}  // namespace bench
