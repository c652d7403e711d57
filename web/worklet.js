// A voice in the audio thread: it makes each block of samples when the sound card asks for it. The context must run at
// the voice's sample rate. processorOptions: { bytes, module, seed }, as for `new Linnet` and `stream`.
//
// Messages to it: { frames } to push, "finish", "stop". From it, as soon as it is finished (an offline context may be
// started then), now and then, and at the end:
//   { samples, missing, ended }    Int16Array of those made since, how many were asked for before their frames had come
// or { error }, a sentence.

import { Linnet } from "./linnet.js";

const REPORT = 1024; // samples

class Player extends AudioWorkletProcessor {
  #stream;
  #made = new Int16Array(REPORT);
  #count = 0;
  #missing = 0;
  #finished = false;
  #ended = false;

  constructor({ processorOptions: { bytes, module, seed } }) {
    super();
    this.port.onmessage = ({ data }) => this.#guarded(() => this.#take(data));
    this.#guarded(() => {
      const voice = new Linnet(bytes, module);
      if (voice.sampleRate !== sampleRate) throw new RangeError(`this voice needs a context at ${voice.sampleRate} Hz`);
      this.#stream = voice.stream({ seed });
    });
  }

  #guarded(work) {
    try {
      work();
    } catch (error) {
      this.#ended = true;
      this.port.postMessage({ error: error.message });
    }
  }

  #take(message) {
    if (message === "stop") {
      this.#ended = true;
    } else if (message === "finish") {
      this.#finished = true;
      this.#stream.finish();
      this.#report();
    } else {
      this.#stream.push(message.frames);
    }
  }

  process(inputs, [[channel]]) {
    if (!this.#ended) this.#guarded(() => this.#make(channel));
    return !this.#ended;
  }

  #make(channel) {
    const block = this.#made.subarray(this.#count, this.#count + channel.length);
    const n = this.#stream.pullInto(block);
    for (let i = 0; i < n; ++i) channel[i] = block[i] / 32768;
    this.#count += n;
    if (n < channel.length) {
      if (this.#finished) this.#ended = true;
      else this.#missing += channel.length - n;
    }
    if (this.#ended || this.#count + channel.length > REPORT) this.#report();
  }

  #report() {
    this.port.postMessage({
      samples: this.#made.slice(0, this.#count),
      missing: this.#missing,
      ended: this.#ended,
    });
    this.#count = this.#missing = 0;
  }
}

registerProcessor("linnet", Player);
