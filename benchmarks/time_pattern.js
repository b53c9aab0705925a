// What time_pattern.py writes, read from a video (or whatever a canvas can draw) in a browser.
(() => {
	const COLUMNS = 32, ROWS = 2, ACROSS = 40, BETWEEN = 128;
	const strip = document.createElement("canvas");
	const pen = strip.getContext("2d", { willReadFrequently: true });

	const crc = (bytes) => bytes.reduce((sum, byte) => {
		sum ^= byte;
		for (let bit = 0; bit < 8; bit++) sum = sum & 0x80 ? (sum << 1 ^ 0x07) & 0xff : sum << 1;
		return sum;
	}, 0xff);

	/** Return {ms, number} of pixels (RGBA, `width` = 32 blocks, 2 blocks high), or null. */
	const decode = (pixels, width) => {
		const block = width / COLUMNS, inset = block >> 2, bytes = [0, 0, 0, 0, 0, 0, 0, 0];
		for (let bit = 0; bit < COLUMNS * ROWS; bit++) {
			const left = (bit % COLUMNS) * block, top = Math.floor(bit / COLUMNS) * block;
			let sum = 0, count = 0;
			for (let y = top + inset; y < top + block - inset; y++) {
				for (let x = left + inset; x < left + block - inset; x++, count++) sum += pixels[(y * width + x) * 4 + 1];
			}
			if (sum > BETWEEN * count) bytes[bit >> 3] |= 0x80 >> (bit & 7);
		}
		if (crc(bytes.slice(0, 7)) !== bytes[7]) return null;
		return { ms: ((bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3]) >>> 0),
			number: bytes[4] << 16 | bytes[5] << 8 | bytes[6] };
	};

	/** Return {ms, number} of what `source` shows, whose own size is width x height, or null. */
	window.readStamp = (source, width, height) => {
		const block = Math.floor(width / ACROSS);
		if (!block || height < ROWS * block) return null;
		if (strip.width !== block * COLUMNS || strip.height !== block * ROWS) {
			strip.width = block * COLUMNS;
			strip.height = block * ROWS;
		}
		const area = [0, 0, strip.width, strip.height];
		pen.clearRect(...area);
		pen.drawImage(source, ...area, ...area);
		return decode(pen.getImageData(...area).data, strip.width);
	};
})();
