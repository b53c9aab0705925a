// The view Now: what each camera's gates see, live.

import { api } from "./api.js";
import { Card } from "./card.js";
import { copyButton, h, say, show } from "./dom.js";
import { icon } from "./icons.js";
import { live } from "./live.js";
import { empty, problem } from "./parts.js";
import { plural } from "./words.js";

const HEALTH_EVERY_MS = 15_000;

export class Now {
  title = "Now";
  cards = new Map();
  inView = new Set();

  constructor() {
    this.list = h("div", { class: "cameras" });
    this.notice = h("p", { class: "notice", role: "status" });
    this.changes = h("button", { type: "button", class: "link", onclick: () => this.#toChanges() });
    this.areas = h("input", { type: "checkbox", checked: stored("areas") !== "off", onchange: () => this.#areas() });
    this.panel = new Changes((count) => this.#count(count));
    this.node = h("section", { class: "view now" },
      h("div", { class: "view-head" }, h("h2", {}, "Now"),
        h("label", { class: "switch" }, this.areas, "Zones and masks"), this.changes),
      this.notice, this.list, this.panel.node);
    this.watcher = new IntersectionObserver((entries) => this.#seen(entries), { rootMargin: "80px 0px" });
    this.#areas();
  }

  async open(signal) {
    this.signal = signal;
    const on = (kind, callback) => live.addEventListener(kind, (event) => callback(event.detail), { signal });
    on("frame", (frame) => this.cards.get(frame.camera)?.setFrame(frame));
    on("camera", (camera) => this.#camera(camera));
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
      if (!cameras.length) show(this.list, empty("now", "No camera yet", "Add one under cameras: in your configuration file, and reload."));
      this.#health();
      this.panel.load();
    } catch (error) {
      if (this.signal.aborted || error.status === 401) return;
      show(this.list, problem(error.message));
      this.retry = setTimeout(() => { show(this.list); this.cards.clear(); this.#load(); }, 5000);
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
    if (overridden(camera)) this.panel.load();
  }

  #seen(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.inView.add(target.dataset.camera);
      else this.inView.delete(target.dataset.camera);
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
      if (this.cut) say(this.notice, "");
      if (this.cut) this.#load();
      this.cut = false;
    } else if (!document.hidden) {
      // Not for the moment in which another set of cameras is asked for.
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
    store("areas", this.areas.checked ? "on" : "off");
    this.list.classList.toggle("no-areas", !this.areas.checked);
  }

  #count(count) {
    say(this.changes, count ? `${plural(count, "change")} not in your file` : "");
  }

  #toChanges() {
    this.panel.node.scrollIntoView({ block: "start" });
    this.panel.node.focus({ preventScroll: true });
  }
}

const overridden = (camera) => JSON.stringify(Object.entries(camera.thresholds).map(([name, { overridden: on, value }]) => on && [name, value]).filter(Boolean));

/** The panel of what was set here, or over MQTT, and is not in the file. */
class Changes {
  constructor(count) {
    this.count = count;
    this.body = h("div");
    this.node = h("section", { class: "card changes", tabindex: -1, "aria-labelledby": "changes" },
      h("h3", { id: "changes" }, "Changes not in your file"), this.body);
    this.timer = 0;
  }

  load() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#load(), 400);
  }

  async #load() {
    let answer;
    try {
      answer = await api.overrides();
    } catch (error) {
      if (error.status !== 401) show(this.body, problem(error.message));
      return;
    }
    const { yaml, diff } = answer;
    this.count(yaml ? yaml.split("\n").filter((line) => /^\s+\S+: \S/.test(line)).length : 0);
    if (!yaml && !diff) {
      show(this.body, h("p", { class: "soft" }, icon("good"), " None: Soteira runs by your file. Drag a mark, and what to write into the file appears here."));
      return;
    }
    show(this.body,
      h("p", {}, "These are in force and last over restarts. To keep them for good, put them into the file:"),
      h("div", { class: "command" }, h("code", {}, "sudo soteirad config apply"), copyButton(() => "sudo soteirad config apply")),
      h("div", { class: "columns" },
        h("figure", {}, h("figcaption", {}, "Lines to add", copyButton(() => yaml)), h("pre", { tabindex: 0, "aria-label": "YAML" }, yaml)),
        diff && h("figure", {}, h("figcaption", {}, "What changes in the file"), h("pre", { class: "diff", tabindex: 0, "aria-label": "Difference" }, diff.split("\n").map(diffLine)))));
  }
}

const diffLine = (line) => h("span", { class: /^(---|\+\+\+|@@)/.test(line) ? "soft" : { "+": "added", "-": "removed" }[line[0]] }, `${line}\n`);

const stored = (key) => { try { return localStorage.getItem(`soteira-${key}`); } catch { return null; } };
const store = (key, value) => { try { localStorage.setItem(`soteira-${key}`, value); } catch { /* A private window. */ } };
