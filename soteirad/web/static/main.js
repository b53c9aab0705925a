// The page: who is in, which view is open, and the frame around it.

import { api, onSessionEnd } from "./api.js";
import { h, say } from "./dom.js";
import { Events } from "./events.js";
import { Health } from "./health.js";
import { icon, logo } from "./icons.js";
import { live } from "./live.js";
import { login, loginWith, takeToken } from "./login.js";
import { Now } from "./now.js";
import { capital } from "./words.js";
import { Zones } from "./zones.js";

const VIEWS = { now: Now, events: Events, zones: Zones, health: Health };
const RETRY_MS = 3000;

const root = document.getElementById("app");
let view = null;
let viewEnd = null;
let main = null;
let entering = false;
let version = "";

const route = () => {
	const [name] = location.hash.slice(1).split("/");
	return Object.hasOwn(VIEWS, name) ? name : "now";
};

function closeView() {
	viewEnd?.abort();
	view?.close();
	view = viewEnd = null;
	live.want(null);
}

function openView() {
	if (!main) return;
	const name = route();
	closeView();
	view = new VIEWS[name]();
	viewEnd = new AbortController();
	main.replaceChildren(view.node);
	document.title = `${capital(name)} – Soteira`;
	for (const link of document.querySelectorAll("nav a")) {
		if (link.dataset.view === name) link.setAttribute("aria-current", "page");
		else link.removeAttribute("aria-current");
	}
	scrollTo(0, 0);
	view.open(viewEnd.signal);
}

function themeButton() {
	const root = document.documentElement.dataset;
	const button = h("button.quiet", { onclick: () => {
		root.theme = root.theme === "dark" ? "light" : "dark";
		try { localStorage.setItem("soteira-theme", root.theme); } catch { /* It holds until the page is left. */ }
		tell();
	} });
	const tell = () => {
		button.replaceChildren(icon(root.theme === "dark" ? "sun" : "moon"));
		button.title = root.theme === "dark" ? "Light colours" : "Dark colours";
	};
	document.addEventListener("theme", tell);
	tell();
	return button;
}

function frame() {
	const lamp = h("span.live", { role: "status" });
	const tell = () => {
		lamp.classList.toggle("on", live.connected);
		lamp.hidden = !live.needed;
		say(lamp, live.connected ? "live" : "connecting");
	};
	live.addEventListener("connection", tell);
	tell();
	main = h("main", { id: "main", tabindex: -1 });
	root.replaceChildren(
		h("header.top",
			h("a.brand", { href: "#now" }, logo(30), h("span", "Soteira")),
			h("nav", { "aria-label": "Views" }, Object.keys(VIEWS).map((name) =>
				h("a", { href: `#${name}`, "data-view": name }, icon(name, 22), h("span", capital(name))))),
			h("div.top-end", lamp, themeButton(),
				h("button.quiet", { title: "Log out", onclick: leave }, icon("leave")))),
		main,
		h("footer.bottom", h("span", version && `Soteira ${version}`), " ",
			h("span", "All of this page stays on your machines.")));
}

async function leave() {
	await api.logout().catch(() => {});
	out("You are logged out.");
}

async function out(sentence) {
	if (entering) return;
	entering = true;
	closeView();
	main = null;
	await login(root, sentence);
	entering = false;
	await enter();
}

async function enter() {
	try {
		version = (await api.session())?.version ?? "";
	} catch (error) {
		if (error.status === 401) return out("");
		root.replaceChildren(h("main.login-page", { id: "main" }, h("p.problem", error.message)));
		setTimeout(enter, RETRY_MS);
		return undefined;
	}
	frame();
	openView();
	return undefined;
}

async function start() {
	live.start();
	onSessionEnd(() => out("Your session has ended. Log in again, and you are back where you were."));
	addEventListener("hashchange", async () => {
		const token = takeToken(); // Somebody opens the printed address in a tab that is here already.
		if (token) await loginWith(token);
		if (token && !main) location.reload();
		else openView();
	});
	document.querySelector(".skip").addEventListener("click", (event) => {
		event.preventDefault();
		document.getElementById("main")?.focus();
	});
	const token = takeToken();
	const refused = token ? await loginWith(token) : "";
	if (refused) await out(refused);
	else await enter();
}

start();
