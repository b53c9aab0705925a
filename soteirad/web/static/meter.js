// A meter: what a gate measures, its last half minute below, and the mark to drag.

import { h, say } from "./dom.js";
import { hundredths, isNumber, percent } from "./words.js";

const KEEP_MS = 30_000;
const MOST_SAMPLES = 160;
const HOLD_MS = 2500;
const PUT_EVERY_MS = 250;
const AWAIT_MS = 3000; // So long the mark stays where it was put, until the camera says so too.
const BAR = 14; // Height of the bar, in CSS pixels.
const LOWEST = 0.0005; // Left end of the logarithmic scale, under the lowest threshold that is allowed.

const linear = { to: (v) => v, from: (x) => x };
const root = { to: (v) => Math.sqrt(Math.max(0, v)), from: (x) => x * x };
const log = { to: (v) => 1 - Math.log(Math.max(v, LOWEST)) / Math.log(LOWEST), from: (x) => LOWEST ** (1 - x) };
const keep = (v) => v;
const QUARTERS = { " 0": 0, 0.25: 0.25, 0.5: 0.5, 0.75: 0.75, " 1": 1 };

export const HINTS = {
	1: "Gate 1: how much of the picture changed. Over the mark, Soteira begins to look.",
	2: "Gate 2: how far colours and structure are from those a while ago. Over a mark, it takes a look.",
	3: "Gate 3: how sure the detector is of the best object. Over the mark, it may become an event.",
};

/** The four meters. `shown` turns the daemon's value into the one on the scale, and back. */
export const METERS = {
	motion_threshold: { gate: 1, title: "Motion", scale: log, shown: keep, text: percent, step: 0.001,
		ticks: { "0.1 %": 0.001, "1 %": 0.01, "10 %": 0.1, "100 %": 1 }, hint: HINTS[1] },
	scene_distance: { gate: 2, title: "Colours", scale: root, shown: keep, text: hundredths, step: 0.01,
		ticks: { " 0": 0, 0.05: 0.05, 0.2: 0.2, 0.5: 0.5, " 1": 1 } },
	scene_ssim: { gate: 2, title: "Structure lost", scale: linear, shown: (v) => 1 - v, text: hundredths, step: 0.01,
		ticks: QUARTERS, hint: HINTS[2] },
	min_score: { gate: 3, title: "Objects", scale: linear, shown: keep, text: hundredths, step: 0.01, ticks: QUARTERS,
		hint: HINTS[3] },
};

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const round = (value) => Math.round(value * 1e4) / 1e4;

/** One meter. `set(value)` and `reset()` tell the daemon and may throw; `complain(text)` shows why not. */
export class Meter {
	samples = []; // [time, value, since when it is known]
	threshold = null; // What the daemon says.
	value = null; // Where the mark is, in shown values.
	pending = null; // What is to be sent.
	awaited = null; // What was accepted and not yet told back.
	dragging = false;
	timer = 0;
	sentAt = -Infinity;

	constructor(setting, cameraTitle, wishes) {
		const kind = this.kind = METERS[setting];
		this.setting = setting;
		this.wishes = wishes;
		this.canvas = h("canvas", { "aria-hidden": "true" });
		this.mark = h("div.mark", {
			role: "slider", tabindex: 0, "aria-label": `${cameraTitle}: mark of ${kind.title.toLowerCase()}`,
				onkeydown: (event) => this.#key(event),
		}, h("span.grip"));
		const up = (event) => this.#up(event);
		this.strip = h("div.strip", {
			onpointerdown: (event) => this.#down(event), onpointermove: (event) => { if (this.dragging) this.#put(this.#at(event)); }, onpointerup: up, onpointercancel: up,
		}, this.canvas, this.mark);
		this.now = h("output.value", { "aria-live": "off" }, "–");
		this.markText = h("span.mark-text");
		this.fileText = h("span");
		this.file = h("span.file.gone", this.fileText, h("button.small",
			{ "aria-label": `Back to what the file says: ${kind.title.toLowerCase()}`, onclick: () => this.#back() }, "Back"));
		const ticks = Object.entries(kind.ticks).sort(([, a], [, b]) => a - b).map(([text, value]) => {
			const tick = h("span", text);
			tick.style.left = `${kind.scale.to(value) * 100}%`;
			return tick;
		});
		this.node = h("div.meter", { class: `g${kind.gate}`, "data-setting": setting },
			h("div.meter-head", h("h4", kind.title), this.now), this.strip, h("div.ticks", { "aria-hidden": "true" }, ticks),
			h("div.meter-foot", this.markText, this.file), kind.hint && h("p.hint", kind.hint));
		this.watcher = new ResizeObserver(() => this.draw());
		this.watcher.observe(this.strip);
	}

	/** Take what the daemon says of the threshold: {value, file, low, high, overridden}. */
	setThreshold(threshold) {
		this.threshold = threshold;
		const { shown } = this.kind;
		[this.low, this.high] = [shown(threshold.low), shown(threshold.high)].sort((a, b) => a - b);
		const told = round(shown(threshold.value));
		if (this.awaited && (told === this.awaited.value || performance.now() > this.awaited.until)) this.awaited = null;
		// While it is dragged, or on its way, the owner knows better.
		if (!this.dragging && this.pending === null && !this.awaited) this.value = told;
		this.mark.setAttribute("aria-valuemin", round(this.low));
		this.mark.setAttribute("aria-valuemax", round(this.high));
		this.#tell();
	}

	/** Take a measurement in the daemon's terms. Between two looks there is none: the last one holds for a moment. */
	add(value, now = performance.now()) {
		const last = this.samples.at(-1);
		let [shown, since] = isNumber(value) ? [this.kind.shown(value), now] : [last?.[1] ?? null, last?.[2] ?? -Infinity];
		if (now - since > HOLD_MS) shown = null;
		this.samples.push([now, shown, since]);
		while (this.samples.length > MOST_SAMPLES || now - this.samples[0][0] > KEEP_MS * 1.1) this.samples.shift();
		say(this.now, shown === null ? "–" : this.kind.text(shown));
		this.draw();
	}

	clear() {
		this.samples = [];
		say(this.now, "–");
		this.draw();
	}

	close() {
		this.watcher.disconnect();
		this.#send();
	}

	draw() {
		const { canvas, strip: { clientWidth: width, clientHeight: height }, samples } = this;
		const dense = Math.min(3, devicePixelRatio || 1);
		if (!width) return;
		if (canvas.width !== Math.round(width * dense) || canvas.height !== Math.round(height * dense)) {
			[canvas.width, canvas.height] = [Math.round(width * dense), Math.round(height * dense)];
		}
		const pen = canvas.getContext("2d");
		const style = getComputedStyle(this.node);
		const [over, under] = [style.getPropertyValue("--g"), style.getPropertyValue("--trace")];
		const mark = this.kind.scale.to(this.value ?? 1) * width;
		const band = (value, top, tall, strength) => {
			const reach = clamp(this.kind.scale.to(value), 0.004, 1) * width;
			pen.fillStyle = under;
			pen.fillRect(0, top, Math.min(reach, mark), tall);
			pen.fillStyle = over;
			pen.globalAlpha = strength;
			if (reach > mark) pen.fillRect(mark, top, reach - mark, tall);
			pen.globalAlpha = 1;
		};
		pen.setTransform(dense, 0, 0, dense, 0, 0);
		pen.clearRect(0, 0, width, height);
		const now = samples.at(-1)?.[0];
		const y = (time) => BAR + 3 + ((now - time) / KEEP_MS) * (height - BAR - 3);
		samples.forEach(([time, value], index) => {
			// A gap of seconds stays empty.
			const older = Math.max(samples[index - 1]?.[0] ?? time - 500, time - 1500);
			if (value !== null) band(value, y(time), Math.min(height, y(older)) - y(time), 0.85);
		});
		if (isNumber(samples.at(-1)?.[1])) band(samples.at(-1)[1], 0, BAR, 1);
	}

	#tell() {
		const { kind, mark, threshold } = this;
		const text = kind.text(this.value);
		const file = kind.shown(threshold.file);
		mark.style.left = `${kind.scale.to(this.value) * 100}%`;
		mark.setAttribute("aria-valuenow", round(this.value));
		mark.setAttribute("aria-valuetext", this.setting === "scene_ssim"
			? `${text} (ssim ${hundredths(1 - this.value)})` : text);
		say(this.markText, `Mark at ${text}`);
		say(this.fileText, `your file says ${kind.text(file)}`);
		this.file.classList.toggle("gone", !threshold.overridden && round(this.value) === round(file));
		this.draw();
	}

	#put(value, atOnce = false) {
		const { step } = this.kind;
		const next = round(clamp(Math.round(value / step) * step, this.low, this.high));
		if (next !== round(this.value)) {
			this.value = this.pending = next;
			this.#tell();
		}
		this.#later(atOnce);
	}

	#later(atOnce) {
		if (this.pending === null) return;
		const wait = this.sentAt + PUT_EVERY_MS - performance.now();
		if (atOnce && wait <= 0) this.#send();
		else this.timer ||= setTimeout(() => this.#send(), Math.max(0, wait));
	}

	async #send() {
		clearTimeout(this.timer);
		this.timer = 0;
		const value = this.pending;
		if (value === null || this.flying) return; // One at a time, or an older one might come last.
		this.flying = true;
		this.pending = null;
		this.sentAt = performance.now();
		this.awaited = { value, until: Infinity };
		try {
			await this.wishes.set(round(this.kind.shown(value)));
			if (this.awaited) this.awaited.until = performance.now() + AWAIT_MS;
		} catch (error) {
			this.pending = this.awaited = null;
			this.setThreshold(this.threshold);
			this.wishes.complain(error.message);
		}
		this.flying = false;
		this.#later(false);
	}

	async #back() {
		clearTimeout(this.timer);
		this.timer = 0;
		this.pending = this.awaited = null;
		try {
			await this.wishes.reset();
			this.mark.focus();
		} catch (error) {
			this.wishes.complain(error.message);
		}
	}

	#at(event) {
		const box = this.strip.getBoundingClientRect();
		return this.kind.scale.from(clamp((event.clientX - box.left - this.offset) / box.width, 0, 1));
	}

	#down(event) {
		const box = this.strip.getBoundingClientRect();
		this.offset = event.clientX - box.left - this.kind.scale.to(this.value) * box.width;
		// Only near the mark: a finger that scrolls the page by the trace must not change a gate.
		if (event.button !== 0 || Math.abs(this.offset) > (event.pointerType === "touch" ? 28 : 14)) return;
		this.dragging = true;
		this.strip.setPointerCapture(event.pointerId);
		this.strip.classList.add("dragging");
		this.mark.focus({ preventScroll: true });
		event.preventDefault();
	}

	#up(event) {
		if (!this.dragging) return;
		this.dragging = false;
		this.strip.classList.remove("dragging");
		this.#put(event.type === "pointerup" ? this.#at(event) : this.value, true);
	}

	#key(event) {
		const { value, kind: { step, scale } } = this;
		// On the logarithmic scale a step is a tenth of the value.
		const small = scale === log ? Math.max(step, value * 0.1) : step;
		const big = scale === log ? Math.max(5 * step, value * 0.5) : 10 * step;
		const to = {
			ArrowRight: value + small, ArrowUp: value + small, ArrowLeft: value - small, ArrowDown: value - small,
			PageUp: value + big, PageDown: value - big, Home: this.low, End: this.high,
		}[event.key];
		if (to === undefined) return;
		event.preventDefault();
		this.#put(to, true);
	}
}
