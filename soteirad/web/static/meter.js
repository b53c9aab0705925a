// A meter: what a gate measures now, its last half minute running down below, and the mark that one can drag.

import { h, say } from "./dom.js";
import { hundredths, isNumber, percent } from "./words.js";

const KEEP_MS = 30_000;
const MOST_SAMPLES = 160;
const HOLD_MS = 2500;
const PUT_EVERY_MS = 250;
const AWAIT_MS = 3000; // So long the mark stays where it was put, until the camera says so too.
const BAR = 14; // Height of the bar, in CSS pixels.

const linear = { to: (v) => v, from: (x) => x };
const root = { to: (v) => Math.sqrt(Math.max(0, v)), from: (x) => x * x };
const LOWEST = 0.0005; // Left end of the logarithmic scale, under the lowest threshold that is allowed.
const log = {
  to: (v) => Math.log(Math.max(v, LOWEST) / LOWEST) / Math.log(1 / LOWEST),
  from: (x) => LOWEST * (1 / LOWEST) ** x,
};
const keep = (v) => v;
const turn = (v) => 1 - v;

/** Each gate in one sentence. */
export const HINTS = {
  1: "Gate 1: how much of the picture changed. Over the mark, Soteira begins to look.",
  2: "Gate 2: how far colours and structure are from those a while ago. Over one of the marks, it takes a look.",
  3: "Gate 3: how sure the detector is of the best object. Over the mark, it may become an event.",
};

/** The four meters. `shown` turns the daemon's value into the one on the scale, and back. */
export const METERS = {
  motion_threshold: {
    gate: 1, title: "Motion", scale: log, shown: keep, text: percent, step: 0.001, ticks: [0.001, 0.01, 0.1, 1],
    hint: 1,
  },
  scene_distance: {
    gate: 2, title: "Colours", scale: root, shown: keep, text: hundredths, step: 0.01, ticks: [0, 0.05, 0.2, 0.5, 1],
  },
  scene_ssim: {
    gate: 2, title: "Structure lost", scale: linear, shown: turn, text: hundredths, step: 0.01, ticks: [0, 0.25, 0.5, 0.75, 1],
    hint: 2,
  },
  min_score: {
    gate: 3, title: "Objects", scale: linear, shown: keep, text: hundredths, step: 0.01, ticks: [0, 0.25, 0.5, 0.75, 1],
    hint: 3,
  },
};

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const tickText = (value) => (value < 0.01 && value > 0 ? "0.1 %" : null);

/** One meter. `set(value)` and `reset()` tell the daemon and may throw; `complain(text)` shows why not. */
export class Meter {
  constructor(setting, cameraTitle, { set, reset, complain }) {
    this.kind = METERS[setting];
    this.setting = setting;
    this.title = cameraTitle;
    this.tell = { set, reset, complain };
    this.samples = [];
    this.threshold = null; // What the daemon says.
    this.value = null; // Where the mark is, in shown values.
    this.dragging = false;
    this.pending = null;
    this.timer = 0;
    this.sentAt = -Infinity;
    this.awaited = null; // What was accepted and not yet told back.
    this.#build();
  }

  #build() {
    const { kind } = this;
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.mark = h("div", {
      class: "mark", role: "slider", tabindex: 0, "aria-label": `${this.title}: mark of ${kind.title.toLowerCase()}`,
      onkeydown: (event) => this.#key(event),
    }, h("span", { class: "grip" }));
    this.strip = h("div", {
      class: "strip", onpointerdown: (event) => this.#down(event), onpointermove: (event) => this.#move(event),
      onpointerup: (event) => this.#up(event), onpointercancel: (event) => this.#up(event),
    }, this.canvas, this.mark);
    this.now = h("output", { class: "value", "aria-live": "off" }, "–");
    this.markText = h("span", { class: "mark-text" });
    this.fileText = h("span");
    this.back = h("button", { type: "button", class: "small", onclick: () => this.#back() }, "Back");
    this.file = h("span", { class: "file gone" }, this.fileText, this.back);
    const ticks = h("div", { class: "ticks", "aria-hidden": "true" }, kind.ticks.map((value) => {
      const tick = h("span", {}, kind.text === percent ? tickText(value) ?? `${value * 100} %` : String(value));
      tick.style.left = `${kind.scale.to(value) * 100}%`;
      return tick;
    }));
    this.node = h("div", { class: `meter g${kind.gate}`, "data-setting": this.setting },
      h("div", { class: "meter-head" }, h("h4", {}, kind.title), this.now),
      this.strip, ticks,
      h("div", { class: "meter-foot" }, this.markText, this.file),
      kind.hint && h("p", { class: "hint" }, HINTS[kind.hint]));
    this.watcher = new ResizeObserver(() => this.draw());
    this.watcher.observe(this.strip);
  }

  /** Take what the daemon says of the threshold: {value, file, low, high, overridden}. */
  setThreshold(threshold) {
    if (!threshold) return;
    this.threshold = threshold;
    const { shown } = this.kind;
    const ends = [shown(threshold.low), shown(threshold.high)];
    [this.low, this.high] = [Math.min(...ends), Math.max(...ends)];
    const told = round(shown(threshold.value));
    if (this.awaited && (told === this.awaited.value || performance.now() > this.awaited.until)) this.awaited = null;
    // While it is dragged, or on its way, the owner knows better.
    if (!this.dragging && this.pending === null && !this.awaited) this.value = told;
    this.mark.setAttribute("aria-valuemin", String(round(this.low)));
    this.mark.setAttribute("aria-valuemax", String(round(this.high)));
    this.#tell();
  }

  /** Take a measurement in the daemon's terms; null when there was none. */
  add(value, now = performance.now()) {
    // Between two looks there is no score: the last one holds for a moment.
    const last = this.samples.at(-1);
    const held = last && now - last[2] < HOLD_MS ? last : [0, null, -Infinity];
    const [shown, since] = isNumber(value) ? [this.kind.shown(value), now] : [held[1], held[2]];
    this.samples.push([now, shown, since]);
    while (this.samples.length > MOST_SAMPLES || now - this.samples[0][0] > KEEP_MS * 1.1) this.samples.shift();
    say(this.now, shown === null ? "–" : this.kind.text(shown));
    this.draw(now);
  }

  /** Forget the trace. */
  clear() {
    this.samples = [];
    say(this.now, "–");
    this.draw();
  }

  close() {
    clearTimeout(this.timer);
    this.watcher.disconnect();
    if (this.pending !== null) this.#send();
  }

  draw(now = this.samples.at(-1)?.[0] ?? 0) {
    const { canvas, strip } = this;
    const { clientWidth: width, clientHeight: height } = strip;
    if (!width) return;
    const dense = Math.min(3, devicePixelRatio || 1);
    if (canvas.width !== Math.round(width * dense) || canvas.height !== Math.round(height * dense)) {
      canvas.width = Math.round(width * dense);
      canvas.height = Math.round(height * dense);
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    pen.clearRect(0, 0, width, height);
    const style = getComputedStyle(this.node);
    const colours = { ink: style.getPropertyValue("--g"), soft: style.getPropertyValue("--trace") };
    const mark = this.value === null ? width : this.kind.scale.to(this.value) * width;
    this.#trace(pen, width, height, now, mark, colours);
    const last = this.samples.at(-1)?.[1];
    if (!isNumber(last)) return;
    this.#band(pen, clamp(this.kind.scale.to(last), 0.004, 1) * width, 0, BAR, mark, colours);
  }

  #trace(pen, width, height, now, mark, colours) {
    const y = (time) => BAR + 3 + ((now - time) / KEEP_MS) * (height - BAR - 3);
    for (let index = this.samples.length - 1; index >= 0; index -= 1) {
      const [time, value] = this.samples[index];
      if (!isNumber(value)) continue;
      const top = y(time);
      // One sample reaches to the one before it, a gap of seconds stays empty.
      const older = this.samples[index - 1]?.[0] ?? time - 500;
      const bottom = Math.min(height, y(Math.max(older, time - 1500)));
      if (bottom > top) this.#band(pen, clamp(this.kind.scale.to(value), 0.004, 1) * width, top, bottom - top, mark, colours, 0.85);
    }
  }

  #band(pen, reach, top, tall, mark, colours, strength = 1) {
    pen.fillStyle = colours.soft;
    pen.globalAlpha = 1;
    pen.fillRect(0, top, Math.min(reach, mark), tall);
    if (reach > mark) {
      pen.fillStyle = colours.ink;
      pen.globalAlpha = strength;
      pen.fillRect(mark, top, reach - mark, tall);
    }
    pen.globalAlpha = 1;
  }

  #tell() {
    const { kind, mark, threshold } = this;
    mark.style.left = `${kind.scale.to(this.value) * 100}%`;
    const text = kind.text(this.value);
    mark.setAttribute("aria-valuenow", String(round(this.value)));
    mark.setAttribute("aria-valuetext", this.setting === "scene_ssim" ? `${text} (ssim ${hundredths(1 - this.value)})` : text);
    say(this.markText, `Mark at ${text}`);
    say(this.fileText, `your file says ${kind.text(kind.shown(threshold.file))}`);
    this.back.setAttribute("aria-label", `Back to what the file says: ${kind.title.toLowerCase()} ${kind.text(kind.shown(threshold.file))}`);
    this.file.classList.toggle("gone", !(threshold.overridden || round(this.value) !== round(kind.shown(threshold.file))));
    this.draw();
  }

  #put(value, atOnce = false) {
    if (!this.threshold) return;
    const { step } = this.kind;
    const next = clamp(Math.round(value / step) * step, this.low, this.high);
    if (round(next) !== round(this.value)) {
      this.value = round(next);
      this.pending = this.value;
      this.#tell();
    }
    if (this.pending !== null) this.#later(atOnce);
  }

  #later(atOnce) {
    const wait = Math.max(0, this.sentAt + PUT_EVERY_MS - performance.now());
    if (atOnce && wait === 0) this.#send();
    else if (!this.timer) this.timer = setTimeout(() => this.#send(), wait);
  }

  async #send() {
    clearTimeout(this.timer);
    this.timer = 0;
    const value = this.pending;
    if (value === null) return;
    this.sentAt = performance.now();
    try {
      await this.tell.set(round(this.kind.shown(value)));
      this.awaited = { value, until: performance.now() + AWAIT_MS };
      if (this.pending === value) this.pending = null;
      else if (this.pending !== null) this.#later(false);
    } catch (error) {
      this.pending = this.awaited = null;
      this.value = this.kind.shown(this.threshold.value);
      this.#tell();
      this.tell.complain(error.message);
    }
  }

  async #back() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.pending = this.awaited = null;
    try {
      await this.tell.reset();
      this.mark.focus();
    } catch (error) {
      this.tell.complain(error.message);
    }
  }

  #at(event) {
    const box = this.strip.getBoundingClientRect();
    return this.kind.scale.from(clamp((event.clientX - box.left - this.offset) / box.width, 0, 1));
  }

  #down(event) {
    if (event.button !== 0 || !this.threshold) return;
    const box = this.strip.getBoundingClientRect();
    const away = event.clientX - box.left - this.kind.scale.to(this.value) * box.width;
    // Only near the mark: a finger that scrolls the page by the trace must not change a gate.
    if (Math.abs(away) > (event.pointerType === "touch" ? 28 : 14)) return;
    this.offset = away;
    this.dragging = true;
    this.strip.setPointerCapture(event.pointerId);
    this.strip.classList.add("dragging");
    this.mark.focus({ preventScroll: true });
    event.preventDefault();
  }

  #move(event) {
    if (this.dragging) this.#put(this.#at(event));
  }

  #up(event) {
    if (!this.dragging) return;
    this.dragging = false;
    this.strip.classList.remove("dragging");
    if (this.strip.hasPointerCapture(event.pointerId)) this.strip.releasePointerCapture(event.pointerId);
    if (event.type === "pointerup") this.#put(this.#at(event), true);
    else if (this.pending !== null) this.#later(true);
  }

  #key(event) {
    if (!this.threshold) return;
    const { step } = this.kind;
    // On the logarithmic scale a step is a tenth of the value, and never under the smallest one.
    const small = this.kind.scale === log ? Math.max(step, Math.round(this.value * 0.1 / step) * step) : step;
    const big = this.kind.scale === log ? Math.max(5 * step, this.value * 0.5) : 10 * step;
    const to = {
      ArrowRight: this.value + small, ArrowUp: this.value + small, ArrowLeft: this.value - small, ArrowDown: this.value - small,
      PageUp: this.value + big, PageDown: this.value - big, Home: this.low, End: this.high,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.#put(to, true);
  }
}

const round = (value) => Math.round(value * 1e4) / 1e4;
