// The view Health: problems first, in plain words; then the figures.

import { api } from "./api.js";
import { h, show } from "./dom.js";
import { icon } from "./icons.js";
import { complain } from "./parts.js";
import { bytes, hundredths, isNumber, ms, plural, span, stages, stageWords, stopped, triggerWords,
	whole } from "./words.js";

const EVERY_MS = 5000;
const OLD_S = 90; // Diagnostics come every 30 s.
const LITTLE_DISK = 0.05;
const MANY_STARTS = 3;
const MANY_WAIT = 20;

/** All problems there are, worst first: [kind, text, what to do]. Pure. */
export function problems({ ready, storage, mqtt, llm, cameras }) {
	const found = [];
	const add = (kind, text, todo = "") => found.push([kind, stopped(text), todo]);
	if (ready) add("bad", `Soteira is not ready: ${ready}`);
	if (storage.problem) add("bad", storage.problem, "Events are still published as long as the broker is there.");
	else if (storage.total_bytes && storage.free_bytes < storage.total_bytes * LITTLE_DISK) {
		add("warn", `The disk is nearly full: ${bytes(storage.free_bytes)} are free at ${storage.path}`,
			"Lower storage.max_size or retain_days, or make room.");
	}
	if (!mqtt.connected) add("bad", "There is no connection to the MQTT broker",
		`${plural(mqtt.waiting, "event")} wait on the disk and are sent later.`);
	else if (mqtt.waiting > MANY_WAIT) add("warn", `${plural(mqtt.waiting, "event")} wait for the broker`);
	if (mqtt.dropped) add("warn", `${plural(mqtt.dropped, "event")} were given up: they had waited too long for the broker`);
	for (const camera of cameras) cameraProblems(camera, add);
	if (llm?.state === "failing") add("warn", "No vision model answers", "“soteirad doctor --llm” says why.");
	if (llm?.state === "spent") add("warn", "The budget for questions is spent for now",
		"llm.budget in the file sets it.");
	return found.sort(([a], [b]) => a.localeCompare(b));
}

function cameraProblems({ name, online, reason, starts, age_s: age, diagnostics: facts }, add) {
	if (!online) return add("bad", `${name} is offline${reason && `: ${reason}`}`, age
		? `Last heard of ${span(age)} ago.` : "");
	if (age > OLD_S) add("warn", `${name} has said nothing of itself for ${span(age)}`);
	if (starts > MANY_STARTS) add("warn", `${name}: its process was started ${starts} times`,
		"The log says why it ended.");
	if (facts.corrupt > facts.decoded * 0.05) add("warn",
		`${name}: ${Math.round((facts.corrupt / facts.decoded) * 100)} % of its pictures arrive damaged`,
		"Set transport to tcp, or see to cable and wireless.");
	if (facts.late > facts.analysed * 0.1) add("warn",
		`${name}: ${whole(facts.late)} frames came too late to be analysed`,
		"The network or the machine is too slow for this stream.");
	if (facts.looks_lost > 0) add("warn", `${name}: ${plural(facts.looks_lost, "look")} got no answer from a detector`);
	if (facts.online && facts.fps === 0 && facts.frames > 0) add("warn", `${name}: no frame was analysed in the last half minute`);
	return undefined;
}

export class Health {
	opened = new Set();

	constructor() {
		[this.problems, this.box, this.cameras] = [h("div", { role: "status" }), h("div.tiles"), h("div.health-cameras")];
		this.node = h("section.view", h("div.view-head", h("h2", "Health")), this.problems, this.box, this.cameras);
	}

	open(signal) {
		const load = () => { if (!document.hidden) this.#load(signal); };
		const timer = setInterval(load, EVERY_MS);
		signal.addEventListener("abort", () => clearInterval(timer));
		document.addEventListener("visibilitychange", load, { signal });
		load();
	}

	close() {}

	async #load(signal) {
		try {
			const [health, cameras] = await Promise.all([api.health(), api.cameras()]);
			if (!signal.aborted) this.#fill(health, new Map(cameras.map((camera) => [camera.name, camera])));
		} catch (error) {
			this.said = "";
			complain(this.problems, error, signal);
		}
	}

	#fill(health, known) {
		const titled = health.cameras.map((camera) => ({ ...camera, key: camera.name,
			name: known.get(camera.name)?.title ?? camera.name, off: known.get(camera.name)?.enabled === false }));
		const watched = titled.filter(({ off }) => !off);
		const found = problems({ ...health, cameras: watched });
		if (this.said !== JSON.stringify(found)) {
			this.said = JSON.stringify(found);
			show(this.problems, found.length
				? h("ul.problems", found.map(([kind, text, todo]) => h("li", { class: kind }, icon("bad"), h("div", h("strong",
					text), todo && h("p", todo)))))
				: h("p.all-well", icon("good"), h("strong", "All is well."), `${plural(watched.length, "camera")} watched.`));
		}
		show(this.box, tiles(health));
		show(this.cameras, titled.map((camera) => this.#camera(camera)));
	}

	#camera(camera) {
		const { key, name, diagnostics: facts, online, off, reason, age_s: age } = camera;
		const details = h("details", { open: this.opened.has(key), ontoggle: () => this.opened[details.open
			? "add" : "delete"](key) }, h("summary", "All counters"), counters(facts));
		const count = (name, key) => isNumber(facts[key]) && [name, whole(facts[key])];
		const figures = isNumber(facts.fps) && [
			["frames/s", facts.fps.toFixed(1)], ["latency p50", ms(facts.latency_ms?.p50)], ["latency p95",
				ms(facts.latency_ms?.p95)],
			["memory", `${whole(facts.memory_mb)} MB`], count("looks", "detector_runs"), count("events", "events"),
				count("late", "late"),
			count("damaged", "corrupt"), count("dropped", "dropped"), ["starts", whole(camera.starts)],
		];
		return h("article.card",
			h("header", h("span.lamp", { class: online && "on" }), h("h3", name), h("span.soft", off ? "switched off" : online
				? "online" : `offline: ${reason}`),
				h("span.soft.end", isNumber(age) ? `heard of ${span(age)} ago` : "nothing heard yet")),
			figures && list("figures", figures), funnel(facts), detectorText(facts.detector), details);
	}
}

const list = (kind, rows) => h("dl", { class: kind }, rows.filter(Boolean).map(([name, value]) => h("div", h("dt",
	name), h("dd", String(value)))));

const tile = (title, state, rows, kind = "") => h("section.tile", { class: kind }, h("h3", title), h("p.tile-state",
	state), list("", rows));

const tiles = ({ version, uptime_s: uptime, hub, mqtt, storage, llm }) => [
	tile("Daemon", `up for ${span(uptime)}`, [["version", version], ["memory", `${whole(hub.memory_mb)} MB`]]),
	tile("MQTT", mqtt.connected ? "connected" : "not connected", [["events waiting", whole(mqtt.waiting)], ["given up",
		whole(mqtt.dropped)]], mqtt.connected ? "" : "bad"),
	tile("Disk", `${bytes(storage.free_bytes)} free`, [["of", bytes(storage.total_bytes)], ["at", storage.path]],
		storage.problem && "bad"),
	llm && tile("Questions", { ok: "answering", spent: "budget spent", failing: "no answers" }[llm.state] ?? llm.state, [
		...Object.entries(llm.left ?? {}).map(([limit, left]) => left !== null && [`left ${limit.replaceAll("_", " ")}`,
			whole(left)]),
		["answered", whole(llm.answered)], llm.failed && ["failed", whole(llm.failed)],
	], llm.state === "ok" ? "" : "warn"),
];

/** How few frames come how far. */
function funnel(facts) {
	const rows = [["analysed", facts.analysed], ["gate 1 open", facts.motion, "g1"], ["gate 2 open", facts.scene, "g2"],
		["detector looked", facts.detector_runs, "g3"]];
	return facts.analysed > 0 && h("div.funnel", rows.map(([name, count, kind]) => {
		const bar = h("i", { class: kind });
		bar.style.width = `${Math.min(100, (count / facts.analysed) * 100)}%`;
		return h("div", h("span", name), h("span.bar", bar), h("span.count", whole(count)));
	}));
}

const detectorText = (detector) => detector && h("div.detector",
	h("p", h("b", String(detector.model)), ` ${["with", detector.backend, detector.precision, "on", detector.device].filter(Boolean).join(" ")}`,
		isNumber(detector.trial_ms) && `, ${ms(detector.trial_ms)} a picture when it was chosen`, "."),
	h("p.soft", detector.golden ? `Golden check passed: ${detector.golden}.` : "No golden check: its card has no golden answers."),
	detector.rejected?.length > 0 && h("details", h("summary",
		`Why not ${plural(detector.rejected.length, "other engine")}`), h("ul", detector.rejected.map((text) => h("li",
		String(text))))));

const counters = (facts) => [
	list("counters", Object.entries(facts).map(([name, value]) => isNumber(value) && [name.replaceAll("_", " "),
		Number.isInteger(value) ? whole(value) : hundredths(value)])),
	facts.looks && h("h4", "Looks by reason"), list("counters", Object.entries(facts.looks ?? {}).sort(([, a], [,
		b]) => b - a).map(([why, count]) => [triggerWords(why), whole(count)])),
	facts.stage_ms && h("h4", "Milliseconds by stage"), list("counters", stages(facts.stage_ms).map(([stage,
		value]) => [stageWords(stage), ms(value)])),
];
