// A live picture with what the gates see in it: boxes of tracks, detections that did not count, zones and masks.

import { frameAddress, picture } from "./api.js";
import { h, place, s, say, show } from "./dom.js";
import { isNumber, percent, span, whyNotWords } from "./words.js";

const PATIENCE_MS = 5000;
const MOST_BOXES = 60;

/** Points of a polygon x1, y1, x2, ... for SVG, in a square of 1000. */
export const points = (flat) => {
  const pairs = [];
  for (let i = 0; i + 1 < flat.length; i += 2) pairs.push(`${(flat[i] * 1000).toFixed(1)},${(flat[i + 1] * 1000).toFixed(1)}`);
  return pairs.join(" ");
};

/** Zones and masks as an SVG that is stretched over the picture, and the zones' names. */
export const drawAreas = (camera) => {
  const shape = (kind, flat) => s("polygon", { class: kind, points: points(flat), "vector-effect": "non-scaling-stroke" });
  const names = camera.zones.map((zone) => {
    const xs = zone.coordinates.filter((_, i) => i % 2 === 0);
    const ys = zone.coordinates.filter((_, i) => i % 2 === 1);
    const name = h("span", { class: "zone-name" }, zone.name);
    name.style.left = `${(Math.min(...xs) + Math.max(...xs)) * 50}%`;
    name.style.top = `${Math.max(...ys) * 100}%`;
    return name;
  });
  return [s("svg", { viewBox: "0 0 1000 1000", preserveAspectRatio: "none", "aria-hidden": "true" },
    camera.motion_mask.map((flat) => shape("motion-mask", flat)),
    camera.privacy_mask.map((flat) => shape("privacy-mask", flat)),
    camera.zones.map((zone) => shape("zone", zone.coordinates))), names];
};

export class Picture {
  constructor(camera) {
    this.name = camera.name;
    this.busy = null; // What fetches now; one picture at a time, however slow the line is.
    this.canvas = h("canvas", { width: 640, height: 360, "aria-hidden": "true" });
    this.areas = h("div", { class: "layer areas" });
    this.boxes = h("div", { class: "layer boxes" });
    this.cover = h("div", { class: "cover" }, h("p", {}, "Waiting for a picture ..."));
    this.node = h("div", { class: "picture", role: "img", "aria-label": camera.title },
      this.canvas, this.areas, this.boxes, this.cover);
    this.byKey = new Map();
  }

  setCamera(camera) {
    this.title = camera.title;
    show(this.areas, ...drawAreas(camera));
  }

  /** Hide the picture behind a text, or show it again with null. */
  setCover(text, detail = "") {
    this.cover.hidden = text === null;
    if (text === null) return;
    show(this.cover, h("p", {}, text), detail && h("p", { class: "soft" }, detail));
    this.byKey.clear();
    show(this.boxes);
  }

  async setFrame(frame) {
    if (this.busy) return;
    const stop = this.busy = new AbortController();
    const timer = setTimeout(() => stop.abort(), PATIENCE_MS);
    try {
      const blob = await picture(frameAddress(frame.camera, frame.seq), stop.signal);
      if (blob) {
        const bitmap = await createImageBitmap(blob);
        this.#paint(bitmap);
        bitmap.close();
      }
      if (this.busy === stop) {
        this.setCover(null);
        this.#boxes(frame);
      }
    } catch { /* The next frame comes in half a second. */ } finally {
      clearTimeout(timer);
      if (this.busy === stop) this.busy = null;
    }
  }

  close() {
    this.busy?.abort();
    this.busy = null;
  }

  #paint(bitmap) {
    const { canvas } = this;
    if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
      canvas.width = bitmap.width;
      canvas.height = bitmap.height;
      // Shares of the frame lie right on any shape of picture, and the page moves only at the first one.
      this.node.style.aspectRatio = `${bitmap.width} / ${bitmap.height}`;
    }
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
  }

  #boxes(frame) {
    const seen = new Set();
    for (const track of frame.tracks.slice(0, MOST_BOXES)) {
      const text = `${track.label} ${percent(track.score)}`;
      const more = [`#${track.id}`, span(track.seconds), track.still && "still"].filter(Boolean).join(" · ");
      this.#box(`t${track.id}`, `track${track.still ? " still" : ""}`, track.box, text, more, seen);
    }
    frame.detections.filter((found) => !found.counts).slice(0, MOST_BOXES).forEach((found, index) => {
      const text = `${found.label} ${percent(found.score)}`;
      this.#box(`d${index}`, "nearly", found.box, text, whyNotWords(found.why), seen);
    });
    for (const [key, node] of this.byKey) {
      if (seen.has(key)) continue;
      node.remove();
      this.byKey.delete(key);
    }
    const who = frame.tracks.map((track) => [track.label, ...track.zones.map((zone) => `at ${zone}`),
      isNumber(track.seconds) && `for ${span(track.seconds)}`].filter(Boolean).join(" "));
    const label = `${this.title}: ${who.length ? who.join(", ") : "nobody is followed"}`;
    if (this.node.getAttribute("aria-label") !== label) this.node.setAttribute("aria-label", label);
  }

  #box(key, kind, box, text, more, seen) {
    seen.add(key);
    let node = this.byKey.get(key);
    if (!node) {
      node = h("div", {}, h("span", { class: "tag" }, h("b"), h("i")));
      this.byKey.set(key, node);
      this.boxes.append(node);
    }
    // A box at the top has its words inside, one at the right has them to the left.
    const where = `${box[1] < 0.12 ? " inside" : ""}${box[0] > 0.6 ? " left" : ""}`;
    node.className = `box ${kind}${where}`;
    place(node, box);
    say(node.querySelector("b"), text);
    say(node.querySelector("i"), more);
  }
}
