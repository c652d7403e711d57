// linnet in JavaScript: in pages, workers, audio worklets and node. docs/web.md tells how to use it.

import { logMel } from "./features.js";

// What lies where in linnet.h's structs (src_cpp/bindings/web/web.cpp checks it), in bytes.
const ERROR = { size: 200 };
const INFO = { size: 40, numbers: 5, metadata: 32, metadataSize: 36 };
const OPTIONS = { size: 24, seed: 0, stream: 8, temperature: 12, threads: 16, kernels: 20 };

const FEATURES_REFUSED = 7; // LINNET_ERROR_FEATURES

// A function of relaxed SIMD: (v128, v128, v128) -> f32x4.relaxed_madd.
const RELAXED = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 8, 1, 96, 3, 123, 123, 123, 1, 123, 3, 2, 1, 0, 10, 13, 1, 11, 0, 32, 0, 32, 1, 32, 2,
  253, 133, 2, 11,
]);

/** A file that is no voice, or one that this version cannot read: `offset` is where, in bytes. */
export class FormatError extends Error {
  constructor(message, offset) {
    super(message);
    this.name = "FormatError";
    this.offset = offset;
  }
}

/** The bytes of a URL; in node, of a file, by its path or its URL. */
async function read(url) {
  if (globalThis.process?.versions?.node && !/^https?:/.test(url)) {
    const { readFile } = await import("node:fs/promises");
    return readFile(url);
  }
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  return response.arrayBuffer();
}

/**
 * A voice.
 *
 *     const voice = await Linnet.open("voices/slt.linnet");
 *     const frames = voice.features(samples, 44100);
 *     const pcm = voice.synthesize(frames, { seed: 0 });
 */
export class Linnet {
  /**
   * Open a voice: a URL (in node, a file's path too), an ArrayBuffer or a Uint8Array. Throws FormatError for what is no
   * voice. `module`: one from `Linnet.module`, null for the best.
   */
  static async open(source, { module = null } = {}) {
    const bytes = typeof source === "string" || source instanceof URL ? await read(source) : source;
    return new Linnet(bytes, module ?? (await Linnet.module()));
  }

  /** Compile linnet for this machine: "relaxed" or "simd128", null for the faster one that it can run. */
  static async module(build = null) {
    const chosen = build ?? (WebAssembly.validate(RELAXED) ? "relaxed" : "simd128");
    return WebAssembly.compile(await read(new URL(`linnet-${chosen}.wasm`, import.meta.url)));
  }

  #library;
  #model;

  /** As `open`, at once: for audio worklets, to which bytes and module can be posted. */
  constructor(bytes, module) {
    this.#library = new Library(module);
    const lib = this.#library;
    const data = lib.allocate(bytes.byteLength); // the model lies there as long as this instance lives
    lib.bytes().set(bytes instanceof ArrayBuffer ? new Uint8Array(bytes) : bytes, data);
    const place = lib.allocate(4);
    const error = lib.allocate(ERROR.size);
    if (lib.call.linnet_model_open_memory(data, bytes.byteLength, place, error) !== 0) {
      throw new FormatError(lib.text(error), Number(lib.view().getBigUint64(error + 192, true)));
    }
    this.#model = lib.view().getUint32(place, true);
    const info = lib.allocate(INFO.size);
    lib.call.linnet_model_info(this.#model, info);
    const numbers = [];
    for (let i = 0; i < INFO.numbers; ++i) numbers.push(lib.view().getUint32(info + 4 * i, true));
    [this.sampleRate, this.hopLength, this.nFeatures, this.lookahead, this.samplesPerStep] = numbers;
    const at = lib.view().getUint32(info + INFO.metadata, true);
    this.metadata = JSON.parse(utf8(lib.bytes().subarray(at, at + lib.view().getUint32(info + INFO.metadataSize, true))));
    for (const each of [place, error, info]) lib.release(each);
  }

  /** The names of the kernel sets, best first. */
  get kernels() {
    const names = [];
    for (let at; (at = this.#library.call.linnet_kernels(names.length)) !== 0; ) names.push(this.#library.text(at));
    return names;
  }

  /**
   * Mono samples, Float32Array or Float64Array in [-1, 1] or Int16Array, at `sampleRate` Hz -> the voice's features:
   * Float32Array, nFeatures floats a frame, frame after frame; one frame for each hop of samples.
   */
  features(samples, sampleRate) {
    return logMel(samples, sampleRate, this.metadata.features);
  }

  /**
   * Begin an utterance. `seed`: a whole number from 0 on, or a BigInt below 2^64; `temperature` divides the logits and
   * multiplies noise; `kernels`: a name from `kernels`, null for the best. The same seed gives the same samples
   * everywhere.
   */
  stream({ seed = 0, temperature = 1, kernels = null } = {}) {
    return new Stream(this, this.#library, this.#model, seed, temperature, kernels);
  }

  /** All frames to samples: Int16Array, hopLength samples a frame. The options are those of `stream`. */
  synthesize(frames, options) {
    const stream = this.stream(options);
    try {
      stream.push(frames);
      stream.finish();
      return stream.pull();
    } finally {
      stream.close();
    }
  }
}

/** An utterance in progress: frames go in, samples come out. `Linnet.stream` makes it. */
class Stream {
  #voice;
  #library;
  #stream;
  #frame; // where one frame goes
  #samples; // where a hop of samples comes from
  #count; // where a number comes from
  #waiting; // frames that were pushed: arrays, of which the first was taken up to #from
  #from;
  #pushed; // frames
  #pulled; // samples
  #finished;
  #told; // the library knows that it is finished

  constructor(voice, library, model, seed, temperature, kernels) {
    this.#voice = voice;
    this.#library = library;
    const options = library.allocate(OPTIONS.size);
    const name = kernels === null ? 0 : library.allocateText(kernels);
    const place = library.allocate(4);
    const view = library.view();
    view.setBigUint64(options + OPTIONS.seed, checkedSeed(seed), true);
    view.setUint32(options + OPTIONS.stream, 0, true);
    view.setFloat32(options + OPTIONS.temperature, temperature, true);
    view.setUint32(options + OPTIONS.threads, 1, true);
    view.setUint32(options + OPTIONS.kernels, name, true);
    const status = library.call.linnet_stream_create(model, options, 0, 0, place);
    this.#stream = library.view().getUint32(place, true);
    for (const each of [options, name, place]) library.release(each);
    library.check(status);
    this.#frame = library.allocate(4 * voice.nFeatures);
    this.#samples = library.allocate(2 * voice.hopLength);
    this.#count = library.allocate(4);
    this.#begin();
  }

  #begin() {
    this.#waiting = [];
    this.#from = this.#pushed = this.#pulled = 0;
    this.#finished = this.#told = false;
  }

  /** The name of the kernel set that runs. */
  get kernels() {
    return this.#library.text(this.#library.call.linnet_stream_kernels(this.#open()));
  }

  /** Give frames, as `features` makes them. They wait here, not copied, until they are pulled. */
  push(frames) {
    this.#open();
    if (this.#finished) throw new Error("the stream is finished: reset it for another utterance");
    if (!(frames instanceof Float32Array)) throw new TypeError("frames must be a Float32Array");
    if (frames.length % this.#voice.nFeatures !== 0) {
      throw new RangeError(`frames must be of ${this.#voice.nFeatures} floats each, not ${frames.length} floats`);
    }
    if (!frames.every(Number.isFinite)) throw new RangeError("a feature is NaN or infinite");
    if (frames.length === 0) return;
    this.#waiting.push(frames);
    this.#pushed += frames.length / this.#voice.nFeatures;
  }

  /** No more frames come: the samples of the last ones can be made. */
  finish() {
    this.#open();
    this.#finished = true;
  }

  /** How many samples can be pulled now. */
  get available() {
    const ready = this.#finished ? this.#pushed : Math.max(this.#pushed - this.#voice.lookahead, 0);
    return ready * this.#voice.hopLength - this.#pulled;
  }

  /** The next samples: all that are available, or at most `most` of them; Int16Array. */
  pull(most = Infinity) {
    const samples = new Int16Array(Math.min(this.available, most));
    this.pullInto(samples);
    return samples;
  }

  /** As `pull`, into an Int16Array; returns how many there were. Only the module's memory is used: for audio callbacks. */
  pullInto(samples) {
    const stream = this.#open();
    const wanted = Math.min(samples.length, this.available);
    let done = 0;
    while (done < wanted) {
      const most = Math.min(wanted - done, this.#voice.hopLength);
      this.#library.check(this.#library.call.linnet_stream_pull(stream, this.#samples, most, this.#count));
      const made = this.#library.view().getUint32(this.#count, true);
      samples.set(this.#library.int16().subarray(this.#samples / 2, this.#samples / 2 + made), done);
      done += made;
      if (made < most) this.#feed(stream);
    }
    this.#pulled += done;
    return done;
  }

  // Hands the library a frame: it has made all samples that it can without.
  #feed(stream) {
    if (this.#waiting.length > 0) {
      const n = this.#voice.nFeatures;
      const frames = this.#waiting[0];
      this.#library.float32().set(frames.subarray(this.#from, this.#from + n), this.#frame / 4);
      this.#library.check(this.#library.call.linnet_stream_push(stream, this.#frame, 1, this.#count));
      this.#from += n * this.#library.view().getUint32(this.#count, true);
      if (this.#from === frames.length) {
        this.#waiting.shift();
        this.#from = 0;
      }
    } else if (this.#finished && !this.#told) {
      this.#library.check(this.#library.call.linnet_stream_finish(stream));
      this.#told = true;
    }
  }

  /** Begin another utterance, of another seed; frames and samples of this one are dropped. */
  reset(seed = 0) {
    this.#library.check(this.#library.call.linnet_stream_reset(this.#open(), checkedSeed(seed), 0));
    this.#begin();
  }

  /** Free its memory; only `close` may be called afterwards. */
  close() {
    if (this.#stream === 0) return;
    this.#library.call.linnet_stream_close(this.#stream);
    for (const each of [this.#frame, this.#samples, this.#count]) this.#library.release(each);
    this.#stream = 0;
  }

  #open() {
    if (this.#stream === 0) throw new Error("the stream is closed");
    return this.#stream;
  }
}

/** One instance of the module, and its memory. */
class Library {
  #memory;
  #views = null;

  constructor(module) {
    const { exports } = new WebAssembly.Instance(module);
    this.call = exports;
    this.#memory = exports.memory;
    exports._initialize();
  }

  // Views of the memory are made anew when it has grown.
  #current() {
    const buffer = this.#memory.buffer;
    if (this.#views?.buffer !== buffer) {
      this.#views = {
        buffer,
        view: new DataView(buffer),
        bytes: new Uint8Array(buffer),
        int16: new Int16Array(buffer),
        float32: new Float32Array(buffer),
      };
    }
    return this.#views;
  }
  view() {
    return this.#current().view;
  }
  bytes() {
    return this.#current().bytes;
  }
  int16() {
    return this.#current().int16;
  }
  float32() {
    return this.#current().float32;
  }

  allocate(size) {
    const at = this.call.linnet_web_allocate(size);
    if (at === 0) throw new RangeError(`no memory for ${size} bytes`);
    return at;
  }

  allocateText(text) {
    const codes = [...text].map((letter) => letter.codePointAt(0));
    if (codes.some((code) => code > 127)) throw new RangeError(`no kernel set is called ${text}`);
    const at = this.allocate(codes.length + 1);
    this.bytes().set([...codes, 0], at);
    return at;
  }

  release(at) {
    this.call.linnet_web_release(at);
  }

  /** Text that ends with a zero. */
  text(at) {
    const bytes = this.bytes();
    return utf8(bytes.subarray(at, bytes.indexOf(0, at)));
  }

  check(status) {
    if (status === 0) return;
    const message = this.text(this.call.linnet_status_text(status));
    throw status === FEATURES_REFUSED ? new RangeError(message) : new Error(message);
  }
}

/** Bytes of UTF-8 to text: audio worklets have no TextDecoder. */
function utf8(bytes) {
  let escaped = "";
  for (const byte of bytes) escaped += `%${byte.toString(16).padStart(2, "0")}`;
  return decodeURIComponent(escaped);
}

function checkedSeed(seed) {
  if (typeof seed !== "bigint" && !Number.isSafeInteger(seed)) throw new RangeError(`seed must be whole, not ${seed}`);
  const number = BigInt(seed);
  if (number < 0n || number >= 1n << 64n) throw new RangeError(`seed must lie in [0, 2^64), not ${seed}`);
  return number;
}
