// The view Events: what was reported, newest first, and what nearly was.

import { api } from "./api.js";
import { clipPlayer } from "./clip.js";
import { choice, h, say, show, sync } from "./dom.js";
import { eventDetail, eventRow, nearRow } from "./eventrow.js";
import { icon } from "./icons.js";
import { live } from "./live.js";
import { complain, empty } from "./parts.js";
import { capital, dayName, eventWords, TYPES } from "./words.js";

const PAGE = 50;
const MOST_ROWS = 400;
const MOST_NEAR = 200;
const FOLLOW_MS = [1500, 6000];
const LISTS = ["camera", "label", "type", "zone"];

export class Events {
	items = new Map(); // By the event's id: what just happened has no place in the journal yet.
	near = [];
	cameras = new Map();
	next = null;
	tab = "events";
	rows = new Map(); // What is drawn: id -> {item, row} ...
	sections = new Map(); // ... and the days.

	constructor() {
		this.list = h("div", h("p.soft", "Asking ..."));
		this.note = h("p.unseen", { role: "status" });
		this.more = h("button.more", { onclick: () => this.#older(), hidden: true }, "Older events");
		this.node = h("section.view",
			h("div.view-head", h("h2", "Events"),
				choice("What is shown", [["events", "Events"], ["near", "Near misses"]], "events", (tab) => this.#show(tab))),
			this.#filters(), this.note, this.list, this.more, this.#dialog());
	}

	async open(signal) {
		this.signal = signal;
		const on = (kind, callback) => live.addEventListener(kind, ({ detail }) => callback(detail), { signal });
		on("event", (item) => this.#came(item));
		on("near_miss", (miss) => {
			this.near = [miss, ...this.near].slice(0, MOST_NEAR);
			if (this.tab === "near") this.#drawNear();
		});
		on("camera", (camera) => this.cameras.set(camera.name, camera));
		on("connection", () => {
			if (live.connected && this.was) this.#load(); // While it was lost there may have been events.
			this.was ||= live.connected;
		});
		live.want([]);
		try {
			for (const camera of await api.cameras()) this.cameras.set(camera.name, camera);
			this.#options();
			await this.#load();
		} catch (error) {
			this.was = true;
			complain(this.list, error, signal);
		}
	}

	close() {
		this.asking?.abort();
		this.dialog.close();
	}

	#filters() {
		const field = (name, input) => h("label", h("span", name), input);
		const onchange = () => this.#load();
		this.fields = Object.fromEntries(LISTS.map((name) => [name, h("select", { onchange }, h("option", { value: "" },
			`Any ${name}`))]));
		for (const name of ["from", "to"]) this.fields[name] = h("input", { type: "date", onchange });
		this.summary = h("summary", "Filters");
		return h("details.filters", { open: innerWidth >= 760 }, this.summary, h("div.fields",
			Object.entries(this.fields).map(([name, input]) => field(capital(name), input)),
			h("button.small", { onclick: () => { for (const input of this.#inputs()) input.value = ""; this.#load(); } },
				"Clear")));
	}

	#inputs() { return Object.values(this.fields); }

	#options() {
		const cameras = [...this.cameras.values()];
		const all = (pick) => [...new Set(cameras.flatMap(pick))].sort().map((value) => [value, value]);
		const values = { camera: cameras.map(({ name, title }) => [name, title]), label: all(({ labels }) => labels),
			type: Object.entries(TYPES),
			zone: all(({ zones }) => zones.map(({ name }) => name)) };
		for (const name of LISTS) this.fields[name].append(...values[name].map(([value, text]) => h("option", { value },
			text)));
	}

	#query(before) {
		const query = new URLSearchParams({ limit: PAGE });
		for (const name of LISTS) if (this.fields[name].value) query.append(name, this.fields[name].value);
		const [since, until] = this.#range();
		if (since) query.set("since", since.toISOString());
		if (until) query.set("until", until.toISOString());
		if (before) query.set("before", before);
		return query;
	}

	/** The chosen days, as moments of this device's time zone; the last day counts in full. */
	#range() {
		const [since, until] = ["from", "to"].map((name) => (this.fields[name].value
			? new Date(`${this.fields[name].value}T00:00:00`) : null));
		until?.setDate(until.getDate() + 1);
		return [since, until];
	}

	#matches({ event }) {
		const { camera, label, type, zone } = this.fields;
		const [since, until] = this.#range();
		const time = new Date(event.time);
		return [[camera, event.camera], [label, event.label], [type, event.event_type]].every(([{ value }, is]) => !value
			|| value === is)
			&& (!zone.value || event.zones?.includes(zone.value)) && (!since || time >= since) && (!until || time < until);
	}

	async #load() {
		const count = this.#inputs().filter(({ value }) => value).length;
		say(this.summary, count ? `Filters (${count})` : "Filters");
		this.asking?.abort();
		const { signal } = this.asking = new AbortController();
		try {
			if (this.tab === "near") {
				this.near = (await api.nearMisses()).slice(0, MOST_NEAR);
				if (!signal.aborted) this.#drawNear();
				return;
			}
			const { events, next } = await api.events(this.#query(), signal);
			const known = this.items;
			this.items = new Map();
			this.#take(events, known);
			this.next = next;
			this.#draw();
		} catch (error) {
			complain(this.list, error, signal);
		}
	}

	async #older() {
		this.more.disabled = true;
		try {
			const { events, next } = await api.events(this.#query(this.next), this.asking.signal);
			this.#take(events);
			this.full = this.items.size >= MOST_ROWS && next !== null;
			this.next = this.full ? null : next;
			this.#draw();
		} catch (error) {
			complain(this.list, error, this.signal);
		}
		this.more.disabled = false;
	}

	#came(item) {
		if (item.event.event_type === "recorded") return this.#recorded(item);
		if (!this.#matches(item)) return;
		const { id } = item.event;
		const known = this.items.get(id);
		this.items.set(id, { ...item, seq: item.seq ?? known?.seq ?? null });
		for (const { seq, event } of this.#sorted().slice(MOST_ROWS)) {
			this.items.delete(event.id);
			this.next = seq + 1;
		}
		// Its picture, its place in the journal and answers follow.
		for (const wait of FOLLOW_MS) setTimeout(() => this.#refresh(), wait);
		if (this.tab !== "events") return;
		this.#draw(known ? null : id);
		if (!known) say(this.note, `New: ${eventWords(item.event)}, ${this.#title(item.event.camera)}`);
	}

	/** A clip is complete: it belongs to the event that it is about, and to a `left` that names the same one. */
	#recorded({ event, clip }) {
		for (const [id, item] of this.items) {
			if (id !== event.about && (!clip || item.event.clip !== event.clip)) continue;
			this.items.set(id, { ...item, clip });
			if (this.dialog.open && id === this.shown) this.#fill(this.items.get(id));
		}
		if (this.tab === "events") this.#draw();
	}

	/** Put what is new of the newest page into the list. */
	#refresh() {
		clearTimeout(this.soon);
		this.soon = setTimeout(async () => {
			if (this.signal.aborted || document.hidden) return;
			const query = String(this.#query());
			try {
				const { events } = await api.events(query, this.signal);
				if (query !== String(this.#query())) return;
				const before = this.items.get(this.shown);
				this.#take(events);
				if (this.tab === "events") this.#draw();
				const after = this.items.get(this.shown);
				if (this.dialog.open && after !== before) this.#fill(after);
			} catch { /* The next event brings it. */ }
		}, 200);
	}

	/** Keep items; one that says the same as before stays the same object, and so its row. */
	#take(items, known = this.items) {
		for (const item of items) {
			const old = known.get(item.event.id);
			this.items.set(item.event.id, JSON.stringify(old) === JSON.stringify(item) ? old : item);
		}
	}

	#sorted() {
		const at = ({ seq }) => seq ?? Infinity;
		return [...this.items.values()].sort((a, b) => (at(a) === at(b)
			? b.event.time.localeCompare(a.event.time) : at(b) - at(a)));
	}

	#draw(fresh = null) {
		const items = this.#sorted();
		this.more.hidden = this.next === null;
		if (!items.length) {
			show(this.list, this.#inputs().some(({ value }) => value) ? empty("events", "Nothing fits these filters",
				"Take one away, or choose other days.")
				: empty("events", "No events yet", "When somebody comes, or goes, it appears here by itself. The view Now shows what the gates see meanwhile."));
			return;
		}
		this.#days(items, ({ event: { id, time } }) => [id, time], (item) => {
			const row = eventRow(item, this.#title(item.event.camera), (play) => this.#open(item.event.id, play));
			if (item.event.id === fresh) row.classList.add("fresh");
			return row;
		});
		if (this.full) this.list.append(h("p.soft", `These are the newest ${MOST_ROWS}. Choose days to see older ones.`));
	}

	#drawNear() {
		const { camera, label } = this.fields;
		const fits = this.near.filter((miss) => (!camera.value || miss.camera === camera.value) && (!label.value
			|| miss.label === label.value));
		if (fits.length) this.#days(fits, (miss) => [miss, miss.time], (miss) => nearRow(miss, this.#title(miss.camera)));
		else show(this.list, empty("health", "No near misses",
			"What a gate stops just under its mark appears here: so you see which mark to move."));
	}

	/** Put items under the headings of their days. Rows of items that did not change are kept. */
	#days(items, key, make) {
		const rows = new Map();
		const groups = new Map();
		for (const item of items) {
			const [id, time] = key(item);
			const old = this.rows.get(id);
			rows.set(id, old?.item === item ? old : { item, row: make(item) });
			const name = dayName(time);
			groups.set(name, [...groups.get(name) ?? [], rows.get(id).row]);
		}
		this.rows = rows;
		sync(this.list, [...groups].map(([name, nodes]) => {
			const section = this.sections.get(name) ?? h("section", h("h3.day", name), h("ol"));
			this.sections.set(name, section);
			sync(section.lastElementChild, nodes);
			return section;
		}));
	}

	#title(name) { return this.cameras.get(name)?.title ?? name; }

	#show(tab) {
		this.tab = tab;
		this.more.hidden = true;
		for (const name of ["type", "zone", "from", "to"]) this.fields[name].closest("label").hidden = tab === "near";
		show(this.list);
		this.#load();
	}

	#dialog() {
		this.detailTitle = h("h2", { id: "detail-title" });
		this.clip = h("div.clip-box");
		this.detail = h("div.detail");
		const dialog = this.dialog = h("dialog", {
			"aria-labelledby": "detail-title", onclick: ({ target }) => { if (target === dialog) dialog.close(); },
			onclose: () => {
				show(this.detail);
				show(this.clip);
				this.rows.get(this.shown)?.row.querySelector("button").focus();
			},
		}, h("div.dialog-head", this.detailTitle, h("button.quiet", { "aria-label": "Close", onclick: () => dialog.close() },
			icon("close"))), this.clip, this.detail);
		return dialog;
	}

	#open(id, play) {
		this.clipOf = "";
		this.#fill(this.items.get(id), play);
		this.dialog.showModal();
		this.dialog.scrollTop = 0;
	}

	#fill(item, play = false) {
		this.shown = item.event.id;
		say(this.detailTitle, eventWords(item.event));
		// What plays goes on while the rest is filled anew.
		if (this.clipOf !== JSON.stringify(item.clip)) show(this.clip, item.clip && clipPlayer(item, play));
		this.clipOf = JSON.stringify(item.clip);
		show(this.detail, eventDetail(item, this.cameras.get(item.event.camera), this.#title(item.event.camera)));
	}
}
