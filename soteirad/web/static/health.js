// The view Health: problems first, in plain words; then the figures.

import { api } from "./api.js";
import { h, show } from "./dom.js";
import { icon } from "./icons.js";
import { figure, problem } from "./parts.js";
import { bytes, hundredths, isNumber, ms, plural, span, stages, stopped, stageWords, triggerWords, whole } from "./words.js";

const EVERY_MS = 5000;
const OLD_S = 90; // Diagnostics come every 30 s.
const LITTLE_DISK = 0.05;
const MANY_STARTS = 3;

/** All problems there are, worst first: [kind, text, what to do]. Pure. */
export function problems(health) {
  const found = [];
  const add = (kind, text, todo = "") => found.push([kind, text, todo]);
  const { mqtt, storage, llm } = health;
  if (health.ready) add("bad", `Soteira is not ready: ${health.ready}.`);
  if (storage.problem) add("bad", storage.problem, "Events are still published as long as the broker is there.");
  else if (storage.free_bytes !== null && storage.total_bytes && storage.free_bytes < storage.total_bytes * LITTLE_DISK) {
    add("warn", `The disk is nearly full: ${bytes(storage.free_bytes)} are free at ${storage.path}.`, "Lower storage.max_size or retain_days, or make room.");
  }
  if (!mqtt.connected) {
    add("bad", "There is no connection to the MQTT broker.", mqtt.waiting ? `${plural(mqtt.waiting, "event")} wait on the disk and are sent later.` : "Events wait on the disk.");
  } else if (mqtt.waiting > 20) add("warn", `${plural(mqtt.waiting, "event")} wait for the broker.`);
  if (mqtt.dropped) add("warn", `${plural(mqtt.dropped, "event")} were given up: they had waited too long for the broker.`);
  for (const camera of health.cameras) cameraProblems(camera, add);
  if (llm?.state === "failing") add("warn", "No vision model answers.", "“soteirad doctor --llm” says why.");
  if (llm?.state === "spent") add("warn", "The budget for questions is spent for now.", "llm.budget in the file sets it.");
  return found.sort(([a], [b]) => (a === b ? 0 : a === "bad" ? -1 : 1));
}

function cameraProblems({ name, online, reason, starts, age_s: age, diagnostics: facts }, add) {
  if (!online) {
    add("bad", stopped(`${name} is offline${reason ? `: ${reason}` : ""}`), isNumber(age) ? `Last heard of ${span(age)} ago.` : "");
    return;
  }
  if (isNumber(age) && age > OLD_S) add("warn", `${name} has said nothing of itself for ${span(age)}.`);
  if (starts > MANY_STARTS) add("warn", `${name}: its process was started ${starts} times.`, "The log says why it ended.");
  const decoded = facts.decoded ?? 0;
  if (decoded && facts.corrupt > decoded * 0.05) {
    add("warn", `${name}: ${Math.round((facts.corrupt / decoded) * 100)} % of its pictures arrive damaged.`, "Set transport to tcp, or see to cable and wireless.");
  }
  if (facts.late > (facts.analysed ?? 0) * 0.1) add("warn", `${name}: ${whole(facts.late)} frames came too late to be analysed.`, "The network or the machine is too slow for this stream.");
  if (facts.looks_lost > 0) add("warn", `${name}: ${plural(facts.looks_lost, "look")} got no answer from a detector.`);
  if (facts.online && facts.fps === 0) add("warn", `${name}: no frame was analysed in the last half minute.`);
}

export class Health {
  constructor() {
    this.body = h("div", { class: "health" }, h("p", { class: "soft" }, "Asking ..."));
    this.node = h("section", { class: "view" }, h("div", { class: "view-head" }, h("h2", {}, "Health")), this.body);
    this.parts = null;
    this.opened = new Set();
  }

  open(signal) {
    this.signal = signal;
    this.#load();
    const timer = setInterval(() => { if (!document.hidden) this.#load(); }, EVERY_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.#load(); }, { signal });
  }

  close() {}

  async #load() {
    let answers;
    try {
      answers = await Promise.all([api.health(), api.cameras()]);
    } catch (error) {
      if (!this.signal.aborted && error.status !== 401) show(this.body, problem(error.message));
      this.parts = null;
      return;
    }
    if (this.signal.aborted) return;
    this.#fill(answers[0], Object.fromEntries(answers[1].map(({ name, title, enabled }) => [name, { title, enabled }])));
  }

  #fill(health, known) {
    const titled = { ...health, cameras: health.cameras.filter(({ name }) => known[name]?.enabled !== false)
      .map((camera) => ({ ...camera, name: known[camera.name]?.title ?? camera.name })) };
    if (!this.parts) {
      this.parts = { problems: h("div", { role: "status" }), box: h("div", { class: "tiles" }), cameras: h("div", { class: "health-cameras" }) };
      show(this.body, this.parts.problems, this.parts.box, this.parts.cameras);
    }
    const found = problems(titled);
    const key = JSON.stringify(found);
    if (key !== this.key) {
      show(this.parts.problems, found.length
        ? h("ul", { class: "problems" }, found.map(([kind, text, todo]) => h("li", { class: kind }, icon("bad"), h("div", {}, h("strong", {}, text), todo && h("p", {}, todo)))))
        : h("p", { class: "all-well" }, icon("good", 22), h("strong", {}, "All is well."), h("span", {}, ` ${plural(titled.cameras.length, "camera")}, ${titled.cameras.reduce((sum, { diagnostics: { fps } }) => sum + (fps ?? 0), 0).toFixed(0)} frames a second.`)));
      this.key = key;
    }
    show(this.parts.box, tiles(health));
    show(this.parts.cameras, health.cameras.map((camera) => this.#camera(camera, known[camera.name] ?? { title: camera.name })));
  }

  #camera(camera, { title, enabled }) {
    const { name, diagnostics: facts, online, reason } = camera;
    const details = h("details", { ontoggle: () => (details.open ? this.opened.add(name) : this.opened.delete(name)) },
      h("summary", {}, "All counters"), counters(camera));
    details.open = this.opened.has(name);
    const { detector } = facts;
    return h("article", { class: "card" },
      h("header", {}, h("span", { class: `lamp${online ? " on" : ""}` }), h("h3", {}, title),
        h("span", { class: "soft" }, enabled === false ? "switched off" : online ? "online" : `offline: ${reason}`),
        h("span", { class: "soft end" }, isNumber(camera.age_s) ? `heard of ${span(camera.age_s)} ago` : "nothing heard yet")),
      isNumber(facts.fps) && h("dl", { class: "figures" },
        figure("frames/s", facts.fps.toFixed(1)),
        figure("latency p50", ms(facts.latency_ms?.p50)), figure("latency p95", ms(facts.latency_ms?.p95)),
        figure("memory", isNumber(facts.memory_mb) ? `${whole(facts.memory_mb)} MB` : "–"),
        figure("looks", whole(facts.detector_runs)), figure("events", whole(facts.events)),
        figure("late", whole(facts.late)), figure("damaged", whole(facts.corrupt)),
        figure("dropped", whole(facts.dropped)), figure("starts", whole(camera.starts))),
      funnel(facts), detector && detectorText(detector), details);
  }
}

const tiles = ({ version, uptime_s: uptime, hub, mqtt, storage, llm }) => [
  tile("Daemon", `up for ${span(uptime)}`, [["version", version], ["memory", `${whole(hub.memory_mb)} MB`]]),
  tile("MQTT", mqtt.connected ? "connected" : "not connected", [["events waiting", whole(mqtt.waiting)], ["given up", whole(mqtt.dropped)]], mqtt.connected ? "" : "bad"),
  tile("Disk", storage.free_bytes === null ? "unknown" : `${bytes(storage.free_bytes)} free`, [["of", bytes(storage.total_bytes)], ["at", storage.path]], storage.problem ? "bad" : ""),
  llm && tile("Questions", { ok: "answering", spent: "budget spent", failing: "no answers" }[llm.state] ?? String(llm.state), [
    ...Object.entries(llm.left ?? {}).filter(([, left]) => left !== null).map(([limit, left]) => [`left ${limit.replaceAll("_", " ")}`, whole(left)]),
    ["answered", whole(llm.answered)], ["waiting", whole(llm.waiting)],
    ...(llm.failed ? [["failed", whole(llm.failed)]] : []),
  ], llm.state === "ok" ? "" : "warn"),
];

const tile = (title, state, rows, kind = "") =>
  h("section", { class: `tile ${kind}` }, h("h3", {}, title), h("p", { class: "tile-state" }, state),
    h("dl", {}, rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, String(value))))));

/** How few frames come how far: the whole idea of the three gates in one drawing. */
function funnel(facts) {
  const rows = [["analysed", facts.analysed, ""], ["gate 1 open", facts.motion, "g1"], ["gate 2 open", facts.scene, "g2"], ["detector looked", facts.detector_runs, "g3"]];
  if (!facts.analysed) return null;
  return h("div", { class: "funnel" }, rows.filter(([, count]) => isNumber(count)).map(([name, count, kind]) => {
    const bar = h("i", { class: kind });
    bar.style.width = `${Math.max(0.4, Math.min(100, (count / facts.analysed) * 100))}%`;
    return h("div", {}, h("span", {}, name), h("span", { class: "bar" }, bar), h("span", { class: "count" }, whole(count)));
  }));
}

function detectorText(detector) {
  const engine = [detector.backend, detector.precision, detector.device && detector.device !== "cpu" ? `on ${detector.device}` : ""].filter(Boolean).join(" ");
  return h("div", { class: "detector" },
    h("p", {}, h("b", {}, String(detector.model ?? "no model")), engine && ` with ${engine}`, detector.threads > 1 && `, ${detector.threads} threads`,
      isNumber(detector.trial_ms) && `, ${ms(detector.trial_ms)} for a picture when it was chosen`, "."),
    detector.golden ? h("p", { class: "soft" }, icon("good", 16), ` Golden check passed: ${detector.golden}.`)
      : h("p", { class: "soft" }, "No golden check: its card has no golden answers."),
    detector.rejected?.length ? h("details", {}, h("summary", {}, `Why not ${plural(detector.rejected.length, "other engine")}`), h("ul", {}, detector.rejected.map((text) => h("li", {}, String(text))))) : null);
}

function counters({ diagnostics: facts }) {
  const rows = Object.entries(facts).filter(([, value]) => isNumber(value)).map(([name, value]) =>
    [name.replaceAll("_", " "), Number.isInteger(value) ? whole(value) : hundredths(value)]);
  const looks = Object.entries(facts.looks ?? {}).sort(([, a], [, b]) => b - a);
  return [
    h("dl", { class: "counters" }, rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    looks.length > 0 && h("h4", {}, "Looks by reason"),
    h("dl", { class: "counters" }, looks.map(([why, count]) => h("div", {}, h("dt", {}, triggerWords(why)), h("dd", {}, whole(count))))),
    stages(facts.stage_ms).length > 0 && h("h4", {}, "Milliseconds by stage"),
    h("dl", { class: "counters" }, stages(facts.stage_ms).map(([stage, value]) => h("div", {}, h("dt", {}, stageWords(stage)), h("dd", {}, ms(value))))),
  ];
}
