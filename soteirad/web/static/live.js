// The one stream of the page: open while somebody looks, for the cameras in view.

import { api } from "./api.js";

const KINDS = ["frame", "event", "camera", "near_miss"];
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30_000;
const SETTLE_MS = 300; // Scrolling past cameras is no reason for a new stream each.

class Live extends EventTarget {
	#source = null;
	#wanted = null;
	#open = "";
	#wait = FIRST_WAIT_MS;
	#timer = 0;
	connected = false;

	start() {
		document.addEventListener("visibilitychange", () => this.#soon(0));
		addEventListener("pagehide", () => this.#close());
		addEventListener("pageshow", () => this.#soon(0));
	}

	/** Say which cameras are in view: their frames come, and the news of all. Null is for no stream. */
	want(cameras) {
		this.#wanted = cameras && [...cameras].sort();
		if (cameras) this.#soon(SETTLE_MS);
		else this.#close();
		this.dispatchEvent(new Event("connection"));
	}

	get needed() { return Boolean(this.#wanted); }

	#soon(ms) {
		clearTimeout(this.#timer);
		this.#timer = setTimeout(() => this.#follow(), ms);
	}

	#follow() {
		if (!this.needed || document.hidden) {
			this.#close();
			return;
		}
		const address = `api/stream?cameras=${this.#wanted.map(encodeURIComponent).join(",")}`;
		if (this.#source && this.#open === address) return;
		this.#close();
		this.#open = address;
		const source = this.#source = new EventSource(address);
		source.onopen = () => {
			this.#wait = FIRST_WAIT_MS;
			this.#tell(true);
		};
		source.onerror = () => this.#lost(source);
		for (const kind of KINDS) source.addEventListener(kind, (message) => this.#take(kind, message.data));
	}

	#take(kind, text) {
		let data;
		try { data = JSON.parse(text); } catch { return; }
		this.dispatchEvent(new CustomEvent(kind, { detail: data }));
	}

	async #lost(source) {
		source.close();
		if (source !== this.#source) return;
		this.#close();
		// Is one gone from the file, for which it is refused? Or is the session over?
		await api.cameras().then((all) => this.dispatchEvent(new CustomEvent("cameras", { detail: all })), () => {});
		// Not all open pages in one moment.
		this.#soon(this.#wait * (0.75 + Math.random() / 2));
		this.#wait = Math.min(LONGEST_WAIT_MS, this.#wait * 2);
	}

	#close() {
		clearTimeout(this.#timer);
		this.#source?.close();
		this.#source = null;
		this.#tell(false);
	}

	#tell(connected) {
		if (connected === this.connected) return;
		this.connected = connected;
		this.dispatchEvent(new Event("connection"));
	}
}

export const live = new Live();
