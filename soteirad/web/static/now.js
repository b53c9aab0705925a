// The view Now: what each camera's gates see, live.

import { api } from "./api.js";
import { Card } from "./card.js";
import { copyButton, h, say, show } from "./dom.js";
import { icon } from "./icons.js";
import { live } from "./live.js";
import { complain, lines, noCamera } from "./parts.js";
import { plural } from "./words.js";

const HEALTH_EVERY_MS = 15_000;
let areasShown = true;

export class Now {
	cards = new Map();
	inView = new Set();

	constructor() {
		this.list = h("div.cameras");
		this.notice = h("p.notice", { role: "status" });
		this.changes = h("button.link", { onclick: () => this.panel.node.focus() });
		this.areas = h("input", { type: "checkbox", checked: areasShown, onchange: () => this.#areas() });
		this.panel = new Changes((count) => say(this.changes, count ? `${plural(count, "change")} not in your file` : ""));
		this.node = h("section.view",
			h("div.view-head", h("h2", "Now"),
				h("label.switch", this.areas, "Zones and masks"), this.changes),
			this.notice, this.list, this.panel.node);
		this.watcher = new IntersectionObserver((entries) => this.#seen(entries), { rootMargin: "80px 0px" });
		this.#areas();
	}

	async open(signal) {
		this.signal = signal;
		const on = (kind, callback) => live.addEventListener(kind, (event) => callback(event.detail), { signal });
		on("frame", (frame) => this.cards.get(frame.camera)?.setFrame(frame));
		on("camera", (camera) => this.#camera(camera));
		on("cameras", (all) => this.#only(all.map(({ name }) => name)));
		live.addEventListener("connection", () => this.#connection(), { signal });
		await this.#load();
		const timer = setInterval(() => { if (!document.hidden) this.#health(); }, HEALTH_EVERY_MS);
		signal.addEventListener("abort", () => clearInterval(timer));
	}

	close() {
		clearTimeout(this.retry);
		this.watcher.disconnect();
		for (const card of this.cards.values()) card.close();
		this.cards.clear();
	}

	async #load() {
		try {
			const cameras = await api.cameras();
			if (this.signal.aborted) return;
			for (const camera of cameras) this.#camera(camera);
			if (!cameras.length) show(this.list, noCamera());
			this.#health();
			this.panel.load();
		} catch (error) {
			complain(this.list, error, this.signal);
			this.retry = setTimeout(() => { if (!this.signal.aborted) { this.cards.clear(); this.#load(); } }, 5000);
		}
	}

	#camera(camera) {
		const card = this.cards.get(camera.name);
		if (card) {
			const before = overridden(card.camera);
			const wasOnline = card.camera.online;
			card.setCamera(camera);
			if (before !== overridden(camera)) this.panel.load();
			if (wasOnline && !camera.online) this.#health();
			return;
		}
		if (!this.cards.size) show(this.list);
		const made = new Card(camera, (text) => this.#complain(text), () => this.panel.load());
		this.cards.set(camera.name, made);
		this.list.append(made.node);
		this.watcher.observe(made.node);
	}

	#only(names) {
		for (const [name, card] of this.cards) {
			if (names.includes(name) || !this.cards.delete(name)) continue;
			card.close();
			card.node.remove();
		}
	}

	#seen(entries) {
		for (const { target, isIntersecting } of entries) {
			if (isIntersecting) this.inView.add(target.dataset.camera);
			else this.inView.delete(target.dataset.camera);
			this.cards.get(target.dataset.camera)?.video.look(isIntersecting);
		}
		if (!this.signal?.aborted) live.want(this.inView);
	}

	async #health() {
		if ([...this.cards.values()].every(({ camera }) => camera.online)) return;
		try {
			for (const item of (await api.health()).cameras) this.cards.get(item.name)?.setHealth(item);
		} catch { /* The card says offline in any case. */ }
	}

	#connection() {
		clearTimeout(this.away);
		if (live.connected) {
			if (this.cut) this.#load();
			if (this.cut) say(this.notice, "");
			this.cut = false;
		} else if (!document.hidden) {
			// Not while another set of cameras is asked for.
			this.away = setTimeout(() => {
				if (live.connected || document.hidden || this.signal.aborted) return;
				this.cut = true;
				say(this.notice, "The connection to Soteira is lost. It is tried again by itself.");
			}, 2500);
		}
	}

	#complain(text) {
		say(this.notice, text);
		clearTimeout(this.quiet);
		this.quiet = setTimeout(() => say(this.notice, ""), 8000);
	}

	#areas() {
		areasShown = this.areas.checked;
		this.list.classList.toggle("no-areas", !areasShown);
	}
}

const overridden = (camera) => JSON.stringify(Object.values(camera.thresholds).map((threshold) => threshold.overridden
	&& threshold.value));

/** The panel of what was set here, or over MQTT, and is not in the file. */
class Changes {
	constructor(count) {
		this.count = count;
		this.body = h("div");
		this.node = h("section.card.changes", { tabindex: -1, "aria-labelledby": "changes" },
			h("h3", { id: "changes" }, "Changes not in your file"), this.body);
		this.timer = 0;
	}

	load() {
		clearTimeout(this.timer);
		this.timer = setTimeout(() => this.#load(), 400);
	}

	async #load() {
		try {
			this.#show(await api.overrides());
		} catch (error) {
			complain(this.body, error);
		}
	}

	#show({ yaml, diff }) {
		this.count(yaml ? yaml.split("\n").filter((line) => /^\s+\S+: \S/.test(line)).length : 0);
		if (!yaml && !diff) {
			show(this.body, h("p.soft", icon("good"), " None: Soteira runs by your file. Drag a mark, and what to write into the file appears here."));
			return;
		}
		show(this.body,
			h("p", "These are in force and last over restarts. To keep them for good, put them into the file:"),
			h("div.command", h("code", "sudo soteirad config apply"), copyButton("sudo soteirad config apply")),
			h("div.columns",
				h("figure", h("figcaption", "Lines to add", copyButton(yaml)), lines("YAML", yaml)),
				diff && h("figure", h("figcaption", "What changes in the file"), lines("Difference",
					diff.split("\n").map(diffLine)))));
	}
}

const diffLine = (line) => h("span", { class: /^(---|\+\+\+|@@)/.test(line)
	? "soft" : { "+": "added", "-": "removed" }[line[0]] }, `${line}\n`);
