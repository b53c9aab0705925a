// The switch of one camera between its pictures and live video.

import { h, say } from "./dom.js";
import { icon } from "./icons.js";
import { Player } from "./player.js";
import { span } from "./words.js";

export class Video {
	constructor(camera, picture, draw) {
		this.name = camera.name;
		this.picture = picture;
		this.draw = draw;
		this.player = null;
		this.inView = true;
		const button = (stream, text) => h("button.small", { "aria-pressed": "false", "data-stream": stream,
			onclick: () => this.#turn(stream) }, icon("play", 16), ` ${text}`);
		this.buttons = [button("source", "Live video"), button("detail", "Large stream")];
		this.play = h("button.small", { hidden: true, onclick: () => this.player?.play() }, "Play");
		this.state = h("span", { role: "status" });
		this.more = h("span.soft");
		this.node = h("div.video-bar", this.buttons, this.play, h("p", this.state, this.more));
	}

	setCamera(camera) { this.buttons[1].hidden = camera.detail !== true; }

	/** Say whether the card is in view: out of it nothing is fetched. */
	look(inView) {
		this.inView = inView;
		this.player?.look(inView);
	}

	close() {
		this.player?.close();
		this.player = null;
		this.picture.setVideo(null);
	}

	#turn(stream) {
		const on = this.player?.stream !== stream;
		this.close();
		this.#tell("", "");
		for (const button of this.buttons) {
			button.setAttribute("aria-pressed", String(on && button.dataset.stream === stream));
		}
		if (!on) return;
		this.player = new Player(this.name, stream, (...state) => this.#tell(...state), this.draw);
		this.picture.setVideo(this.player.video);
	}

	#tell(kind, text, delay) {
		this.node.dataset.state = kind;
		this.picture.play(kind === "playing");
		this.play.hidden = kind !== "refused";
		say(this.state, text);
		// Not in the status: a screen reader would say it twice a second.
		const made = this.player?.encoded ? ", encoded on the machine" : "";
		say(this.more, kind === "playing" ? `, ${span(delay)} behind${made}` : "");
	}
}
