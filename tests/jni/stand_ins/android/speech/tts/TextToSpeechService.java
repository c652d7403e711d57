package android.speech.tts;

/** Stands in for Android's class of this name: what the sample's service overrides. */
public abstract class TextToSpeechService {
  protected abstract int onIsLanguageAvailable(String lang, String country, String variant);

  protected abstract String[] onGetLanguage();

  protected abstract int onLoadLanguage(String lang, String country, String variant);

  protected abstract void onStop();

  protected abstract void onSynthesizeText(SynthesisRequest request, SynthesisCallback callback);

  public void onDestroy() {}
}
