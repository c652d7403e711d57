// A file mapped read-only into memory.
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

  // False where the system refuses; errno says why. An empty file is mapped as no bytes.
  bool open(const char* path);
  void close();

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace linnet
