// Small helpers to build the page. Data only ever becomes text nodes and attributes, never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, props, children) {
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "class") node.setAttribute("class", value);
    else if (key === "text") node.textContent = value;
    else if (key === "hidden" || key === "checked" || key === "disabled" || key === "value") node[key] = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Make an HTML element: h("p", {class: "note", onclick: f}, "text", child, [more]). */
export const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);

/** Make an SVG element. */
export const s = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

/** Put other children in a node's place of the old ones. */
export const show = (node, ...children) => {
  node.replaceChildren(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
};

/** The same for a long list: what is there already stays untouched, with its focus and its loaded pictures. */
export const sync = (node, children) => {
  children.forEach((child, index) => {
    if (node.children[index] !== child) node.insertBefore(child, node.children[index] ?? null);
  });
  while (node.children.length > children.length) node.lastElementChild.remove();
};

/** Set a node's text, only if it is another one: no needless work for screen readers. */
export const say = (node, text) => {
  if (node.textContent !== text) node.textContent = text;
};

/** Place an element by shares of its parent, 0 to 1. */
export const place = (node, [x1, y1, x2, y2]) => {
  const at = node.style;
  at.left = `${x1 * 100}%`;
  at.top = `${y1 * 100}%`;
  at.width = `${Math.max(0, x2 - x1) * 100}%`;
  at.height = `${Math.max(0, y2 - y1) * 100}%`;
};

/** A button that copies a text and says so. */
export const copyButton = (text, label = "Copy") => {
  const button = h("button", { type: "button", class: "small", onclick: copy }, label);
  async function copy() {
    const done = await copied(text());
    button.textContent = done ? "Copied" : "Select the text and copy it";
    setTimeout(() => { button.textContent = label; }, 2000);
  }
  return button;
};

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text); // Only there on https and localhost ...
    return true;
  } catch {
    const area = h("textarea", { class: "unseen", value: text, "aria-hidden": "true" });
    const before = document.activeElement;
    (document.querySelector("dialog[open]") ?? document.body).append(area); // ... and most owners open http://box.local.
    area.select();
    let done = false;
    try { done = document.execCommand("copy"); } catch { /* The sentence on the button helps. */ }
    area.remove();
    before?.focus?.();
    return done;
  }
}

/** A row of tabs or choices of which one is pressed; arrow keys walk, as in a radio group. */
export const choice = (label, items, chosen, onchange) => {
  const buttons = items.map(([value, text]) => h("button", {
    type: "button", role: "radio", "aria-checked": String(value === chosen), tabindex: value === chosen ? 0 : -1,
    "data-value": value, onclick: () => pick(value),
  }, text));
  const group = h("div", { role: "radiogroup", "aria-label": label, class: "choice", onkeydown: walk }, buttons);
  function pick(value, focus) {
    for (const button of buttons) {
      const on = button.dataset.value === value;
      button.setAttribute("aria-checked", String(on));
      button.tabIndex = on ? 0 : -1;
      if (on && focus) button.focus();
    }
    onchange(value);
  }
  function walk(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const at = buttons.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    pick(buttons[(at + step + buttons.length) % buttons.length].dataset.value, true);
  }
  return group;
};
