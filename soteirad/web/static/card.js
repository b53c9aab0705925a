// One camera of the view Now: its picture, its gates, its meters.

import { api } from "./api.js";
import { h, say, show } from "./dom.js";
import { gate } from "./icons.js";
import { HINTS, Meter } from "./meter.js";
import { Picture } from "./picture.js";
import { Video } from "./video.js";
import { seenWords, span, triggerWords, viewWords, whyNotWords } from "./words.js";

const GATES = [[1, "Motion"], [2, "Scene"], [3, "Objects"]];
const MEASURE_MS = 250; // With video: often enough for words and meters.
const VIDEO_MS = 1500;
const VIEWS = { doubtful: "view in doubt", changed: "view changed", other: "other view" };

export class Card {
	constructor(camera, complain, changed) {
		this.name = camera.name;
		this.why = ""; // Why the detector looked last.
		this.picture = new Picture(camera);
		this.measured = -Infinity;
		this.video = new Video(camera, this.picture, (values) => this.#shown(values));
		this.meters = Object.fromEntries(["motion_threshold", "scene_distance", "scene_ssim", "min_score"].map((setting) => [
			setting, new Meter(setting, camera.title, {
				set: (value) => api.set(this.name, setting, value).then(changed), reset: () => api.reset(this.name,
					setting).then(changed), complain,
			})]));
		this.#build();
		this.setCamera(camera);
	}

	#build() {
		this.title = h("h3");
		this.online = h("span.lamp");
		this.onlineText = h("span.soft");
		this.who = h("span.who");
		this.gates = Object.fromEntries(GATES.map(([number, name]) => {
			const text = h("span.gate-state", "–");
			return [number, { text, node: h("li", { class: `g${number}` }, gate(), h("span.gate-name", `${number} ${name}`),
				text, h("p.hint", HINTS[number])) }];
		}));
		this.view = h("span");
		this.look = h("span");
		this.node = h("article.card.camera", { "data-camera": this.name },
			h("header", this.online, this.title, this.onlineText, this.who),
			h("div.camera-body",
				h("div.camera-left", this.picture.node, this.video.node,
					h("ul.gates", { "aria-label": "Gates" }, Object.values(this.gates).map(({ node }) => node)),
					h("p.look", this.look, " ", this.view)),
				h("div.meters", Object.values(this.meters).map((meter) => meter.node))));
	}

	setCamera(camera) {
		this.camera = camera;
		say(this.title, camera.title);
		this.picture.setCamera(camera);
		this.video.setCamera(camera);
		for (const [setting, meter] of Object.entries(this.meters)) meter.setThreshold(camera.thresholds[setting]);
		const objects = Object.entries(camera.state?.objects ?? {}).filter(([, { count }]) => count > 0);
		show(this.who, objects.map(([label, { count }]) => h("span.chip.g3", `${label} ${count}`)));
		this.online.classList.toggle("on", camera.online);
		say(this.onlineText, !camera.enabled ? "switched off" : camera.online ? (camera.file
			? "playing a file" : "online") : "offline");
		this.node.classList.toggle("away", !camera.online || !camera.enabled);
		const seen = camera.state?.view?.changed ? camera.state.view.seen : null;
		this.seen = seen ? `The camera was ${seenWords(seen)}.` : "";
		if (!camera.enabled) this.picture.setCover("Switched off", "In the file (enabled), or over MQTT.");
		else if (!camera.online) this.setHealth(this.health);
		else if (this.covered) this.picture.setCover("Waiting for a picture ...");
		this.covered = !camera.enabled || !camera.online;
		if (this.covered) this.#rest();
	}

	/** Take an item of /api/health: it has the reason why a camera is offline. */
	setHealth(health) {
		this.health = health;
		if (this.camera.online || !this.camera.enabled) return;
		this.picture.setCover(`Offline: ${this.camera.reason || health?.reason || "waiting for the camera"}`,
			health && (health.age_s ? `Last heard of ${span(health.age_s)} ago.` : "Nothing was heard of it yet."));
	}

	setFrame(frame) {
		if (!this.camera.enabled) return;
		this.picture.setFrame(frame);
		// While a video plays, gates and meters are those of the picture that it shows.
		if (!this.picture.playing || performance.now() - this.measured > VIDEO_MS) this.#measure(frame);
	}

	/** Take what belongs to the picture that the video shows now. */
	#shown(values) {
		if (!this.picture.playing) return;
		this.picture.setBoxes(values);
		if (values?.look) this.why = triggerWords(values.look);
		if (!values || performance.now() - this.measured < MEASURE_MS) return;
		this.measured = performance.now();
		this.#measure(values);
	}

	#measure(frame) {
		const { motion, scene } = frame;
		this.meters.motion_threshold.add(motion.ratio);
		this.meters.scene_distance.add(scene.distance);
		this.meters.scene_ssim.add(scene.ssim);
		this.meters.min_score.add(frame.score);
		const small = motion.open && motion.ratio < this.camera.thresholds.motion_threshold.value;
		this.#gate(1, motion.open, motion.flood ? "the light changed" : small ? "one spot" : motion.open ? "open" : "closed",
			motion.flood);
		const doubt = VIEWS[scene.view];
		this.#gate(2, scene.open, doubt ?? (scene.open ? "open" : "closed"), doubt);
		this.#gate(3, frame.tracks.length, frame.tracks.length ? `${frame.tracks.length} followed` : "nobody");
		if (frame.look) this.why = triggerWords(frame.look);
		const ago = frame.looked === null ? "Has not looked yet" : frame.looked < 0.3
			? "Looks now" : `Looked ${span(frame.looked)} ago`;
		const missed = frame.detections.filter(({ counts }) => !counts).map(({ why }) => whyNotWords(why));
		const sums = [...new Set(missed)].map((why) => `${missed.filter((other) => other === why).length} ${why}`);
		say(this.look, `${ago}${this.why ? `: ${this.why}.` : "."}${sums.length ? ` Did not count (dashed): ${sums.join(", ")}.` : ""}`);
		say(this.view, this.seen || (scene.view === "same" ? "" : `View: ${viewWords(scene.view)}.`));
	}

	close() {
		this.video.close();
		this.picture.close();
		for (const meter of Object.values(this.meters)) meter.close();
	}

	#gate(number, open, text, odd) {
		const { node, text: words } = this.gates[number];
		node.classList.toggle("open", Boolean(open));
		node.classList.toggle("odd", Boolean(odd));
		say(words, text);
	}

	#rest() {
		for (const [number] of GATES) this.#gate(number, false, "–");
		for (const meter of Object.values(this.meters)) meter.clear();
		say(this.look, "Nothing is analysed.");
		say(this.view, "");
	}
}
