// How fast linnet's module is in node: `make bench-web`. Prints ns per 16 weights of the product of fp16 in 4x4 blocks
// (3072 x 1024, 95 % zeros, as in `linnet bench matvec`), for every kernel set, measured in turn; and for each bundled
// voice the seconds of sound made in a second of the processor's time.
//
//     node [--experimental-wasm-relaxed-simd] bench/web.mjs FOLDER    which holds linnet.js and the modules

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const ROWS = 3072;
const COLS = 1024;
const DENSITY = 0.05;
const TURNS = 300; // of one product each

const folder = pathToFileURL(`${process.argv[2]}/`);
const { Linnet } = await import(new URL("linnet.js", folder));

const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1];

/** A product of the module `exports`, with one kernel set: a function that runs it once. */
function product(exports, weights, set) {
  const put = (bytes) => {
    const at = exports.linnet_web_allocate(bytes.byteLength);
    new Uint8Array(exports.memory.buffer).set(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength), at);
    return at;
  };
  const text = (letters) => put(new Uint8Array([...letters].map((c) => c.charCodeAt(0)).concat(0)));
  const pointer = (at) => new DataView(exports.memory.buffer).getUint32(at, true);
  const check = (status) => {
    if (status !== 0) throw new Error(`status ${status}`);
  };
  const place = put(new Uint8Array(64));
  const dense = put(weights);
  check(exports.linnet_matrix_pack(dense, ROWS, COLS, text("4x4"), text("float16"), 0, 0, place));
  exports.linnet_web_release(dense);
  const matrix = pointer(place);
  check(exports.linnet_product_create(matrix, 1, text(set), 0, 0, place));
  const created = pointer(place);
  const x = put(Float32Array.from({ length: COLS }, () => 2 * Math.random() - 1));
  const y = put(new Float32Array(ROWS));
  return () => check(exports.linnet_product_run(created, 1, x, 0, y));
}

function measureProducts(module, sets) {
  const weights = new Float32Array(ROWS * COLS);
  let blocks = 0;
  for (let row = 0; row < ROWS; row += 4) {
    for (let col = 0; col < COLS; col += 4) {
      if (Math.random() >= DENSITY) continue;
      ++blocks;
      for (let i = 0; i < 16; ++i) weights[(row + (i >> 2)) * COLS + col + (i & 3)] = Math.random() - 0.5;
    }
  }
  const runs = sets.map((set) => {
    const { exports } = new WebAssembly.Instance(module);
    exports._initialize();
    return product(exports, weights, set);
  });
  const times = sets.map(() => []);
  for (let turn = 0; turn < TURNS; ++turn) {
    runs.forEach((run, i) => {
      const start = performance.now();
      run();
      times[i].push(((performance.now() - start) * 1e6) / blocks);
    });
  }
  sets.forEach((set, i) => {
    const ns = times[i].slice(TURNS / 3);
    console.log(`  ${set}: ${median(ns).toFixed(1)} ns per 16 weights, at least ${Math.min(...ns).toFixed(1)}`);
  });
}

/** Mono samples of a wav file of 16 bits. */
function readClip(path) {
  const data = readFileSync(path);
  const at = data.indexOf("data") + 8;
  return { rate: data.readUInt32LE(24), samples: new Int16Array(data.buffer.slice(data.byteOffset + at)) };
}

async function measureVoice(name, module) {
  const voice = await Linnet.open(new URL(`voices/${name}.linnet`, folder), { module });
  const { rate, samples } = readClip(new URL("voices/slt-heldout.wav", folder));
  const frames = voice.features(samples, rate).subarray(0, 80 * voice.nFeatures);
  for (const kernels of voice.kernels.filter((each) => each !== "portable")) {
    const speeds = [];
    for (let turn = 0; turn < 9; ++turn) {
      const start = process.cpuUsage();
      const pcm = voice.synthesize(frames, { kernels });
      const { user, system } = process.cpuUsage(start);
      speeds.push(pcm.length / voice.sampleRate / ((user + system) / 1e6));
    }
    console.log(`  ${name}, ${kernels}: ${median(speeds).toFixed(2)} x real time`);
  }
}

for (const build of ["relaxed", "simd128"]) {
  let module;
  try {
    module = await Linnet.module(build);
  } catch (error) {
    console.log(`${build}: ${error.message}`);
    continue;
  }
  console.log(build);
  const { kernels } = await Linnet.open(new URL("voices/tiny.linnet", folder), { module });
  measureProducts(module, kernels);
  for (const name of ["tiny", "slt"]) await measureVoice(name, module);
}
