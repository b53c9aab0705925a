// Live video: MP4 in pieces over a WebSocket, played close behind what has come; and what belongs to each picture.

import { api, videoAddress } from "./api.js";
import { h } from "./dom.js";
import { isNumber } from "./words.js";

const LEAST_AIM_S = 0.15;
const MOST_AIM_S = 1;
const FRAMES_AIMED = 2.5; // A delay of fewer frames stalls at each that is late.
const JUMP_S = 1.5;
const KEPT_S = 10;
const MOST_WAITING = 8e6; // Bytes that came and are not in the buffer yet.
const EVERY_MS = 500;
const SILENT_MS = 3000;
const DEAD_MS = 30_000;
const LEAVE_MS = 5000;
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 15_000;
const OVERLAYS_S = 15;
const MOST_OVERLAYS = 450;
const OLD_S = 1;
const SAME_S = 0.005;
const MOST_APART_S = 1; // Between two looks that are further apart who knows where somebody was.
const AHEAD_S = 0.5;

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

const [TFHD, TRUN] = [0x74666864, 0x7472756e];

/** Whether a piece (moof and mdat) begins with a key frame; false if that cannot be told. */
function isKey(data) {
	const view = new DataView(data);
	const find = (name) => {
		for (let at = 8; at < Math.min(400, data.byteLength - 40); at += 1) if (view.getUint32(at) === name) return at + 4;
		return 0;
	};
	// Fields are there or not by the box's flags: of each flag, its field's bytes.
	const skip = (at, flags, sizes) => sizes.reduce((sum, [flag, size]) => sum + (flags & flag ? size : 0), at);
	const [head, run] = [find(TFHD), find(TRUN)];
	if (!head || !run) return false;
	const [shared, own] = [view.getUint32(head), view.getUint32(run)];
	const first = skip(run + 8, own, [[1, 4]]);
	const at = own & 4 ? first : own & 0x400 ? skip(first, own, [[0x100, 4], [0x200, 4]])
		: shared & 0x20 ? skip(head + 8, shared, [[1, 8], [2, 4], [8, 4], [0x10, 4]]) : 0;
	return at > 0 && !(view.getUint32(at) & 0x10000);
}

/** What was seen in the last pictures, by their times; and where those who are followed were between two looks. */
export class Overlays {
	#all = []; // [time, values], oldest first.
	#paths = new Map(); // Of each track: [time, box], oldest first.

	add(at, values) {
		if (!isNumber(at)) return;
		this.#all.push([at, values]);
		while (this.#all.length > MOST_OVERLAYS || this.#all[0][0] < at - OVERLAYS_S) this.#all.shift();
		for (const { id, ago = 0, box } of values.tracks) {
			const path = this.#paths.get(id) ?? this.#paths.set(id, []).get(id);
			if (!path.length || path.at(-1)[0] < at - ago - SAME_S) path.push([at - ago, box]);
			while (path[0][0] < at - OVERLAYS_S && path.length > 1) path.shift();
		}
		for (const [id, path] of this.#paths) if (path.at(-1)[0] < at - 4 * OVERLAYS_S) this.#paths.delete(id);
	}

	/** The values of the last picture not later than `half` a frame after `time`; null when that was long ago. */
	of(time, half) {
		const found = this.#all.findLast(([at]) => at <= time + half);
		if (!found || time - found[0] >= OLD_S) return null;
		return { ...found[1], tracks: found[1].tracks.map((track) => ({ ...track, box: this.#where(track, time) })) };
	}

	/** Where a track was at `time`: between two looks on the way from one to the other, after the last a little further. */
	#where({ id, box, still }, time) {
		const path = this.#paths.get(id) ?? [];
		const after = path.findIndex(([at]) => at > time);
		const last = after < 0 ? path.length - 1 : after;
		if (last < 1) return path[0]?.[1] ?? box;
		const [[before, from], [then, to]] = path.slice(last - 1, last + 1);
		if (then - before > MOST_APART_S || (still && after < 0)) return after < 0 ? to : from;
		const share = (Math.min(time, then + AHEAD_S) - before) / (then - before);
		return from.map((value, side) => value + (to[side] - value) * share);
	}
}

/**
 * Plays one stream of a camera into `video`, while the tab is shown and `look` says so.
 *
 * `tell(kind, text, delay)`: connecting, playing, waiting, refused (the browser wants a click: `play`) or cannot.
 * `draw(values)`: what belongs to the picture that is shown now, or null.
 */
export class Player {
	#end = new AbortController();
	#looked = true;
	#wait = FIRST_WAIT_MS;
	#aim = LEAST_AIM_S;
	#kind = "";

	constructor(camera, stream, tell, draw) {
		[this.camera, this.stream, this.tell, this.draw] = [camera, stream, tell, draw];
		this.video = h("video.layer.gone", { playsinline: true, autoplay: true, tabindex: -1, "aria-hidden": "true" });
		this.video.muted = this.video.disableRemotePlayback = true;
		const { signal } = this.#end;
		const on = (node, kind, callback) => node.addEventListener(kind, callback, { signal });
		on(document, "visibilitychange", () => this.#follow());
		on(this.video, "waiting", () => { if (this.#kind === "playing" && !this.video.seeking) this.#aim *= 1.5; });
		on(this.video, "error", () => {
			if (this.#source) this.#lost(`This browser could not decode the video (${this.#codec}).`);
		});
		const timer = setInterval(() => this.#check(), EVERY_MS);
		on(signal, "abort", () => clearInterval(timer));
		this.#watch();
		this.#follow();
	}

	/** Say whether the place of the video is in view. */
	look(looked) {
		this.#looked = looked;
		this.#follow();
	}

	play() {
		this.video.play().catch(({ name }) => {
			if (name === "NotAllowedError") this.#tell("refused", "Your browser wants a click before it plays.");
		});
	}

	close() {
		this.#end.abort();
		clearTimeout(this.leaving);
		this.#shut();
	}

	#follow() {
		clearTimeout(this.leaving);
		if (this.#looked && !document.hidden) {
			if (!this.#socket && !this.again && this.#kind !== "cannot") this.#open();
		} else this.leaving = setTimeout(() => this.#shut(), LEAVE_MS);
	}

	#socket = null;

	#open() {
		this.#tell("connecting", "Connecting ...");
		this.#heard = performance.now();
		const address = new URL(videoAddress(this.camera, this.stream), location.href).href.replace(/^http/, "ws");
		const socket = this.#socket = new WebSocket(address);
		socket.binaryType = "arraybuffer";
		socket.onmessage = ({ data }) => { if (socket === this.#socket) this.#take(data); };
		socket.onclose = async () => {
			if (socket !== this.#socket) return;
			this.#lost("There is no connection for the video.");
			await api.cameras().catch(() => {}); // Is the session over? Then it is said.
		};
	}

	#shut() {
		clearTimeout(this.again);
		this.again = 0;
		const socket = this.#socket;
		this.#socket = null;
		socket?.close();
		this.#drop();
	}

	#lost(why) {
		this.#shut();
		this.#tell("waiting", `${why} It is tried again by itself.`);
		this.again = setTimeout(() => { this.again = 0; this.#follow(); }, this.#wait * (0.75 + Math.random() / 2));
		this.#wait = Math.min(LONGEST_WAIT_MS, this.#wait * 2);
	}

	#heard = 0; // When something came last ...
	#came = 0; // ... and when a picture did.

	#take(data) {
		this.#heard = performance.now();
		if (typeof data !== "string") {
			this.#came = this.#heard;
			return this.#piece(data);
		}
		const message = JSON.parse(data);
		if (message.kind === "start") this.#begin(message);
		else if (message.kind === "overlay") {
			this.#overlays.add(message.at, message.values);
			if (message.at <= this.#time + this.#half) this.#show();
		} else if (message.kind === "gone") {
			this.#drop();
			this.#tell("waiting", message.reason);
		}
		return undefined;
	}

	#source = null;
	#buffer = null;
	#queue = [];
	#waiting = 0; // Bytes in the queue.
	#keys = []; // Times just before key frames in the buffer.
	#codec = "";

	#begin({ codec, encoded }) {
		this.#drop();
		[this.#codec, this.encoded, this.#came] = [codec, encoded, performance.now()];
		const type = `video/mp4; codecs="${codec}"`;
		const Source = globalThis.MediaSource ?? globalThis.ManagedMediaSource; // iPhones have the second one only.
		if (!Source?.isTypeSupported(type)) {
			this.#shut();
			this.#tell("cannot", `This browser cannot play the video of this camera (${codec}).`);
			return;
		}
		const source = this.#source = new Source();
		const address = URL.createObjectURL(source);
		source.addEventListener("sourceopen", () => {
			URL.revokeObjectURL(address);
			if (source !== this.#source) return;
			this.#buffer = source.addSourceBuffer(type);
			this.#buffer.onupdateend = () => { if (source === this.#source) this.#feed(); };
			this.#feed();
		}, { once: true });
		this.video.src = address;
		this.play();
	}

	/** Forget what is played: a picture that stands still must not look like one of now. */
	#drop() {
		const had = this.#source;
		this.#source = this.#buffer = this.#until = null;
		[this.#queue, this.#waiting, this.#keys, this.#overlays, this.#time] = [[], 0, [], new Overlays(), -1];
		if (!had) return;
		this.video.removeAttribute("src");
		this.video.load();
		this.#show();
	}

	#piece(data) {
		if (!this.#source) return;
		this.#queue.push(data);
		this.#waiting += data.byteLength;
		if (this.#waiting > MOST_WAITING) this.#lost("The video comes faster than this browser plays it.");
		else this.#feed();
	}

	#feed() {
		const { video } = this;
		const buffer = this.#buffer;
		if (!buffer || buffer.updating) return;
		const { buffered } = buffer;
		// A browser removes up to the next key frame: not before one that lies behind what is shown.
		const forget = (time) => {
			const until = this.#keys.findLast((key) => key < time) ?? 0;
			if (!buffered.length || until < buffered.start(0) + 1) return false;
			this.#keys = this.#keys.filter((key) => key >= until);
			buffer.remove(0, until);
			return true;
		};
		if (forget(video.currentTime - KEPT_S)) return;
		const piece = this.#queue[0];
		if (!piece) {
			this.#steer(buffered);
			return;
		}
		try {
			const end = buffered.length ? buffered.end(buffered.length - 1) : 0;
			buffer.appendBuffer(piece);
			this.#queue.shift();
			this.#waiting -= piece.byteLength;
			if (isKey(piece)) this.#keys.push(end);
		} catch (error) {
			// Full: less is kept behind, or all begins anew.
			const full = error.name === "QuotaExceededError";
			if (!full || !forget(video.currentTime)) this.#lost("This browser cannot keep the video.");
		}
	}

	#until = null; // Up to where there was video ...
	#step = 0.1; // ... and how much one piece adds.

	/** Keep close behind what has come. */
	#steer(buffered) {
		const { video } = this;
		const last = buffered.length - 1;
		if (last < 0 || video.seeking) return;
		const [start, end] = [buffered.start(last), buffered.end(last)];
		if (this.#until !== null && end > this.#until) this.#step += (Math.min(1, end - this.#until) - this.#step) / 10;
		this.#until = end;
		this.#aim = clamp(this.#aim, LEAST_AIM_S, MOST_AIM_S);
		const aim = clamp(FRAMES_AIMED * this.#step, this.#aim, MOST_AIM_S);
		const delay = end - video.currentTime;
		// Far behind, before a gap, or not begun; small holes between pieces are played over.
		const stuck = video.currentTime < start && video.readyState < 3;
		if (delay > JUMP_S || stuck) video.currentTime = Math.max(start, end - aim);
		const off = delay - aim;
		const rate = Math.abs(off) < Math.max(0.05, this.#step) ? 1 : clamp(1 + off / 4, 0.9, 1.1);
		if (Math.abs(rate - video.playbackRate) > 0.01) video.playbackRate = rate;
		if (this.#kind !== "playing") this.#check();
	}

	#check() {
		const { video } = this;
		const now = performance.now();
		this.#aim *= 0.999; // A tenth less a minute.
		// A connection that is gone without a word, as a phone's on its way, is not noticed by the browser.
		if (this.#socket && now - this.#heard > DEAD_MS) this.#lost("Nothing comes any more.");
		else if (!this.#source) return;
		else if (now - this.#came > SILENT_MS) this.#tell("waiting", "No pictures come at the moment.");
		else if (video.readyState > 2 && !video.paused && !video.seeking) {
			this.#wait = FIRST_WAIT_MS;
			this.#tell("playing", "Live", Math.max(0, this.#until - video.currentTime));
		}
	}

	#tell(kind, text, delay = null) {
		this.#kind = kind;
		this.tell(kind, text, delay);
	}

	#overlays = new Overlays();
	#time = -1; // Of the picture that is shown.
	#half = 0.05;
	#drawn = "null";

	#watch() {
		const { video } = this;
		const shown = (time) => {
			if (this.#end.signal.aborted) return;
			const frame = Math.abs(time - this.#time);
			if (frame) this.#half = Math.min(this.#half * 1.1, frame / 2, 0.05);
			this.#time = time;
			this.#show();
			this.#watch();
		};
		if (video.requestVideoFrameCallback) video.requestVideoFrameCallback((_, { mediaTime }) => shown(mediaTime));
		else requestAnimationFrame(() => shown(video.currentTime));
	}

	#show() {
		const values = this.#overlays.of(this.#time, this.#half);
		const drawn = JSON.stringify(values); // Few change from one picture to the next.
		if (drawn !== this.#drawn) this.draw(values);
		this.#drawn = drawn;
	}
}
