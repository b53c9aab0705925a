// The view Zones: draw, and take the lines for the file.

import { api, picture, pictureAddress } from "./api.js";
import { choice, copyButton, h, say, show } from "./dom.js";
import { Editor } from "./editor.js";
import { icon } from "./icons.js";
import { complain, lines, noCamera } from "./parts.js";
import { areasOf, freeName, KINDS, shapesOf, wrongWith } from "./polygon.js";

const CHECK_AFTER_MS = 350;
const drafts = new Map(); // What was drawn and not taken yet, by camera: another view does not lose it.

const HINTS = {
	zone: "Who stands in it is told with each event.",
	motion: "Movement in it does not count. Who walks there is still seen when something else moves.",
	privacy: "Painted black before anything is analysed, stored or sent.",
};

export class Zones {
	constructor() {
		this.editor = new Editor();
		this.select = h("select", { id: "zone-camera", onchange: () => this.#pick(this.select.value) });
		this.shapes = h("ul.shapes");
		this.form = h("div.shape-form");
		this.result = h("div.result");
		const tools = this.#tools();
		const body = h("div.zones-body",
			h("div", tools, this.editor.node, h("div.hint-row", this.hint = h("p.hint"), this.done)),
			h("div.zones-right", h("section.card", h("h3", "Zones and masks"), this.shapes, this.form),
				h("section.card", h("h3", "For your file"), this.result)));
		this.node = h("section.view",
			h("div.view-head", h("h2", "Zones"), h("label", { for: "zone-camera" }, "Camera"), this.select),
			body);
		this.editor.addEventListener("change", () => this.#changed());
	}

	async open(signal) {
		this.signal = signal;
		try {
			this.cameras = await api.cameras();
		} catch (error) {
			return complain(this.node, error, signal);
		}
		if (signal.aborted) return undefined;
		if (!this.cameras.length) return show(this.node, noCamera());
		show(this.select, this.cameras.map(({ name, title }) => h("option", { value: name }, title)));
		const asked = decodeURIComponent(location.hash.split("/")[1] ?? "");
		return this.#pick(this.cameras.some(({ name }) => name === asked) ? asked : this.cameras[0].name);
	}

	close() {
		this.#keep();
		clearTimeout(this.timer);
		this.asking?.abort();
		this.fetching?.abort();
		URL.revokeObjectURL(this.address);
		this.editor.close();
	}

	#keep() {
		if (this.camera && this.editor.changed) drafts.set(this.camera.name, structuredClone(this.editor.shapes));
	}

	#pick(name) {
		this.#keep();
		this.camera = this.cameras.find((camera) => camera.name === name);
		this.select.value = name;
		history.replaceState(null, "", `#zones/${encodeURIComponent(name)}`);
		this.present = shapesOf(this.camera);
		this.editor.load(drafts.get(name) ?? this.present);
		this.#picture();
	}

	async #picture() {
		this.fetching?.abort();
		const fetching = this.fetching = new AbortController();
		this.editor.setPicture(this.address, "Asking for a picture ...");
		let blob = null;
		try { blob = await picture(pictureAddress(this.camera.name), fetching.signal); } catch { /* Told below. */ }
		if (fetching.signal.aborted || this.signal.aborted) return;
		URL.revokeObjectURL(this.address);
		this.address = blob && URL.createObjectURL(blob);
		this.editor.setPicture(this.address, blob ? "" : `There is no picture of ${this.camera.title} now. You can draw all the same.`);
	}

	#tools() {
		const button = (name, text, action, kind = "") => h("button",
			{ class: `tool ${kind}`, onclick: action, title: text }, icon(name), h("span", text));
		const begin = (kind) => () => {
			this.editor.finish();
			this.editor.begin({ kind, name: kind === "zone" ? freeName(this.editor.shapes) : "", labels: null, points: [] });
		};
		this.done = h("button.main.tool", { onclick: () => { this.editor.finish(); this.form.querySelector("input")?.focus(); } }, icon("good"), "Done");
		this.undo = button("undo", "Undo", () => this.editor.undo(), "narrow");
		return h("div.tools", { role: "toolbar", "aria-label": "Drawing" },
			button("plus", "Zone", begin("zone")), button("plus", "Motion mask", begin("motion")), button("plus",
				"Privacy mask", begin("privacy")),
			h("span.gap"), this.undo, button("fresh", "Fresh picture", () => this.#picture(), "narrow"));
	}

	#changed() {
		const { editor } = this;
		this.undo.disabled = !editor.changed;
		this.done.classList.toggle("gone", !editor.drawing);
		say(this.hint, editor.drawing ? "Click or tap the corners one after the other; the first corner again, or Done, closes the shape."
			: editor.shape ? "Drag a corner, or an edge for a new corner. Arrow keys move the chosen corner, Delete removes it."
				: "Choose a shape to change it, or draw a new one.");
		this.#list();
		this.#fields();
		clearTimeout(this.timer);
		this.timer = setTimeout(() => this.#check(), CHECK_AFTER_MS);
	}

	#wrong(shape) {
		return wrongWith(shape, this.editor.shapes, this.editor.drawing && shape === this.editor.shape);
	}

	#list() {
		const { shapes, selected } = this.editor;
		const focused = this.shapes.contains(document.activeElement);
		if (!shapes.length) show(this.shapes, h("li.soft",
			"None yet. A zone says where somebody stands, a mask where nothing counts."));
		else show(this.shapes, shapes.map((shape, index) => h("li", h("button",
			{ class: `shape-item ${shape.kind}`, "aria-pressed": String(index === selected),
			onclick: () => this.editor.select(index, 0),
		}, h("i.swatch"), h("span", shape.kind === "zone" ? shape.name || "(no name)" : KINDS[shape.kind]),
		h("span.soft", this.#wrong(shape) ? "not right yet" : `${shape.points.length} points`)))));
		if (focused) this.shapes.querySelector('[aria-pressed="true"]')?.focus();
	}

	#fields() {
		const { shape } = this.editor;
		if (this.form.shape === shape && shape) return this.#tellWrong(); // Not while somebody types in it.
		this.form.shape = shape;
		if (!shape) return show(this.form);
		const change = (part) => this.editor.edit(part);
		const ticked = () => [...this.form.querySelectorAll("fieldset input:checked")].map(({ value }) => value);
		const onchange = () => change({ labels: ticked().length ? ticked() : null });
		const labels = this.camera.labels.map((label) =>
			h("label.switch", h("input", { type: "checkbox", checked: shape.labels?.includes(label) ?? false, value: label,
				onchange }), label));
		this.wrong = h("p.wrong", { role: "status" });
		this.kindHint = h("p.hint");
		this.zoneFields = h("div", h("label.field", h("span", "Name"), h("input", {
			value: shape.name, maxlength: 64, autocapitalize: "off", spellcheck: "false", autocomplete: "off",
			oninput: (event) => change({ name: event.target.value.trim() }),
		})), h("fieldset", h("legend", "Who counts here (none chosen: everybody)"), labels));
		show(this.form,
			choice("Kind", Object.entries(KINDS), shape.kind, (kind) => change(kind === "zone"
				? { kind, name: shape.name || freeName(this.editor.shapes) } : { kind })),
			this.kindHint, this.zoneFields, this.wrong,
			h("div.buttons",
				h("button.small", { onclick: () => this.editor.insert() }, "Add a point"),
				h("button.small", { onclick: () => this.editor.removePoint() }, "Delete the point"),
				h("button.small.danger", { onclick: () => this.editor.removeShape() }, "Delete the shape")));
		return this.#tellWrong();
	}

	#tellWrong() {
		const { shape } = this.editor;
		this.zoneFields.hidden = shape.kind !== "zone";
		say(this.kindHint, HINTS[shape.kind]);
		say(this.wrong, this.#wrong(shape));
	}

	async #check() {
		const { shapes, drawing } = this.editor;
		this.asking?.abort();
		const wrong = shapes.map((shape) => [shape, this.#wrong(shape)]).find(([, text]) => text);
		if (wrong || drawing) {
			show(this.result, h("p.wrong", wrong ? `${wrong[0].name || KINDS[wrong[0].kind]}: ${wrong[1]}` : "Finish the shape first."));
			return;
		}
		const { signal } = this.asking = new AbortController();
		try {
			this.#yaml((await api.areas(this.camera.name, areasOf(shapes), signal)).yaml);
		} catch (error) {
			complain(this.result, error, signal);
		}
	}

	#yaml(yaml) {
		if (JSON.stringify(areasOf(this.editor.shapes)) === JSON.stringify(areasOf(this.present))) return show(this.result,
			h("p.soft", "Nothing differs from what the camera has now."));
		const file = `${this.camera.name}-zones.yaml`;
		const command = `sudo soteirad config apply ${file}`;
		return show(this.result,
			h("p.soft", "Not in force yet. Save these lines, and let Soteira put them into your file: it shows the difference and asks first."),
			lines("YAML", yaml),
			h("div.buttons", copyButton(yaml), h("button.small", { onclick: () => save(yaml, file) }, "Save as a file"),
				h("button.small", { onclick: () => { drafts.delete(this.camera.name); this.editor.load(this.present); } },
					"Start over")),
			h("div.command", h("code", command), copyButton(command)));
	}
}

function save(text, name) {
	const address = URL.createObjectURL(new Blob([text], { type: "application/yaml" }));
	h("a", { href: address, download: name }).click();
	setTimeout(() => URL.revokeObjectURL(address), 1000);
}
