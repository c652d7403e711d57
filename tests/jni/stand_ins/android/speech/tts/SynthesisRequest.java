package android.speech.tts;

/** Stands in for Android's class of this name. */
public final class SynthesisRequest {
  private final CharSequence text;

  public SynthesisRequest(CharSequence text) {
    this.text = text;
  }

  public CharSequence getCharSequenceText() {
    return text;
  }

  public int getSpeechRate() {
    return 100;
  }
}
