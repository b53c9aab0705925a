// The drawing area: polygons over a picture, by mouse, finger or keys.

import { h, s, say, show } from "./dom.js";
import { nearestEdge, round } from "./polygon.js";

const WIDE = 1000; // The drawing's own units; its height follows the picture's shape.
const STEP = 0.005;
const NEAR_PX = 18; // A finger's tip.
const MOST_UNDO = 100;
const MOST_POINTS = 60;

const HELP = "Arrow keys move the chosen point (Shift: further), Page Up and Down choose another one, Insert adds one, Delete removes it, Enter ends drawing, Control Z takes back.";

export class Editor extends EventTarget {
	shapes = [];
	selected = -1; // Which shape ...
	point = -1; // ... and which of its points.
	drawing = false;
	#undo = [];
	#drag = null;
	#tall = WIDE * 9 / 16;

	constructor() {
		super();
		this.image = h("img", { alt: "", hidden: true, draggable: "false" });
		this.art = s("g");
		this.svg = s("svg", {
			class: "drawing", tabindex: 0, role: "application", "aria-label": "Drawing of zones and masks",
				"aria-describedby": "drawing-help",
			onpointerdown: (event) => this.#down(event), onpointermove: (event) => this.#move(event),
				onpointerup: () => this.#up(),
			onpointercancel: () => this.#up(), onkeydown: (event) => this.#key(event), ondblclick: () => this.finish(),
		}, this.art);
		this.spoken = h("p.unseen", { role: "status" });
		this.note = h("p.picture-note");
		this.node = h("div.canvas-box", this.image, this.note, this.svg, this.spoken, h("p.unseen", { id: "drawing-help" },
			HELP));
		this.image.addEventListener("load", () => this.#shape());
		this.watcher = new ResizeObserver(() => this.draw());
		this.watcher.observe(this.svg);
		this.#shape();
	}

	get shape() { return this.shapes[this.selected] ?? null; }
	get changed() { return this.#undo.length > 0; }

	close() { this.watcher.disconnect(); }

	load(shapes) {
		this.shapes = structuredClone(shapes);
		this.#undo = [];
		this.select(-1);
	}

	select(index, point = -1) {
		this.selected = index;
		this.point = point;
		this.drawing = false;
		this.#changed();
	}

	begin(shape) {
		this.#remember();
		this.shapes.push(shape);
		this.selected = this.shapes.length - 1;
		this.point = -1;
		this.drawing = true;
		this.#changed("Click or tap the corners, or press Insert.");
		this.svg.focus({ preventScroll: true });
	}

	finish() {
		if (!this.drawing) return;
		this.drawing = false;
		if (!this.shape.points.length) {
			this.shapes.pop(); // What is drawn is the last one.
			this.selected = -1;
		}
		this.#changed("The shape is closed.");
	}

	edit(change) {
		if (!this.shape) return;
		this.#remember();
		Object.assign(this.shape, change);
		this.#changed();
	}

	/** Add a point after the selected one, in the middle of its edge; the first ones around the middle of the picture. */
	insert() {
		const { shape } = this;
		if (!shape || shape.points.length >= MOST_POINTS) return;
		this.#remember();
		const { points } = shape;
		const at = this.point < 0 ? points.length - 1 : this.point;
		const [a, b] = [points[at], points[(at + 1) % points.length]];
		points.splice(at + 1, 0, [[0.4, 0.4], [0.6, 0.4], [0.6, 0.6]][points.length] ?? [round((a[0] + b[0]) / 2),
			round((a[1] + b[1]) / 2)]);
		this.point = at + 1;
		this.#changed(this.#where());
	}

	removePoint() {
		const points = this.shape?.points;
		if (this.point < 0 || !points) return;
		if (points.length === 1) return this.removeShape();
		this.#remember();
		points.splice(this.point, 1);
		this.point = Math.min(this.point, points.length - 1);
		this.#changed("The point is gone.");
	}

	removeShape() {
		if (!this.shape) return;
		this.#remember();
		this.shapes.splice(this.selected, 1);
		this.select(-1);
	}

	undo() {
		if (!this.changed) return;
		Object.assign(this, this.#undo.pop());
		this.#changed("Taken back.");
	}

	setPicture(address, note = "") {
		this.image.hidden = !address;
		if (address) this.image.src = address;
		else this.image.removeAttribute("src");
		say(this.note, note);
	}

	draw() {
		const dot = WIDE / Math.max(200, this.svg.clientWidth || WIDE); // One pixel of the screen.
		const at = ([x, y]) => [x * WIDE, y * this.#tall];
		show(this.art, this.shapes.map((shape, index) => this.#drawn(shape, index, at, dot)), this.shape && this.#handles(at,
			dot));
	}

	#drawn(shape, index, at, dot) {
		const on = index === this.selected;
		const open = on && this.drawing;
		const line = shape.points.map((point) => at(point).map((v) => v.toFixed(1)).join(",")).join(" ");
		const [x, y] = shape.points.length ? at(shape.points[0]) : [0, 0];
		const name = shape.kind === "zone" && shape.points.length && s("text",
			{ x: x + 8 * dot, y: y - 10 * dot < 14 * dot ? y + 18 * dot : y - 10 * dot, "font-size": 13 * dot }, shape.name);
		return s("g", { class: `${shape.kind === "zone" ? "zone" : `${shape.kind}-mask`} ${on ? "selected" : ""}` },
			s(open ? "polyline" : "polygon", { points: line, "data-shape": index, "stroke-width": (on ? 2.5 : 1.5) * dot }),
				name);
	}

	#handles(at, dot) {
		const { points } = this.shape;
		const middles = this.drawing || points.length < 2 ? [] : points.map((a, i) => {
			const b = points[(i + 1) % points.length];
			const [x, y] = at([(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]);
			return s("circle.middle", { cx: x, cy: y, r: 3.5 * dot, "stroke-width": 1.5 * dot });
		});
		return s("g.handles", middles, points.map((point, i) => {
			const [x, y] = at(point);
			return s("circle", { class: `point${i === this.point ? " chosen" : ""}`, cx: x, cy: y, r: (i === this.point
				? 8 : 6) * dot, "stroke-width": 2 * dot });
		}));
	}

	#shape() {
		if (this.image.naturalWidth) this.#tall = WIDE * this.image.naturalHeight / this.image.naturalWidth;
		this.node.style.aspectRatio = `${WIDE} / ${this.#tall}`;
		this.svg.setAttribute("viewBox", `0 0 ${WIDE} ${this.#tall}`);
		this.draw();
	}

	#at(event) {
		const box = this.svg.getBoundingClientRect();
		return [round((event.clientX - box.left) / box.width), round((event.clientY - box.top) / box.height)];
	}

	#pixels(a, b) {
		const box = this.svg.getBoundingClientRect();
		return Math.hypot((a[0] - b[0]) * box.width, (a[1] - b[1]) * box.height);
	}

	#down(event) {
		if (event.button !== 0) return undefined;
		event.preventDefault();
		this.svg.focus({ preventScroll: true });
		const here = this.#at(event);
		const reach = event.pointerType === "touch" ? NEAR_PX * 1.3 : NEAR_PX * 0.7;
		const { shape } = this;
		const away = shape?.points.map((point) => this.#pixels(point, here)) ?? [];
		const distance = Math.min(...away);
		const near = away.indexOf(distance);
		if (shape && this.drawing) return this.#drawPoint(here, near, distance, reach, event);
		if (distance <= reach) return this.#take(near, event);
		if (shape?.points.length > 2 && shape.points.length < MOST_POINTS) {
			const [edge, off] = nearestEdge(shape.points, here, this.#tall / WIDE);
			if (off * this.svg.clientWidth <= reach * 0.7) return this.#add(edge + 1, here, event);
		}
		const index = Number(event.target.dataset?.shape ?? -1);
		if (index !== this.selected || index < 0) this.select(index);
		if (index >= 0) this.#grab(event, { whole: structuredClone(this.shape.points), from: here });
		return undefined;
	}

	#drawPoint(here, index, distance, reach, event) {
		const { length } = this.shape.points;
		if (index === 0 && length >= 3 && distance <= reach) this.finish();
		else if (distance <= reach / 2) this.#take(index, event); // The second half of a double click, too.
		else if (length < MOST_POINTS) this.#add(length, here, event);
	}

	#add(at, here, event) {
		this.#remember();
		this.shape.points.splice(at, 0, here);
		return this.#take(at, event, true);
	}

	#take(point, event, remembered = false) {
		this.point = point;
		this.#grab(event, { point, remembered });
		this.#changed(this.#where());
	}

	#grab(event, drag) {
		this.#drag = drag;
		this.svg.setPointerCapture(event.pointerId);
	}

	#move(event) {
		if (!this.#drag || !this.shape) return;
		const here = this.#at(event);
		if (!this.#drag.remembered) {
			if (this.#drag.from && this.#pixels(here, this.#drag.from) < 4) return; // A click is not a push.
			this.#remember();
			this.#drag.remembered = true;
		}
		if (this.#drag.whole) this.shape.points = moved(this.#drag.whole, here[0] - this.#drag.from[0],
			here[1] - this.#drag.from[1]);
		else this.shape.points[this.#drag.point] = here;
		this.draw();
	}

	#up() {
		if (!this.#drag) return;
		this.#drag = null;
		this.#changed();
	}

	#key(event) {
		const control = event.ctrlKey || event.metaKey;
		const direction = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0,
			STEP] }[event.key];
		const action = control ? event.key === "z" && (() => this.undo()) : {
			Delete: () => (this.point >= 0 ? this.removePoint() : this.removeShape()), Backspace: () => this.removePoint(),
			Insert: () => this.insert(), "+": () => this.insert(), Enter: () => this.finish(),
			Escape: () => (this.drawing ? this.finish() : this.select(-1)),
			PageDown: () => this.#walk(1), PageUp: () => this.#walk(-1),
		}[event.key];
		if (!(direction && this.shape) && !action) return;
		event.preventDefault();
		if (action) action();
		else this.#nudge(direction.map((part) => part * (event.shiftKey ? 5 : 1)));
	}

	#nudge([dx, dy]) {
		this.#remember();
		const { shape: { points }, point } = this;
		if (point < 0) this.shape.points = moved(points, dx, dy);
		else [points[point]] = moved([points[point]], dx, dy);
		this.#changed(this.#where());
	}

	#walk(step) {
		const count = this.shape?.points.length;
		if (!count) return;
		this.point = (this.point + step + (this.point < 0 && step < 0 ? 1 : 0) + count) % count;
		this.#changed(this.#where());
	}

	#where() {
		const at = this.shape?.points[this.point];
		return at ? `Point ${this.point + 1} of ${this.shape.points.length}: ${Math.round(at[0] * 100)} % right, ${Math.round(at[1] * 100)} % down.` : "";
	}

	#remember() {
		this.#undo.push(structuredClone({ shapes: this.shapes, selected: this.selected, point: this.point,
			drawing: this.drawing }));
		if (this.#undo.length > MOST_UNDO) this.#undo.shift();
	}

	#changed(text = "") {
		this.draw();
		say(this.spoken, text);
		this.dispatchEvent(new Event("change"));
	}
}

/** The points pushed by dx, dy, no farther than the picture's edge. */
function moved(points, dx, dy) {
	const [px, py] = [dx, dy].map((by, axis) => {
		const all = points.map((point) => point[axis]);
		return Math.min(1 - Math.max(...all), Math.max(-Math.min(...all), by));
	});
	return points.map(([x, y]) => [round(x + px), round(y + py)]);
}
