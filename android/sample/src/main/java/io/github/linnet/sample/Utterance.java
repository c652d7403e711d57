package io.github.linnet.sample;

import android.media.AudioFormat;
import android.speech.tts.SynthesisCallback;
import android.speech.tts.TextToSpeech;
import io.github.linnet.Voice;
import io.github.linnet.VoiceStream;
import java.io.IOException;
import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** One utterance: the frames of an acoustic model through a voice to Android, hop by hop as they are made. */
final class Utterance {
  private volatile boolean stopped;

  /** Ends {@link #speak} before the next hop; from any thread. */
  void stop() {
    stopped = true;
  }

  /**
   * Hand over all samples, those of a frame as soon as they can be made. Returns after the last, after {@link #stop}, or
   * where the callback wants no more.
   *
   * @throws IOException from the frames
   */
  void speak(Voice voice, MelSource.Frames frames, SynthesisCallback callback) throws IOException {
    if (callback.start(voice.sampleRate(), AudioFormat.ENCODING_PCM_16BIT, 1) != TextToSpeech.SUCCESS) return;
    int hop = Math.min(voice.hopLength(), callback.getMaxBufferSize() / Short.BYTES);
    ByteBuffer samples = ByteBuffer.allocateDirect(Short.BYTES * hop).order(ByteOrder.nativeOrder());
    byte[] bytes = new byte[samples.capacity()];
    float[] frame = new float[voice.featureCount()];
    try (VoiceStream stream = voice.newStream()) {
      while (!stopped && frames.next(frame)) {
        stream.push(frame);
        if (!handOver(stream, samples, bytes, callback)) return;
      }
      stream.finish();
      handOver(stream, samples, bytes, callback);
    }
  }

  /** What can be made before another frame is needed; false where no more is wanted. */
  private boolean handOver(VoiceStream stream, ByteBuffer samples, byte[] bytes, SynthesisCallback callback) {
    Buffer buffer = samples; // older phones know no clear and no flip of ByteBuffer
    while (!stopped) {
      buffer.clear();
      if (stream.pull(samples) == 0) return true;
      buffer.flip();
      int length = samples.remaining();
      samples.get(bytes, 0, length);
      if (callback.audioAvailable(bytes, 0, length) != TextToSpeech.SUCCESS) return false;
    }
    return false;
  }
}
