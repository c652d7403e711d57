// A file in memory: mapped read-only, or copied.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace linnet {

class MappedFile {
 public:
  MappedFile() = default;
  ~MappedFile() { close(); }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // False where the system refuses; errno says why. An empty file is no bytes. A copy starts at a multiple of 64.
  bool open(const char* path, bool copy);
  void close();

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
  bool copied_ = false;
};

}  // namespace linnet
