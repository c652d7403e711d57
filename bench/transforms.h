#pragma once

namespace bench {

// Print the speed of a frame's spectrum and of the way back, as matching needs them: every kernel set, beside the
// stages taken one number at a time.
void print_transforms();

}  // namespace bench
