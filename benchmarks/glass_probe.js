// What a browser shows of live video, and when: injected before the page's own scripts, which know nothing of it.
//
// `glass.pieces` and `glass.overlays` tell what came over the page's WebSockets, `glass.frames` each picture that was shown
// once `glass.watch(video)` was called, `glass.stalls` when there was none to show. All times are ms since the epoch, by performance.timeOrigin.
(() => {
	const glass = window.glass = { pieces: [], overlays: [], starts: 0, stalls: [], frames: [] };
	const now = () => performance.timeOrigin + performance.now();
	let timescale = 0;

	/** Where a box's payload begins in a piece, or -1. */
	const find = (view, name) => {
		const wanted = [...name].map((letter) => letter.charCodeAt(0));
		for (let at = 4; at + 4 < Math.min(view.byteLength, 4000); at++) {
			if (wanted.every((code, i) => view.getUint8(at + i) === code)) return at + 4;
		}
		return -1;
	};

	const note = ({ data }) => {
		const arrived = now();
		if (typeof data === "string") {
			const message = JSON.parse(data);
			if (message.kind === "start") glass.starts++;
			if (message.kind !== "overlay") return;
			const { time, looked, tracks } = message.values;
			glass.overlays.push({ arrived, at: message.at, captured: Date.parse(time), looked, boxes: tracks.map(({ box }) => box) });
			return;
		}
		if (!(data instanceof ArrayBuffer)) return;
		const view = new DataView(data);
		const head = find(view, "mdhd");
		if (head > 0) timescale = view.getUint32(head + (view.getUint8(head) ? 20 : 12));
		const at = find(view, "tfdt");
		if (at < 0) return;
		const ticks = view.getUint8(at) ? Number(view.getBigUint64(at + 4)) : view.getUint32(at + 4);
		glass.pieces.push({ arrived, at: ticks / timescale, bytes: data.byteLength });
	};

	window.WebSocket = class extends WebSocket {
		constructor(...given) {
			super(...given);
			this.addEventListener("message", note);
		}
	};

	/** The boxes of what is followed that lie over a video, in fractions of it: x1, y1, x2, y2. */
	const boxes = (video) => [...video.parentElement.querySelectorAll(".box.track")].map((box) => {
		const [inner, outer] = [box.getBoundingClientRect(), video.getBoundingClientRect()];
		return [(inner.left - outer.left) / outer.width, (inner.top - outer.top) / outer.height,
			(inner.right - outer.left) / outer.width, (inner.bottom - outer.top) / outer.height];
	});

	/** How much video (s) lies ready behind the picture that is shown. */
	const ahead = ({ buffered }, time) => (buffered.length ? buffered.end(buffered.length - 1) - time : 0);

	glass.watch = (video) => {
		video.addEventListener("waiting", () => glass.stalls.push(now()));
		const shown = (called, metadata) => {
			const frame = { ...window.readStamp(video, metadata.width, metadata.height), called: performance.timeOrigin + called,
				now: now(), wall: Date.now(), expected: performance.timeOrigin + metadata.expectedDisplayTime,
				media: metadata.mediaTime, ahead: ahead(video, metadata.mediaTime), presented: metadata.presentedFrames, rate: video.playbackRate, boxes: null };
			glass.frames.push(frame);
			video.requestVideoFrameCallback(shown);
			// The page's own callback may come after this one, and so may its animation frame: what it drew is known behind both.
			requestAnimationFrame(() => setTimeout(() => { frame.boxes = boxes(video); }));
		};
		video.requestVideoFrameCallback(shown);
	};
})();
