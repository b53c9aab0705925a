// Line drawings on a 24 x 24 grid: nothing is fetched.

import { s } from "./dom.js";

const PATHS = {
	now: "M3 7h4l2-3h6l2 3h4v12H3zM12 9.5a3.5 3.5 0 1 0 0 7a3.5 3.5 0 1 0 0-7z",
	events: "M4 6h3M4 12h3M4 18h3M10 6h10M10 12h10M10 18h6",
	zones: "M5 5l9-1l6 7l-4 9l-11-3zM5 5v.01M14 4v.01M20 11v.01M16 20v.01M5 17v.01",
	health: "M3 12h4l2.5-7l5 14L17 12h4",
	sun: "M12 8a4 4 0 1 0 0 8a4 4 0 1 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6L19 19M19 5l-1.4 1.4M6.4 17.6L5 19",
	moon: "M20 14.5A8.5 8.5 0 1 1 9.5 4a7 7 0 0 0 10.5 10.5z",
	leave: "M14 4H5v16h9M10 12h11M17 8l4 4l-4 4",
	undo: "M9 7L4 12l5 5M4 12h10a6 6 0 0 1 6 6",
	play: "M8 5v14l11-7z",
	plus: "M12 5v14M5 12h14",
	close: "M6 6l12 12M18 6L6 18",
	empty: "M3 7h4l2-3h6l2 3h4v12H3zM4 3l16 18",
	fresh: "M20 6v5h-5M20 11a8 8 0 1 0 .5 4",
	good: "M4 12.5l5 5L20 6.5",
	bad: "M12 3L2 20h20zM12 10v4M12 17v.01",
};

export const icon = (name, size = 20) =>
	s("svg.icon", { viewBox: "0 0 24 24", width: size, height: size, "aria-hidden": "true", focusable: "false" },
		s("path", { d: PATHS[name] }));

/** The mark of the house: three gates, one behind the other. */
export const logo = (size = 28) =>
	s("svg.logo", { viewBox: "0 0 32 32", width: size, height: size, "aria-hidden": "true", focusable: "false" },
		s("path.g1", { d: "M4 28V5h24v23" }),
		s("path.g2", { d: "M10 28V12h12v16" }),
		s("path.g3", { d: "M16 28V19" }));

/** A gate's own sign: two posts and a bar, which stands up while it is `open`. */
export const gate = () =>
	s("svg.gate", { viewBox: "0 -6 28 26", width: 28, height: 26, "aria-hidden": "true", focusable: "false" },
		s("path.post", { d: "M4 19V5M24 19V9" }),
		s("path.bar", { d: "M4 9H24" }));
