/**
 * The sound arithmetic of the page, free of any browser object: it runs inside the AudioWorklet, inside the
 * ScriptProcessor that stands in for it, and in tests.
 *
 * The line is always 16 kHz, signed 16 bit, mono, in frames of 20 ms; the sound card has any rate it likes.
 */

export const LINE_RATE_HZ = 16000;
export const FRAME_SAMPLES = 320;

const ZERO_CROSSINGS = 12;
const PHASES = 512;
const PASS_BAND = 0.94;

/** Streaming windowed-sinc resampler: any rate to any rate, state kept between calls. */
export class Resampler {
  constructor(fromHz, toHz) {
    this.step = fromHz / toHz;
    const cutoff = this.step === 1 ? 1 : Math.min(1, toHz / fromHz) * PASS_BAND;
    this.half = Math.ceil(ZERO_CROSSINGS / cutoff);
    this.rows = this.step === 1 ? [] : sincRows(cutoff, this.half);
    this.tail = new Float32Array(this.half - 1);
    this.position = this.half - 1;
  }

  /** @param {Float32Array} input @returns {Float32Array} what is ready; the kernel's half stays for the next call */
  process(input) {
    if (this.step === 1) return input.slice();
    const known = new Float32Array(this.tail.length + input.length);
    known.set(this.tail);
    known.set(input, this.tail.length);
    const ready = Math.max(0, Math.ceil((known.length - this.half - this.position) / this.step));
    const output = new Float32Array(ready);
    for (let n = 0; n < ready; n += 1) {
      output[n] = this.#at(known, this.position);
      this.position += this.step;
    }
    const spent = Math.max(0, Math.min(known.length, Math.floor(this.position) - this.half + 1));
    this.tail = known.slice(spent);
    this.position -= spent;
    return output;
  }

  #at(known, position) {
    const whole = Math.floor(position);
    const row = this.rows[Math.round((position - whole) * PHASES)];
    const first = whole - this.half + 1;
    let sum = 0;
    for (let tap = 0; tap < row.length; tap += 1) sum += known[first + tap] * row[tap];
    return sum;
  }
}

function sincRows(cutoff, half) {
  const rows = [];
  for (let phase = 0; phase <= PHASES; phase += 1) {
    const row = new Float32Array(2 * half);
    let sum = 0;
    for (let tap = 0; tap < row.length; tap += 1) {
      const distance = tap - half + 1 - phase / PHASES;
      const x = Math.PI * distance * cutoff;
      const angle = (Math.PI * distance) / half;
      const blackman = Math.abs(distance) >= half ? 0 : 0.42 + 0.5 * Math.cos(angle) + 0.08 * Math.cos(2 * angle);
      row[tap] = (x === 0 ? 1 : Math.sin(x) / x) * blackman;
      sum += row[tap];
    }
    rows.push(row.map((tap) => tap / sum));
  }
  return rows;
}

/** Cuts sound of the card's rate into line frames. */
export class FrameCutter {
  constructor(cardRateHz) {
    this.resampler = new Resampler(cardRateHz, LINE_RATE_HZ);
    this.frame = new Int16Array(FRAME_SAMPLES);
    this.filled = 0;
  }

  /** @param {Float32Array} input @returns {Int16Array[]} the frames that became complete */
  push(input) {
    const frames = [];
    for (const sample of this.resampler.process(input)) {
      this.frame[this.filled] = Math.round(Math.max(-1, Math.min(1, sample)) * 32767);
      this.filled += 1;
      if (this.filled === FRAME_SAMPLES) {
        frames.push(this.frame);
        this.frame = new Int16Array(FRAME_SAMPLES);
        this.filled = 0;
      }
    }
    return frames;
  }
}

const TARGET_MS = 60;
const FADE_MS = 5;
const CAPACITY_S = 20;
const TRIM_ABOVE_MS = 160;
const TRIM_DOWN_TO_MS = 80;
const TRIM_STEP_MS = 10;
const WATCH_MS = 2000;
const QUIET = 1e-4;

/**
 * The jitter buffer. Bounded at 20 s; when full, the oldest sound is dropped and counted.
 *
 * Sound starts once 60 ms are held, and again so after it ran dry. A backlog that a stall left behind is worked off
 * in silence only, so that no word is ever shortened.
 */
export class PlaybackQueue {
  constructor(cardRateHz) {
    this.rateHz = cardRateHz;
    this.resampler = new Resampler(LINE_RATE_HZ, cardRateHz);
    this.ring = new Float32Array(Math.ceil(cardRateHz * CAPACITY_S));
    this.readAt = 0;
    this.held = 0;
    this.received = 0;
    this.reported = 0;
    this.started = false;
    this.leadOut = 0;
    this.rampIn = 0;
    this.last = 0;
    this.least = Infinity;
    this.watched = 0;
    this.trimming = false;
    this.underruns = 0;
    this.dropped = 0;
    this.trimmed = 0;
  }

  #samples(ms) {
    return Math.round((this.rateHz * ms) / 1000);
  }

  /** @param {Int16Array} pcm one frame off the line */
  push(pcm) {
    this.received += pcm.length;
    const sound = this.resampler.process(Float32Array.from(pcm, (sample) => sample / 32768));
    const over = this.held + sound.length - this.ring.length;
    if (over > 0) {
      this.#skip(over);
      this.dropped += over;
    }
    let writeAt = (this.readAt + this.held) % this.ring.length;
    for (const sample of sound) {
      this.ring[writeAt] = sample;
      writeAt = writeAt + 1 === this.ring.length ? 0 : writeAt + 1;
    }
    this.held += sound.length;
    if (!this.started && this.leadOut === 0 && this.held >= this.#samples(TARGET_MS)) this.#start();
  }

  /** Play what is held although it is little: nothing more will come. */
  flush() {
    if (!this.started && this.held > 0) this.#start();
  }

  #start() {
    this.started = true;
    this.rampIn = this.#samples(FADE_MS);
    this.least = Infinity;
    this.watched = 0;
  }

  /**
   * Throw away what is held; 5 ms of it fade out so that nothing clicks.
   * @param {number} nextSample place in the line's stream of whatever comes next
   * @returns {{reachedSamples: number, thrown: number}} how far was played; samples of the card thrown away
   */
  clear(nextSample) {
    const reachedSamples = this.position();
    const fade = this.started ? Math.min(this.held, this.#samples(FADE_MS)) : 0;
    const thrown = this.held - fade;
    for (let n = 0; n < fade; n += 1) {
      this.ring[(this.readAt + n) % this.ring.length] *= 1 - (n + 1) / fade;
    }
    this.held = fade;
    this.leadOut = fade;
    this.started = false;
    this.trimming = false;
    this.resampler = new Resampler(LINE_RATE_HZ, this.rateHz);
    this.received = nextSample;
    return { reachedSamples, thrown };
  }

  /** Fills one block of the card. @param {Float32Array} out */
  read(out) {
    if (this.started) this.#watchBacklog(out.length);
    for (let n = 0; n < out.length; n += 1) out[n] = this.#next();
  }

  #next() {
    const playable = this.started ? this.held : this.leadOut;
    if (playable === 0) {
      if (this.started) {
        this.started = false;
        this.underruns += 1;
      }
      this.last *= 1 - 1 / this.#samples(1);
      return Math.abs(this.last) < QUIET ? 0 : this.last;
    }
    let sample = this.ring[this.readAt];
    this.#skip(1);
    if (!this.started) this.leadOut -= 1;
    if (this.rampIn > 0) {
      sample *= 1 - this.rampIn / this.#samples(FADE_MS);
      this.rampIn -= 1;
    }
    this.last = this.started ? sample : 0;
    return sample;
  }

  #skip(count) {
    this.readAt = (this.readAt + count) % this.ring.length;
    this.held -= count;
  }

  #watchBacklog(block) {
    this.least = Math.min(this.least, this.held);
    this.watched += block;
    if (this.watched >= this.#samples(WATCH_MS)) {
      this.trimming = this.least > this.#samples(TRIM_ABOVE_MS);
      this.least = Infinity;
      this.watched = 0;
    }
    if (!this.trimming) return;
    if (this.held <= this.#samples(TRIM_DOWN_TO_MS)) {
      this.trimming = false;
      return;
    }
    const step = this.#samples(TRIM_STEP_MS);
    for (let n = 0; n < 3 * step; n += 1) {
      if (Math.abs(this.ring[(this.readAt + n) % this.ring.length]) > QUIET) return;
    }
    this.#skip(step);
    this.trimmed += step;
  }

  /** Place in the line's stream that the loudspeaker has reached. Never runs backwards. */
  position() {
    const waiting = (this.held * LINE_RATE_HZ) / this.rateHz;
    this.reported = Math.max(this.reported, Math.floor(this.received - waiting));
    return this.reported;
  }

  /** What the page shows and reports. */
  figures() {
    return {
      playedSamples: this.position(),
      bufferedMs: Math.round((this.held * 1000) / this.rateHz),
      underruns: this.underruns,
      droppedMs: Math.round((this.dropped * 1000) / this.rateHz),
      trimmedMs: Math.round((this.trimmed * 1000) / this.rateHz),
    };
  }
}

/** Root mean square of samples within ±1. */
export function loudness(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return samples.length === 0 ? 0 : Math.sqrt(sum / samples.length);
}

const SILENT_BLOCK = 2e-4;

/** The player: a queue plus what is said about it. Owned by whichever audio node drives it. */
export class Player {
  /** @param {number} cardRateHz @param {(message: object) => void} tell */
  constructor(cardRateHz, tell) {
    this.queue = new PlaybackQueue(cardRateHz);
    this.tell = tell;
    this.rateHz = cardRateHz;
    this.sinceFigures = 0;
    this.peak = 0;
    this.clearing = null;
  }

  /** @param {{type: string, pcm?: ArrayBuffer, nextSample?: number}} order */
  obey(order) {
    if (order.type === "push") this.queue.push(new Int16Array(order.pcm));
    if (order.type === "flush") this.queue.flush();
    if (order.type === "clear") this.#clear(order.nextSample);
  }

  #clear(nextSample) {
    const { reachedSamples, thrown } = this.queue.clear(nextSample);
    this.tell({ type: "cleared", reachedSamples });
    this.clearing = { thrown, samples: 0 };
  }

  /** @param {Float32Array} out one block */
  fill(out) {
    this.queue.read(out);
    const level = loudness(out);
    this.peak = Math.max(this.peak, level);
    if (this.clearing !== null) this.#followClearing(out);
    this.sinceFigures += out.length;
    if (this.sinceFigures * 20 >= this.rateHz) {
      this.tell({ type: "figures", level: this.peak, ...this.queue.figures() });
      this.sinceFigures = 0;
      this.peak = 0;
    }
  }

  /** Counts the samples from the order to silence at the card, by the samples themselves. */
  #followClearing(out) {
    const loudUntil = out.findLastIndex((sample) => Math.abs(sample) > SILENT_BLOCK) + 1;
    this.clearing.samples += loudUntil;
    if (loudUntil === out.length) return;
    this.tell({
      type: "silent",
      thrownMs: (this.clearing.thrown * 1000) / this.rateHz,
      silentAfterMs: (this.clearing.samples * 1000) / this.rateHz,
    });
    this.clearing = null;
  }
}
