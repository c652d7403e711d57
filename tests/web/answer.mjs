// Answers requests to linnet.js: answer.mjs FOLDER BUILD REQUESTS. FOLDER holds linnet.js and its modules, REQUESTS is a
// file of JSON (tests/test_web.py writes it); the answers go to standard output, as JSON too.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, build, requests] = process.argv.slice(2);
const { Linnet } = await import(new URL("linnet.js", pathToFileURL(`${folder}/`)));
const module = await Linnet.module(build);

function numbers(Type, path) {
  const data = readFileSync(path);
  return new Type(data.buffer.slice(data.byteOffset, data.byteOffset + data.length));
}

const open = (path) => new Linnet(readFileSync(path), module);

const answers = {
  kernels: ({ voice }) => open(voice).kernels,

  // Pushes and pulls by the numbers of frames and samples given, over and over, until nothing is left.
  vocode({ voice, frames, seed, temperature, kernels, pushes, pulls }) {
    const opened = open(voice);
    const { nFeatures } = opened;
    const all = numbers(Float32Array, frames);
    const stream = opened.stream({ seed: BigInt(seed), temperature, kernels });
    if (stream.kernels !== kernels) throw new Error(`${stream.kernels} runs`);
    const hash = createHash("sha256");
    let count = 0;
    for (let at = 0, turn = 0; ; ++turn) {
      const end = Math.min(at + pushes[turn % pushes.length] * nFeatures, all.length);
      if (at < all.length) stream.push(all.subarray(at, end));
      if (at < all.length && end === all.length) stream.finish();
      at = end;
      const pcm = stream.pull(pulls[turn % pulls.length]);
      hash.update(new Uint8Array(pcm.buffer, pcm.byteOffset, pcm.byteLength));
      count += pcm.length;
      if (at === all.length && stream.available === 0) break;
    }
    stream.close();
    return { hash: hash.digest("hex"), count };
  },

  // The second utterance of a stream, after a part of another.
  again({ voice, frames, seed }) {
    const stream = open(voice).stream({ seed: 99 });
    const all = numbers(Float32Array, frames);
    stream.push(all);
    stream.pull(77);
    stream.reset(seed);
    stream.push(all);
    stream.finish();
    return createHash("sha256").update(new Uint8Array(stream.pull().buffer)).digest("hex");
  },

  features({ voice, audio, rate, definition, output }) {
    const opened = open(voice);
    Object.assign(opened.metadata, { features: definition });
    writeFileSync(output, opened.features(numbers(Float64Array, audio), rate));
  },

  info({ voice }) {
    const { sampleRate, hopLength, nFeatures, lookahead, samplesPerStep, metadata } = open(voice);
    return { sampleRate, hopLength, nFeatures, lookahead, samplesPerStep, metadata };
  },

  refusal({ path }) {
    try {
      open(path);
    } catch ({ name, message, offset }) {
      return { name, message, offset };
    }
    return null;
  },

  // What each piece of code throws, with a voice and a stream of it at hand.
  errors({ voice, codes }) {
    return codes.map((code) => {
      const opened = open(voice);
      try {
        new Function("voice", "stream", code)(opened, opened.stream());
      } catch ({ name, message }) {
        return `${name}: ${message}`;
      }
      return "";
    });
  },
};

const read = JSON.parse(readFileSync(requests, "utf8"));
process.stdout.write(JSON.stringify(read.map(({ kind, ...more }) => answers[kind](more) ?? null)));
