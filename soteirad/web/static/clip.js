// The clip of a visit: fetched once somebody wants to see it.

import { ownAddress } from "./api.js";
import { h, show } from "./dom.js";
import { icon } from "./icons.js";
import { bytes, capital, isNumber, span } from "./words.js";

const TYPES = { hevc: "hvc1.1.6.L123.B0", h264: "avc1.640028" };

/** What is to be said of the clip of an event, "" if it has none. */
export const clipWords = ({ clip }) => {
	if (!clip) return "";
	if (!clip.ready) return "the clip is being recorded";
	return isNumber(clip.seconds) ? `clip of ${span(clip.seconds)}` : "clip";
};

/** The address of a clip that can be played, or null. */
export const clipAddress = ({ clip }) => (clip?.ready ? ownAddress(clip.url) : null);

/** The clip of an event with what there is to say of it; with `begin` it plays at once. */
export function clipPlayer(item, begin) {
	const address = clipAddress(item);
	if (!address) return h("p.soft", capital(clipWords(item)), ".");
	const { codec, bytes: size, more } = item.clip;
	const parts = [address, ...(more ?? []).map(ownAddress).filter(Boolean)];
	const note = h("p.problem", { role: "alert", hidden: true });
	const wrong = (text) => { note.hidden = false; show(note, text); };
	const screen = h("div");
	const open = () => {
		let part = 0;
		const video = h("video", { controls: true, preload: "none", playsinline: true, src: address,
			onended: () => {
				if (++part >= parts.length) return;
				video.src = parts[part];
				video.play().catch(() => {});
			},
			onerror: () => wrong(canPlay(codec) ? "This clip cannot be played: it is gone, or this browser cannot decode it."
				: `This browser cannot play ${codec}. Download the clip and open it with another program.`) });
		show(screen, video);
		video.play().catch(() => {}); // What hinders it, the controls or `error` show.
	};
	show(screen, h("button", { onclick: open }, icon("play"), " Play the clip"));
	if (begin) open();
	return h("section.clip", screen, note, h("p.soft", `${capital(clipWords(item))}${codec ? `, ${codec}` : ""}. `, h("a",
		{ href: address, download: true }, `Download${isNumber(size) ? ` (${bytes(size)})` : ""}`),
	parts.slice(1).map((href, index) => [" ", h("a", { href, download: true }, `Part ${index + 2}`)])));
}

const canPlay = (codec) => !TYPES[codec] || h("video").canPlayType(`video/mp4; codecs="${TYPES[codec]}"`) !== "";
