// The way in: the token of the address, or a form.

import { api } from "./api.js";
import { h, say } from "./dom.js";
import { logo } from "./icons.js";

/** Take `#token=...` out of the address bar, before anybody can copy it, and return it or "". */
export function takeToken() {
	const match = /^#token=(.+)$/.exec(location.hash);
	if (!match) return "";
	history.replaceState(null, "", location.pathname + location.search);
	try { return decodeURIComponent(match[1]); } catch { return match[1]; }
}

const sentenceOf = (error) => (error.status === 401
	? "This token or password is not right. “soteirad config” prints the address with the right one."
	: error.message);

/** The form; resolves when somebody is in. `first` is a sentence to begin with. */
export function login(root, first = "") {
	return new Promise((resolve) => {
		const note = h("p.login-note", { role: "alert" }, first);
		const input = h("input", {
			id: "token", name: "token", type: "password", autocomplete: "current-password", required: true, maxlength: 1024,
			autocapitalize: "off", spellcheck: "false",
		});
		const button = h("button", { type: "submit", class: "main" }, "Open");
		const form = h("form.login", { method: "post", onsubmit: submit },
			h("div.login-head", logo(56), h("h1", "Soteira")),
			h("label", { for: "token" }, "Token or password"), input, button, note,
			h("p.soft", "Where is it? On the machine that runs Soteira, ", h("code", "soteirad config"),
				" prints the address to open."));
		async function submit(event) {
			event.preventDefault();
			button.disabled = true;
			say(note, "");
			try {
				await api.login(input.value.trim());
				resolve();
			} catch (error) {
				say(note, sentenceOf(error));
				button.disabled = false;
				input.select();
			}
		}
		root.replaceChildren(h("main", { id: "main", class: "login-page" }, form));
		document.title = "Log in – Soteira";
		input.focus();
	});
}

/** Log in with a token; returns a sentence when it was refused, else "". */
export async function loginWith(token) {
	try {
		await api.login(token);
		return "";
	} catch (error) {
		return sentenceOf(error);
	}
}
