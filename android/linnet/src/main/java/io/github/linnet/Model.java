package io.github.linnet;

/** A native model, shared by a voice and its streams: closed when the last of them lets it go. */
final class Model {
  final long address;
  private int users = 1;

  Model(long address) {
    this.address = address;
  }

  synchronized void retain() {
    users += 1;
  }

  synchronized void release() {
    users -= 1;
    if (users == 0) Native.closeModel(address);
  }
}
