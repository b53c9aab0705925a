// Requests to the daemon. Addresses are relative, so that the page also works below another path.

export class ApiError extends Error {
	constructor(status, message) {
		super(message);
		this.status = status;
	}
}

let ended = () => {};

/** Name what is done when the session is over. */
export const onSessionEnd = (callback) => { ended = callback; };

const AWAY = "Soteira does not answer: is it running, and is this device in its network?";

/** Ask; returns the JSON answer or null for an empty one. Throws ApiError with one sentence for the owner. */
export async function ask(method, path, body, { quiet = false, signal } = {}) {
	const options = { method, signal, cache: "no-store", headers: { Accept: "application/json" } };
	if (method !== "GET") options.headers["X-Soteira"] = "1";
	if (body !== undefined) {
		options.headers["Content-Type"] = "application/json";
		options.body = JSON.stringify(body);
	}
	const answer = await fetch(path, options).catch((error) => { throw error.name === "AbortError"
		? error : new ApiError(0, AWAY); });
	if (answer.ok) return answer.status === 204 ? null : answer.json().catch(() => { throw new ApiError(0, AWAY); });
	if (answer.status === 401 && !quiet) ended();
	throw new ApiError(answer.status, await sentence(answer));
}

async function sentence(answer) {
	try {
		const { error } = await answer.json();
		if (typeof error === "string" && error) return error;
	} catch { /* Not from the daemon: a proxy, perhaps. */ }
	return `Soteira answered with error ${answer.status}.`;
}

const part = encodeURIComponent;

export const api = {
	session: () => ask("GET", "api/session", undefined, { quiet: true }),
	login: (token) => ask("POST", "api/login", { token }, { quiet: true }),
	logout: () => ask("POST", "api/logout", undefined, { quiet: true }),
	cameras: async () => (await ask("GET", "api/cameras")).cameras,
	health: () => ask("GET", "api/health"),
	overrides: () => ask("GET", "api/overrides"),
	events: (query, signal) => ask("GET", `api/events?${query}`, undefined, { signal }),
	nearMisses: async () => (await ask("GET", "api/near-misses")).near_misses,
	areas: (camera, areas, signal) => ask("POST", `api/cameras/${part(camera)}/areas`, areas, { signal }),
	set: (camera, setting, value) => ask("PUT", `api/cameras/${part(camera)}/thresholds/${part(setting)}`, { value }),
	reset: (camera, setting) => ask("DELETE", `api/cameras/${part(camera)}/thresholds/${part(setting)}`),
};

export const frameAddress = (camera, seq) => `api/cameras/${part(camera)}/live/${part(seq)}.jpg`;
export const videoAddress = (camera, stream) => `api/cameras/${part(camera)}/live?stream=${stream}`;
export const pictureAddress = (camera) => `api/cameras/${part(camera)}/picture.jpg`;

/** Make an address that the daemon gave usable here; anything that is not its own is no address. */
export const ownAddress = (path) =>
	(typeof path === "string" && path.startsWith("/api/") ? path.slice(1) : null);

/** Fetch a picture: a Blob, or null when there is none. */
export async function picture(path, signal) {
	const answer = await fetch(path, { signal, cache: "no-store" });
	if (answer.status === 401) ended();
	return answer.ok ? answer.blob() : null;
}
