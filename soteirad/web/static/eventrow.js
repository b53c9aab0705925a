// How one event, or one near miss, is shown: in the list, and in full.

import { ownAddress } from "./api.js";
import { copyButton, h } from "./dom.js";
import { gauge, latencyBar } from "./gauge.js";
import { icon } from "./icons.js";
import {
  answerStateWords, capital, clock, dayName, eventWords, hundredths, isNumber, kindWords, percent, reasonWords, seenWords, span,
  spoken, triggerWords, valueWords,
} from "./words.js";

const GAUGED = {
  motion_ratio: ["motion_threshold", "Changed share"], scene_distance: ["scene_distance", "Colours"], ssim: ["scene_ssim", "Structure lost"],
};

const ICONS = { left: "leave", source_lost: "empty", answered: "events" };

function thumbnail(path, name) {
  const address = ownAddress(path);
  const none = () => h("span", { class: "thumb none" }, icon(name, 26));
  if (!address) return none();
  const image = h("img", { src: address, alt: "", loading: "lazy", decoding: "async", width: 128, height: 72 });
  const box = h("span", { class: "thumb" }, image);
  image.addEventListener("error", () => box.replaceWith(none())); // Old pictures go before their events.
  return box;
}

const chips = (event) => [
  ...(event.zones ?? []).map((zone) => h("span", { class: "chip" }, zone)),
  isNumber(event.dwell) && h("span", { class: "chip" }, `seen for ${span(event.dwell)}`),
  isNumber(event.confidence) && h("span", { class: "chip g3" }, percent(event.confidence)),
];

const sent = ({ seq, published, topic }) => {
  if (seq === null) return null; // It happened this moment: nobody can say yet.
  if (!published) return h("span", { class: "chip warn" }, "waits for the broker");
  return topic?.endsWith("/late") ? h("span", { class: "chip warn" }, "late") : null;
};

const answerChip = ({ question, state, answer }) => h("span", { class: `chip answer ${state === "answered" ? "" : "soft"}` },
  h("b", {}, `${question}: `), state === "answered" ? spoken(answer) : answerStateWords(state));

/** One event as an item of the list. `open` is called when it is chosen. */
export function eventRow(item, title, open) {
  const { event } = item;
  const why = event.why ?? {};
  const reason = event.event_type === "answered" ? why.because
    : event.event_type === "left" ? reasonWords(why.reason) : why.trigger ? triggerWords(why.trigger) : "";
  return h("li", { "data-id": event.id },
    h("button", { type: "button", class: `row type-${event.event_type}`, onclick: open },
      thumbnail(item.picture, ICONS[event.event_type] ?? "now"),
      h("span", { class: "row-text" },
        h("span", { class: "row-title" }, h("strong", {}, eventWords(event)), h("span", { class: "soft" }, title)),
        h("span", { class: "row-why soft" }, reason),
        h("span", { class: "chips" }, chips(event), sent(item), (item.answers ?? []).map(answerChip))),
      h("span", { class: "row-end" }, h("time", { datetime: event.time }, clock(event.time)), latencyBar(event.latency_ms))));
}

/** One near miss as an item of the list. */
export function nearRow(miss, title) {
  const values = Object.entries(miss.values ?? {}).filter(([, value]) => isNumber(value));
  return h("li", {}, h("div", { class: `row near g${miss.gate}` },
    thumbnail(miss.picture, "empty"),
    h("span", { class: "row-text" },
      h("span", { class: "row-title" }, h("strong", {}, capital(kindWords(miss.kind))), h("span", { class: "soft" }, title)),
      h("span", { class: "row-why" }, miss.text),
      h("span", { class: "chips" }, h("span", { class: `chip g${miss.gate}` }, `gate ${miss.gate}`), miss.label && h("span", { class: "chip" }, miss.label),
        values.map(([name, value]) => h("span", { class: "chip soft" }, `${valueWords(name).toLowerCase()} ${value < 0.1 ? percent(value) : hundredths(value)}`)))),
    h("span", { class: "row-end" }, h("time", { datetime: miss.time }, clock(miss.time)))));
}

function whySection(event, thresholds) {
  const why = event.why ?? {};
  const limit = (setting) => thresholds?.[setting]?.value;
  const gauges = Object.entries(GAUGED).filter(([name]) => isNumber(why[name]))
    .map(([name, [setting, text]]) => gauge(setting, text, why[name], limit(setting)));
  if (isNumber(event.confidence) && event.event_type !== "answered") gauges.push(gauge("min_score", "Score", event.confidence, limit("min_score")));
  const left = event.event_type === "left";
  const rows = [
    why.trigger && ["The detector looked because", triggerWords(why.trigger)],
    why.reason && [left ? "The visit ended because" : "Sure because", reasonWords(why.reason)],
    why.seen && ["The camera is", seenWords(why.seen)],
    why.because && ["The model says", String(why.because)], why.model && ["Model", String(why.model)],
    isNumber(why.motion_blob) && why.motion_blob > 0 && ["Largest connected change", percent(why.motion_blob)],
  ].filter(Boolean);
  if (!gauges.length && !rows.length) return null;
  return h("section", {}, h("h3", {}, "Why"), h("dl", { class: "facts" }, rows.map(fact)), gauges.length > 0 && h("div", { class: "gauges" }, gauges),
    gauges.length > 0 && h("p", { class: "hint" }, "The marks are those of now; they may have been others then."));
}

const fact = ([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, ...[value].flat()));

/** All there is to say of an event. */
export function eventDetail(item, camera, title) {
  const { event } = item;
  const address = ownAddress(item.picture);
  const rows = [
    ["Camera", title], ["When", `${dayName(event.time)}, ${clock(event.time)}`],
    event.confirmed && ["Sure at", clock(event.confirmed)], isNumber(event.media_time) && ["In the file at", span(event.media_time)],
    isNumber(event.dwell) && ["Seen for", span(event.dwell)], event.zones?.length && ["Zones", event.zones.join(", ")],
    isNumber(event.confidence) && ["Confidence", percent(event.confidence)], isNumber(event.track_id) && ["Track", `#${event.track_id}`],
    item.seq !== null && ["MQTT", item.published ? `published${item.topic ? ` on ${item.topic}` : ""}${item.topic?.endsWith("/late") ? " (late)" : ""}` : "not yet published: it waits for the broker"],
  ].filter(Boolean);
  const json = JSON.stringify(event, null, 2);
  return [
    address && h("a", { class: "large", href: address, target: "_blank", rel: "noopener" }, h("img", { src: address, alt: `Snapshot: ${eventWords(event)}, ${title}` })),
    h("dl", { class: "facts" }, rows.map(fact)),
    whySection(event, camera?.thresholds),
    latencyBar(event.latency_ms) && h("section", {}, h("h3", {}, "From the frame to the result"), latencyBar(event.latency_ms, true)),
    item.answers?.length ? h("section", {}, h("h3", {}, "Answers"), h("dl", { class: "facts" }, item.answers.map((answer) =>
      fact([answer.question, [h("strong", {}, answer.state === "answered" ? spoken(answer.answer) : answerStateWords(answer.state)),
        answer.text && h("span", {}, ` ${answer.text}`), h("span", { class: "soft" }, ` ${clock(answer.time)}`)].filter(Boolean)])))) : null,
    h("details", {}, h("summary", {}, "As it is published"), copyButton(() => json), h("pre", { tabindex: 0, "aria-label": "JSON" }, json)),
  ];
}
