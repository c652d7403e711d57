package android.speech.tts;

/** Stands in for Android's interface of this name: what the sample's service calls. */
public interface SynthesisCallback {
  int getMaxBufferSize();

  int start(int sampleRateInHz, int audioFormat, int channelCount);

  int audioAvailable(byte[] buffer, int offset, int length);

  int done();

  void error(int errorCode);
}
