// Parts that all views use.

import { h, show } from "./dom.js";
import { icon } from "./icons.js";

export const empty = (name, title, text) => h("div.empty", icon(name, 40), h("p.empty-title", title), h("p", text));

export const noCamera = () => empty("now", "No camera yet",
	"Add one under cameras: in your configuration file, and reload.");

/** Show in a node what went wrong, in one sentence; not when the view is left, or the session over. */
export const complain = (node, error, signal) => {
	if (signal?.aborted || error.name === "AbortError" || error.status === 401) return;
	if (!error.status && error.status !== 0) throw error; // A fault of the page itself.
	show(node, h("p.problem", { role: "alert" }, icon("bad"), h("span", error.message)));
};

/** Lines of text that can be copied. */
export const lines = (name, text) => h("pre", { tabindex: 0, "aria-label": name }, text);
