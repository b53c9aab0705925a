// How an event or a near miss is shown: in the list, in full.

import { ownAddress } from "./api.js";
import { clipAddress, clipWords } from "./clip.js";
import { copyButton, h } from "./dom.js";
import { gauge, latencyBar } from "./gauge.js";
import { icon } from "./icons.js";
import { lines } from "./parts.js";
import {
	answerStateWords, capital, clock, dayName, eventWords, isNumber, kindWords, percent, reasonWords, seenWords, span,
		spoken,
	triggerWords,
} from "./words.js";

const GAUGED = {
	motion_ratio: ["motion_threshold", "Changed share"], scene_distance: ["scene_distance", "Colours"],
		ssim: ["scene_ssim", "Structure lost"],
};

const ICONS = { left: "leave", source_lost: "empty", answered: "events" };

function thumbnail(path, name) {
	const address = ownAddress(path);
	const none = () => h("span.thumb", icon(name, 26));
	if (!address) return none();
	const image = h("img", { src: address, alt: "", loading: "lazy", decoding: "async", width: 128, height: 72 });
	const box = h("span.thumb", image);
	image.addEventListener("error", () => box.replaceWith(none())); // Old pictures go before their events.
	return box;
}

const chips = (event) => [
	...(event.zones ?? []).map((zone) => h("span.chip", zone)),
	isNumber(event.dwell) && h("span.chip", `seen for ${span(event.dwell)}`),
	isNumber(event.confidence) && h("span.chip.g3", percent(event.confidence)),
];

const sent = ({ seq, published, topic }) => {
	if (seq === null) return null; // It happened this moment: nobody can say yet.
	if (!published) return h("span.chip.warn", "waits for the broker");
	return topic?.endsWith("/late") ? h("span.chip.warn", "late") : null;
};

const said = ({ state, answer }) => (state === "answered" ? spoken(answer) : answerStateWords(state));

/** One event as an item of the list. `open` is called when it is chosen, with true when its clip is to be played. */
export function eventRow(item, title, open) {
	const { event } = item;
	const why = event.why ?? {};
	const reason = event.event_type === "answered" ? why.because
		: event.event_type === "left" ? reasonWords(why.reason) : why.trigger ? triggerWords(why.trigger) : "";
	return h("li", { "data-id": event.id },
		h("button", { class: `row type-${event.event_type}`, onclick: () => open(false) },
			thumbnail(item.picture, ICONS[event.event_type] ?? "now"),
			h("span.row-text",
				h("span.row-title", h("strong", eventWords(event)), h("span.soft", title)),
				h("span.row-why.soft", reason),
				h("span.chips", chips(event), item.clip && h("span.chip.soft", clipWords(item)), sent(item), item.answers.map((answer) => h("span.chip", h("b",
					`${answer.question}: `), said(answer))))),
			h("span.row-end", h("time", { datetime: event.time }, clock(event.time)), latencyBar(event.latency_ms))),
		clipAddress(item) && h("button.play", { onclick: () => open(true),
			"aria-label": `Play the clip: ${eventWords(event)}, ${title}, ${clock(event.time)}` }, icon("play")));
}

export function nearRow(miss, title) {
	return h("li", h("div", { class: `row near g${miss.gate}` },
		thumbnail(miss.picture, "empty"),
		h("span.row-text",
			h("span.row-title", h("strong", capital(kindWords(miss.kind))), h("span.soft", title)),
			h("span.row-why", miss.text),
			h("span.chips", h("span", { class: `chip g${miss.gate}` }, `gate ${miss.gate}`), miss.label && h("span.chip",
				miss.label),
				Object.entries(miss.values).map(([name, value]) => isNumber(value) && h("span.chip.soft",
					`${name} ${Number(value.toPrecision(2))}`)))),
		h("span.row-end", h("time", { datetime: miss.time }, clock(miss.time)))));
}

function whySection(event, thresholds) {
	const why = event.why ?? {};
	const limit = (setting) => thresholds?.[setting]?.value;
	const gauges = Object.entries(GAUGED).filter(([name]) => isNumber(why[name]))
		.map(([name, [setting, text]]) => gauge(setting, text, why[name], limit(setting)));
	if (isNumber(event.confidence) && event.event_type !== "answered") gauges.push(gauge("min_score", "Score",
		event.confidence, limit("min_score")));
	const left = event.event_type === "left";
	const rows = [
		why.trigger && ["The detector looked because", triggerWords(why.trigger)],
		why.reason && [left ? "The visit ended because" : "Sure because", reasonWords(why.reason)],
		why.seen && ["The camera is", seenWords(why.seen)],
		why.because && ["The model says", String(why.because)], why.model && ["Model", String(why.model)],
		isNumber(why.motion_blob) && why.motion_blob > 0 && ["Largest connected change", percent(why.motion_blob)],
	].filter(Boolean);
	if (!gauges.length && !rows.length) return null;
	return h("section", h("h3", "Why"), h("dl.facts", rows.map(fact)), gauges.length > 0 && h("div.gauges", gauges),
		gauges.length > 0 && h("p.hint", "The marks are those of now; they may have been others then."));
}

const fact = ([name, value]) => h("div", h("dt", name), h("dd", [value]));

/** All there is to say of an event. */
export function eventDetail(item, camera, title) {
	const { event } = item;
	const address = ownAddress(item.picture);
	const rows = [
		["Camera", title], ["When", `${dayName(event.time)}, ${clock(event.time)}`],
		event.confirmed && ["Sure at", clock(event.confirmed)], isNumber(event.media_time) && ["In the file at",
			span(event.media_time)],
		isNumber(event.dwell) && ["Seen for", span(event.dwell)], event.zones?.length && ["Zones", event.zones.join(", ")],
		isNumber(event.confidence) && ["Confidence", percent(event.confidence)], isNumber(event.track_id) && ["Track",
			`#${event.track_id}`],
		item.seq !== null && ["MQTT", item.published ? `published ${item.topic ? `on ${item.topic}` : ""}` : "not yet published: it waits for the broker"],
	].filter(Boolean);
	const json = JSON.stringify(event, null, 2);
	return [
		address && h("a.large", { href: address, target: "_blank", rel: "noopener" }, h("img",
			{ src: address, alt: `Snapshot: ${eventWords(event)}, ${title}` })),
		h("dl.facts", rows.map(fact)),
		whySection(event, camera?.thresholds),
		latencyBar(event.latency_ms) && h("section", h("h3", "From the frame to the result"), latencyBar(event.latency_ms,
			true)),
		item.answers.length > 0 && h("section", h("h3", "Answers"), h("dl.facts", item.answers.map((answer) =>
			fact([answer.question, [h("strong", said(answer)), h("span.soft",
				` ${answer.text === said(answer) ? "" : answer.text} ${clock(answer.time)}`)]])))),
		h("details", h("summary", "As it is published"), copyButton(json), lines("JSON", json)),
	];
}
