// The view Events: what was reported, newest first, and what nearly was.

import { api } from "./api.js";
import { choice, h, say, show, sync } from "./dom.js";
import { eventDetail, eventRow, nearRow } from "./eventrow.js";
import { icon } from "./icons.js";
import { live } from "./live.js";
import { empty, problem } from "./parts.js";
import { dayName, eventWords, TYPES } from "./words.js";

const PAGE = 50;
const MOST_ROWS = 400;
const MOST_NEAR = 200;
const FOLLOW_MS = [1500, 6000];
const FILTERS = ["camera", "label", "type", "zone"];

export class Events {
  constructor() {
    this.items = new Map(); // By the event's id: what just happened has no place in the journal yet.
    this.near = [];
    this.rows = new Map(); // What is drawn: id -> {item, row} ...
    this.sections = new Map(); // ... and the days.
    this.cameras = new Map();
    this.next = null;
    this.tab = "events";
    this.list = h("div", { class: "event-list" });
    this.note = h("p", { class: "unseen", role: "status" });
    this.more = h("button", { type: "button", class: "more", onclick: () => this.#more(), hidden: true }, "Older events");
    this.filters = this.#filters();
    this.dialog = this.#dialog();
    this.node = h("section", { class: "view events" },
      h("div", { class: "view-head" }, h("h2", {}, "Events"),
        choice("What is shown", [["events", "Events"], ["near", "Near misses"]], "events", (tab) => this.#show(tab))),
      this.filters, this.note, this.list, this.more, this.dialog);
  }

  async open(signal) {
    this.signal = signal;
    const on = (kind, callback) => live.addEventListener(kind, (message) => callback(message.detail), { signal });
    on("event", (item) => this.#came(item));
    on("near_miss", (miss) => this.#nearCame(miss));
    on("camera", (camera) => this.cameras.set(camera.name, camera));
    live.addEventListener("connection", () => { if (live.connected) this.#catchUp(); }, { signal });
    live.want("all");
    show(this.list, h("p", { class: "soft" }, "Asking ..."));
    try {
      for (const camera of await api.cameras()) this.cameras.set(camera.name, camera);
    } catch (error) {
      if (!signal.aborted && error.status !== 401) show(this.list, problem(error.message));
      return;
    }
    this.#options();
    await this.#load();
  }

  close() {
    this.asking?.abort();
    if (this.dialog.open) this.dialog.close();
  }

  #filters() {
    const change = () => { this.#load(); };
    this.selects = Object.fromEntries(FILTERS.map((name) => [name, h("select", { onchange: change }, h("option", { value: "" }, `Any ${name}`))]));
    this.since = h("input", { type: "date", onchange: change });
    this.until = h("input", { type: "date", onchange: change });
    for (const [type, words] of Object.entries(TYPES)) this.selects.type.append(h("option", { value: type }, words));
    const field = (name, input) => h("label", {}, h("span", {}, name), input);
    this.summary = h("summary", {}, "Filters");
    const fields = h("div", { class: "fields" }, FILTERS.map((name) => field({ camera: "Camera", label: "Label", type: "Type", zone: "Zone" }[name], this.selects[name])),
      field("From", this.since), field("To", this.until),
      h("button", { type: "button", class: "small", onclick: () => this.#clear() }, "Clear"));
    return h("details", { class: "filters", open: matchMedia("(min-width: 760px)").matches }, this.summary, fields);
  }

  #options() {
    const add = (name, values) => {
      for (const [value, text] of values) this.selects[name].append(h("option", { value }, text));
    };
    const cameras = [...this.cameras.values()];
    const all = (pick) => [...new Set(cameras.flatMap(pick))].sort().map((value) => [value, value]);
    add("camera", cameras.map(({ name, title }) => [name, title]));
    add("label", all(({ labels }) => labels));
    add("zone", all(({ zones }) => zones.map(({ name }) => name)));
  }

  #clear() {
    for (const input of [...Object.values(this.selects), this.since, this.until]) input.value = "";
    this.#load();
  }

  #query(before) {
    const query = new URLSearchParams({ limit: String(PAGE) });
    for (const [name, select] of Object.entries(this.selects)) if (select.value) query.append(name, select.value);
    const [since, until] = this.#range();
    if (since) query.set("since", since.toISOString());
    if (until) query.set("until", until.toISOString());
    if (before) query.set("before", String(before));
    return query;
  }

  /** The chosen days, as moments of this device's time zone; the last day counts in full. */
  #range() {
    const start = (text) => (text ? new Date(`${text}T00:00:00`) : null);
    const until = start(this.until.value);
    until?.setDate(until.getDate() + 1);
    return [start(this.since.value), until];
  }

  #matches({ event }) {
    const { camera, label, type, zone } = this.selects;
    const [since, until] = this.#range();
    const time = new Date(event.time);
    return (!camera.value || event.camera === camera.value) && (!label.value || event.label === label.value)
      && (!type.value || event.event_type === type.value) && (!zone.value || (event.zones ?? []).includes(zone.value))
      && (!since || time >= since) && (!until || time < until);
  }

  async #load() {
    this.#countFilters();
    if (this.tab === "near") return this.#loadNear();
    this.asking?.abort();
    const asking = this.asking = new AbortController();
    try {
      const { events, next } = await api.events(this.#query(), asking.signal);
      if (this.signal.aborted || asking.signal.aborted) return undefined;
      const known = this.items;
      this.items = new Map();
      this.#take(events, known);
      this.next = next;
      this.#draw();
    } catch (error) {
      if (error.name !== "AbortError" && !this.signal.aborted && error.status !== 401) show(this.list, problem(error.message));
    }
    return undefined;
  }

  async #more() {
    this.more.disabled = true;
    try {
      const { events, next } = await api.events(this.#query(this.next), this.asking?.signal);
      this.#take(events);
      this.next = this.items.size >= MOST_ROWS ? null : next;
      this.full = this.items.size >= MOST_ROWS && next;
      this.#draw();
    } catch (error) {
      if (error.name !== "AbortError" && error.status !== 401) this.more.after(problem(error.message));
    }
    this.more.disabled = false;
  }

  /** After a lost connection there may be events that nobody told. */
  #catchUp() {
    if (this.late) this.#load();
    this.late = true;
  }

  #came(item) {
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

  /** Ask for the newest page again, and put what is new into the list. */
  #refresh() {
    clearTimeout(this.soon);
    this.soon = setTimeout(async () => {
      if (this.signal.aborted || document.hidden) return;
      const query = this.#query();
      try {
        const { events } = await api.events(query, this.signal);
        if (this.signal.aborted || String(query) !== String(this.#query())) return;
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
    return [...this.items.values()].sort((a, b) => (at(a) === at(b) ? b.event.time.localeCompare(a.event.time) : at(b) - at(a)));
  }

  #draw(fresh = null) {
    const items = this.#sorted();
    this.more.hidden = this.next === null;
    if (!items.length) {
      show(this.list, this.#filtered() ? empty("events", "Nothing fits these filters", "Take one away, or choose other days.")
        : empty("events", "No events yet", "When somebody comes, or goes, it appears here by itself. The view Now shows what the gates see meanwhile."));
      return;
    }
    this.#days(items, ({ event: { id, time } }) => [id, time], (item) => {
      const row = eventRow(item, this.#title(item.event.camera), () => this.#open(item.event.id));
      if (item.event.id === fresh) row.classList.add("fresh");
      return row;
    });
    if (this.full) this.list.append(h("p", { class: "soft" }, `These are the newest ${MOST_ROWS}. Choose days to see older ones.`));
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
    const sections = [...groups].map(([name, nodes]) => {
      const section = this.sections.get(name) ?? h("section", {}, h("h3", { class: "day" }, name), h("ol"));
      this.sections.set(name, section);
      sync(section.lastElementChild, nodes);
      return section;
    });
    sync(this.list, sections);
  }

  #title(name) {
    return this.cameras.get(name)?.title ?? name;
  }

  #filtered() {
    return [...Object.values(this.selects), this.since, this.until].some((input) => input.value);
  }

  #countFilters() {
    const count = [...Object.values(this.selects), this.since, this.until].filter((input) => input.value).length;
    say(this.summary, count ? `Filters (${count})` : "Filters");
  }

  // Near misses

  #show(tab) {
    this.tab = tab;
    this.more.hidden = true;
    for (const input of [this.selects.type, this.selects.zone, this.since, this.until]) input.closest("label").hidden = tab === "near";
    show(this.list, h("p", { class: "soft" }, "Asking ..."));
    this.#load();
  }

  async #loadNear() {
    try {
      this.near = (await api.nearMisses()).slice(0, MOST_NEAR);
      if (this.signal.aborted || this.tab !== "near") return;
      this.#drawNear();
    } catch (error) {
      if (!this.signal.aborted && error.status !== 401) show(this.list, problem(error.message));
    }
  }

  #nearCame(miss) {
    this.near = [miss, ...this.near].slice(0, MOST_NEAR);
    if (this.tab === "near") this.#drawNear();
  }

  #drawNear() {
    const { camera, label } = this.selects;
    const fits = this.near.filter((miss) => (!camera.value || miss.camera === camera.value) && (!label.value || miss.label === label.value));
    if (!fits.length) {
      show(this.list, empty("health", "No near misses", "What a gate stops just under its mark appears here: so you see which mark to move."));
      return;
    }
    this.#days(fits, (miss) => [miss, miss.time], (miss) => nearRow(miss, this.#title(miss.camera)));
  }

  // One event in full

  #dialog() {
    this.detailTitle = h("h2", { id: "detail-title" });
    this.detail = h("div", { class: "detail" });
    const dialog = h("dialog", { "aria-labelledby": "detail-title", onclick: (event) => { if (event.target === dialog) dialog.close(); }, onkeydown: (event) => this.#walk(event) },
      h("div", { class: "dialog-head" }, this.detailTitle,
        h("button", { type: "button", class: "quiet", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"))),
      this.detail);
    dialog.addEventListener("close", () => {
      show(this.detail);
      [...this.list.querySelectorAll("li[data-id]")].find((node) => node.dataset.id === this.shown)?.querySelector("button").focus();
    });
    return dialog;
  }

  #open(id) {
    this.#fill(this.items.get(id));
    this.dialog.showModal();
    this.dialog.scrollTop = 0;
  }

  #fill(item) {
    this.shown = item.event.id;
    say(this.detailTitle, eventWords(item.event));
    show(this.detail, ...eventDetail(item, this.cameras.get(item.event.camera), this.#title(item.event.camera)));
  }

  /** Left and right walk to the newer and the older event. */
  #walk(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const items = this.#sorted();
    const item = items[items.findIndex(({ event: { id } }) => id === this.shown) + step];
    if (!item) return;
    event.preventDefault();
    this.#fill(item);
  }
}
