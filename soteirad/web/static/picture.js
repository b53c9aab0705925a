// A live picture with what the gates see in it.

import { frameAddress, picture } from "./api.js";
import { h, place, s, show } from "./dom.js";
import { percent, span, whyNotWords } from "./words.js";

const PATIENCE_MS = 5000;
const MOST_BOXES = 60;
const WORTH_WORDS = 0.25;

/** Zones and masks as an SVG that is stretched over the picture, and the zones' names. */
const drawAreas = (camera) => {
	const shape = (kind, flat) => s("polygon", { class: kind, points: flat.map((v) => (v * 1000).toFixed(1)).join(" "),
		"vector-effect": "non-scaling-stroke" });
	const names = camera.zones.map(({ name, coordinates }) => {
		const [xs, ys] = [0, 1].map((axis) => coordinates.filter((_, i) => i % 2 === axis));
		const node = h("span.zone-name", name);
		node.style.left = `${(Math.min(...xs) + Math.max(...xs)) * 50}%`;
		node.style.top = `${Math.max(...ys) * 100}%`;
		return node;
	});
	return [s("svg", { viewBox: "0 0 1000 1000", preserveAspectRatio: "none", "aria-hidden": "true" },
		camera.motion_mask.map((flat) => shape("motion-mask", flat)),
		camera.privacy_mask.map((flat) => shape("privacy-mask", flat)),
		camera.zones.map((zone) => shape("zone", zone.coordinates))), names];
};

export class Picture {
	constructor(camera) {
		this.name = camera.name;
		this.busy = null; // What fetches now; one picture at a time, however slow the line is.
		this.video = null;
		this.playing = false; // Whether the video covers the pictures.
		this.canvas = h("canvas", { width: 640, height: 360, "aria-hidden": "true" });
		this.areas = h("div.layer.areas");
		this.boxes = h("div.layer");
		this.cover = h("div.cover", h("p", "Waiting for a picture ..."));
		this.node = h("div.picture", { role: "img", "aria-label": camera.title },
			this.canvas, this.areas, this.boxes, this.cover);
	}

	setCamera(camera) {
		this.title = camera.title;
		show(this.areas, ...drawAreas(camera));
	}

	/** Hide the picture behind a text, or show it again with null. */
	setCover(text, detail = "") {
		this.cover.hidden = text === null;
		if (text === null) return;
		show(this.cover, h("p", text), detail && h("p.soft", detail));
		show(this.boxes);
	}

	/** Lay a video over the pictures, or take it away with null; it is seen once it plays. */
	setVideo(video) {
		this.video?.remove();
		this.video = video;
		if (video) this.canvas.after(video);
		this.play(false);
	}

	play(playing) {
		this.video?.classList.toggle("gone", !playing);
		if (playing === this.playing) return;
		this.playing = playing;
		this.setBoxes(null);
		if (playing) this.setCover(null);
	}

	async setFrame(frame) {
		if (this.busy || this.playing) return;
		const stop = this.busy = new AbortController();
		const timer = setTimeout(() => stop.abort(), PATIENCE_MS);
		try {
			const blob = await picture(frameAddress(frame.camera, frame.seq), stop.signal);
			if (blob) {
				const bitmap = await createImageBitmap(blob);
				this.#paint(bitmap);
				bitmap.close();
			}
			if (this.busy === stop && !this.playing) {
				this.setCover(null);
				this.setBoxes(frame);
			}
		} catch { /* The next frame comes in half a second. */ } finally {
			clearTimeout(timer);
			if (this.busy === stop) this.busy = null;
		}
	}

	close() {
		this.busy?.abort();
		this.busy = null;
	}

	#paint(bitmap) {
		const { canvas } = this;
		if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
			canvas.width = bitmap.width;
			canvas.height = bitmap.height;
			// So boxes lie right, and the page moves only at the first one.
			this.node.style.aspectRatio = `${bitmap.width} / ${bitmap.height}`;
		}
		canvas.getContext("2d").drawImage(bitmap, 0, 0);
	}

	/** Show who is in the picture; null is for nothing known. */
	setBoxes(values) {
		const { tracks, detections } = values ?? { tracks: [], detections: [] };
		// A crowd would vanish behind words: those of what is weak are left to the mouse and the sum.
		show(this.boxes, detections.filter(({ counts }) => !counts).slice(0, MOST_BOXES).map(({ label, score, box, why }) =>
			drawBox("nearly", box, score < WORTH_WORDS ? "" : percent(score), "",
				`${label} ${percent(score)} ${whyNotWords(why)}`)),
		tracks.slice(0, MOST_BOXES).map(({ id, label, score, box, still, seconds }) =>
			drawBox(still ? "track.still" : "track", box, `${label} ${percent(score)}`,
				` #${id} ${span(seconds)}${still ? " still" : ""}`)));
		this.boxes.classList.toggle("crowd", tracks.length > 3);
		const who = tracks.map(({ label, zones, seconds }) => [label, ...zones.map((zone) => `at ${zone}`),
			`for ${span(seconds)}`].join(" "));
		this.node.setAttribute("aria-label", `${this.title}: ${who.join(", ") || "nobody is followed"}`);
	}
}

function drawBox(kind, box, text, more, title = text + more) {
	// A box at the top has its words inside, one at the right has them to the left.
	const node = h(`div.box.${kind}${box[1] < 0.12 ? ".inside" : ""}${box[0] > 0.6 ? ".left" : ""}`, { title }, text
		&& h("span.tag", h("b", text), h("i", more)));
	place(node, box);
	return node;
}
