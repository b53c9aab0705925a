// How things are said to an owner. Pure: values in, sentences out.

export const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** A share as per cent, with as many digits as it is worth: 0.0213 is "2.1 %". */
export const percent = (share) => {
	if (!isNumber(share)) return "–";
	return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
};

export const hundredths = (value) => (isNumber(value) ? value.toFixed(2) : "–");

/** Seconds as people say them: 4 s, 3 min, 2 h, 5 d. */
export const span = (seconds) => {
	if (!isNumber(seconds)) return "–";
	const value = Math.max(0, seconds);
	if (value < 9.95) return `${value.toFixed(1)} s`;
	if (value < 99.5) return `${Math.round(value)} s`;
	if (value < 5400) return `${Math.round(value / 60)} min`;
	if (value < 36 * 3600) return `${Math.round(value / 3600)} h`;
	return `${Math.round(value / 86400)} d`;
};

export const bytes = (count) => {
	if (!isNumber(count)) return "–";
	return count >= 1e9 ? `${(count / 1e9).toFixed(1)} GB` : `${Math.round(count / 1e6)} MB`;
};

export const whole = (count) => (isNumber(count) ? Math.round(count).toLocaleString("en") : "–");
export const stopped = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);
export const plural = (count, one, many = `${one}s`) => `${whole(count)} ${count === 1 ? one : many}`;

const two = (value) => String(value).padStart(2, "0");

export const clock = (iso) => {
	const date = new Date(iso);
	return [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
};

/** The heading of a day: Today, Yesterday, or the date in the browser's language. */
export const dayName = (iso, now = new Date()) => {
	const date = new Date(iso);
	const before = new Date(now);
	before.setDate(now.getDate() - 1);
	if (date.toDateString() === now.toDateString()) return "Today";
	if (date.toDateString() === before.toDateString()) return "Yesterday";
	return date.toLocaleDateString(undefined, { dateStyle: "full" });
};

/** A lookup; what is not in it is said as it is. */
const words = (known) => (key) => known[key] ?? String(key ?? "");

export const triggerWords = words({
	start: "the first frames after a start",
	motion_spike: "motion rose suddenly",
	scene_change: "the scene changed",
	confirm: "somebody was seen once: is it true?",
	after_stillness: "the first motion after a calm second",
	new_motion: "motion where nothing moved before",
	motion: "something moves",
	motion_end: "motion ended: who is still there?",
	lost: "somebody was not found: look again",
	still: "somebody stands still",
	every_frame: "every frame is looked at",
});

export const reasonWords = words({
	gone: "they are gone", scene_changed: "the view changed", source_lost: "the stream was lost", gap: "the stream jumped",
	source_ended: "the file ended", detection_off: "detection was switched off",
		switched_off: "the camera was switched off",
	restart: "the daemon was restarted", camera_restart: "the camera's process died", reload: "its configuration changed",
	removed: "it was removed from the configuration", confirmed: "two looks saw it",
});

export const viewWords = words({
	doubtful: "in doubt, waiting", changed: "it changed", other: "another than usual", settled: "a known one again",
});

export const seenWords = words({ covered: "covered", defocused: "out of focus", moved: "moved" });

export const whyNotWords = words({ score: "too unsure", area: "too small or too large",
	echo: "a double of another box" });

export const TYPES = {
	entered: "entered", left: "left", present: "was already there", scene_changed: "view changed",
	source_lost: "stream was lost", source_restored: "stream is back", answered: "answer",
};

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** An answer as people say it. */
export const spoken = (answer) => String({ true: "yes", false: "no" }[answer] ?? answer ?? "unsure");

/** What an event says, without the camera: "Person entered". */
export const eventWords = (event) => {
	const { event_type: type, label, why, question, answer } = event;
	if (type === "answered") return `${capital(String(question))}: ${spoken(answer)}`;
	if (type === "scene_changed") return `The view changed${why?.seen ? `: ${seenWords(why.seen)}` : ""}`;
	return capital(`${label ?? ""} ${TYPES[type] ?? type}`.trim());
};

export const answerStateWords = words({
	pending: "being asked", answered: "answered", skipped_duplicate: "not asked: the picture was the same",
	skipped_budget: "not asked: the budget was spent", skipped_stale: "given up: too late", failed: "failed",
});

export const kindWords = words({
	motion_below: "too little motion", flood: "the light changed", score_below: "too unsure",
	area_below: "too small", area_above: "too large", not_confirmed: "seen only once",
});

const STAGES = ["decode", "motion", "scene", "wait", "detect"];
export const stageWords = words({ decode: "decoding", motion: "gate 1", scene: "gate 2", wait: "waiting",
	detect: "detector" });

/** The stages of a latency as [[name, ms], ...], what is missing up to the total as "other". */
export const stages = (latency) => {
	const found = Object.entries(latency ?? {}).filter(([name, ms]) => name !== "total" && isNumber(ms) && ms > 0);
	found.sort(([a], [b]) => (STAGES.indexOf(a) + 99) % 99 - (STAGES.indexOf(b) + 99) % 99);
	const rest = (latency?.total ?? 0) - found.reduce((sum, [, ms]) => sum + ms, 0);
	return rest > 0.5 ? [...found, ["other", rest]] : found;
};

export const ms = (value) => (isNumber(value) ? `${value.toFixed(value < 10 ? 1 : 0)} ms` : "–");
