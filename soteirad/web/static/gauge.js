// A still meter: a value against its mark.

import { h } from "./dom.js";
import { METERS } from "./meter.js";
import { isNumber, stages, stageWords, ms } from "./words.js";

/** `value` and `limit` are in the daemon's terms. */
export function gauge(setting, name, value, limit) {
	const { gate, scale, shown, text } = METERS[setting];
	const reach = Math.min(1, Math.max(0.004, scale.to(shown(value))));
	const over = isNumber(limit) && shown(value) >= shown(limit);
	const bar = h("i", { class: over ? "over" : "" });
	bar.style.width = `${reach * 100}%`;
	const mark = isNumber(limit) ? h("b") : null;
	if (mark) mark.style.left = `${Math.min(1, scale.to(shown(limit))) * 100}%`;
	return h("div", { class: `gauge g${gate}` },
		h("span", name), h("span.bar", { "aria-hidden": "true" }, bar, mark),
		h("span.numbers", text(shown(value)), isNumber(limit) && h("span.soft", ` mark ${text(shown(limit))}`)));
}

/** Latency by stage as one stacked bar; `wide` adds the names. */
export function latencyBar(latency, wide = false) {
	const parts = stages(latency);
	const total = latency?.total ?? parts.reduce((sum, [, value]) => sum + value, 0);
	if (!parts.length || !total) return null;
	const words = parts.map(([stage, value]) => `${stageWords(stage)} ${ms(value)}`);
	const bar = h("span.stack", { role: "img", "aria-label": `${ms(total)}: ${words.join(", ")}`,
		title: words.join("\n") },
		parts.map(([stage, value]) => {
			const part = h("i", { class: `stage-${stage}` });
			part.style.flexGrow = String(value);
			return part;
		}));
	return h("div", { class: `latency${wide ? " wide" : ""}` }, bar, h("span.total", ms(total)),
		wide && h("ul.legend", parts.map(([stage], index) => h("li", h("i", { class: `stage-${stage}` }), words[index]))));
}
