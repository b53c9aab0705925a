// Small helpers to build the page. Data only ever becomes text nodes and attributes, never markup.

const present = (child) => child !== null && child !== undefined && child !== false;

function fill(node, classes, rest) {
	const props = rest[0]?.constructor === Object ? rest.shift() : {};
	const all = [...classes, props.class].filter(Boolean).join(" ");
	if (all) node.setAttribute("class", all);
	for (const [key, value] of Object.entries(props)) {
		if (!present(value) || key === "class") continue;
		if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
		else if (["hidden", "checked", "disabled", "value"].includes(key)) node[key] = value;
		else node.setAttribute(key, value === true ? "" : value);
	}
	node.append(...rest.flat(3).filter(present));
	return node;
}

const maker = (make) => (name, ...rest) => {
	const [tag, ...classes] = name.split(".");
	return fill(make(tag), classes, rest);
};

/** Make an HTML element: h("p.note.large", {onclick: f}, "text", child, [more]); classes and attributes may be left out. */
export const h = maker((tag) => {
	const node = document.createElement(tag);
	if (tag === "button") node.type = "button";
	return node;
});

export const s = maker((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));

export const show = (node, ...children) => {
	node.replaceChildren(...children.flat(3).filter(present));
};

/** As `show`, for a long list: what is there already stays untouched, with its focus and its pictures. */
export const sync = (node, children) => {
	children.forEach((child, index) => {
		if (node.children[index] !== child) node.insertBefore(child, node.children[index] ?? null);
	});
	while (node.children.length > children.length) node.lastElementChild.remove();
};

/** Set a text if it is another one: no needless work for screen readers. */
export const say = (node, text) => {
	if (node.textContent !== text) node.textContent = text;
};

export const place = (node, [x1, y1, x2, y2]) => {
	const shares = { left: x1, top: y1, width: Math.max(0, x2 - x1), height: Math.max(0, y2 - y1) };
	for (const [side, share] of Object.entries(shares)) node.style[side] = `${share * 100}%`;
};

/** A button that copies a text and says so. */
export const copyButton = (text) => {
	const button = h("button.small", { onclick: async () => {
		button.textContent = await copied(text) ? "Copied" : "Select the text and copy it";
		setTimeout(() => { button.textContent = "Copy"; }, 2000);
	} }, "Copy");
	return button;
};

async function copied(text) {
	try {
		await navigator.clipboard.writeText(text); // Only there on https and localhost ...
		return true;
	} catch {
		const area = h("textarea.unseen", { value: text });
		(document.querySelector("dialog[open]") ?? document.body).append(area); // ... and most owners open it by http.
		area.select();
		const done = document.execCommand("copy");
		area.remove();
		return done;
	}
}

/** A radio group that looks like tabs. */
export const choice = (label, items, chosen, onchange) => {
	const buttons = items.map(([value, text]) => h("button",
		{ role: "radio", "aria-checked": String(value === chosen), tabindex: value === chosen ? 0 : -1,
		"data-value": value, onclick: () => pick(value),
	}, text));
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
	return h("div.choice", { role: "radiogroup", "aria-label": label, onkeydown: walk }, buttons);
};
