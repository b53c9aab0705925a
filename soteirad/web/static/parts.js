// Parts that all views use.

import { h } from "./dom.js";
import { icon, logo } from "./icons.js";

/** What is shown where there is nothing yet. */
export const empty = (name, title, text) =>
  h("div", { class: "empty" }, name ? icon(name, 40) : logo(40), h("p", { class: "empty-title" }, title), h("p", {}, text));

/** What went wrong, in one sentence. */
export const problem = (text) => h("p", { class: "problem", role: "alert" }, icon("bad"), h("span", {}, text));

/** A small figure with its name: "12 ms" over "median". */
export const figure = (name, value) =>
  h("div", { class: "figure" }, h("dt", {}, name), h("dd", {}, value));
