// In-order Arm cores ("little" ones, alone in many cheap phones) want other kernels than the big ones.
#pragma once

#if defined(__aarch64__) && defined(__linux__)
#define LINNET_LITTLE_CORES

namespace linnet {

// Whether every core that the kernel tells of is in-order. A mixture counts as big: audio belongs on its big cores.
bool only_little_cores();

}  // namespace linnet

#endif
