// Zones and masks as data: shapes with points [x, y] in shares of the picture. Pure.

export const KINDS = { zone: "Zone", motion: "Motion mask", privacy: "Privacy mask" };
const NAME = /^[A-Za-z0-9_-]{1,64}$/;
const SMALLEST = 0.0004; // Of the picture's area: a slip of the finger, no zone.

const pairs = (flat) => {
	const found = [];
	for (let i = 0; i + 1 < flat.length; i += 2) found.push([flat[i], flat[i + 1]]);
	return found;
};

export const round = (value) => Math.round(Math.min(1, Math.max(0, value)) * 1000) / 1000;
const flat = (points) => points.flatMap(([x, y]) => [round(x), round(y)]);

export const shapesOf = (camera) => [
	...camera.zones.map(({ name, coordinates, objects }) => ({ kind: "zone", name, labels: objects,
		points: pairs(coordinates) })),
	...camera.motion_mask.map((points) => ({ kind: "motion", name: "", labels: null, points: pairs(points) })),
	...camera.privacy_mask.map((points) => ({ kind: "privacy", name: "", labels: null, points: pairs(points) })),
];

/** The shapes as the daemon takes them. */
export const areasOf = (shapes) => ({
	zones: Object.fromEntries(shapes.filter(({ kind }) => kind === "zone")
		.map(({ name, labels, points }) => [name, { coordinates: flat(points), objects: labels?.length ? labels : null }])),
	motion_mask: shapes.filter(({ kind }) => kind === "motion").map(({ points }) => flat(points)),
	privacy_mask: shapes.filter(({ kind }) => kind === "privacy").map(({ points }) => flat(points)),
});

export const area = (points) => Math.abs(points.reduce((sum, [x, y], i) => {
	const [a, b] = points[(i + 1) % points.length];
	return sum + x * b - a * y;
}, 0)) / 2;

const side = ([ax, ay], [bx, by], [cx, cy]) => Math.sign((bx - ax) * (cy - ay) - (by - ay) * (cx - ax));
const cross = (a, b, c, d) => side(a, b, c) * side(a, b, d) < 0 && side(c, d, a) * side(c, d, b) < 0;

export const crosses = (points) => points.some((a, i) => points.some((c, j) =>
	j > i && cross(a, points[(i + 1) % points.length], c, points[(j + 1) % points.length])));

/** Where on which edge a point is nearest: [index of the edge's first point, distance]; heights count `tall` times. */
export const nearestEdge = (points, [px, py], tall = 1) => {
	let best = [0, Infinity];
	points.forEach(([ax, ay], i) => {
		const [bx, by] = points[(i + 1) % points.length];
		const [dx, dy, ex, ey] = [bx - ax, (by - ay) * tall, px - ax, (py - ay) * tall];
		const along = Math.min(1, Math.max(0, (ex * dx + ey * dy) / (dx * dx + dy * dy || 1)));
		const distance = Math.hypot(ex - along * dx, ey - along * dy);
		if (distance < best[1]) best = [i, distance];
	});
	return best;
};

/** What is wrong with a shape, in a sentence, or "". `drawing` is true while its points are still being set. */
export const wrongWith = (shape, shapes, drawing = false) => {
	if (shape.points.length < 3) return drawing ? "" : "It needs at least three points.";
	if (shape.kind === "zone" && !NAME.test(shape.name)) {
		return shape.name ? "The name may have letters a-z, digits, - and _, and no spaces." : "A zone needs a name.";
	}
	if (shape.kind === "zone" && shapes.some((other) => other !== shape && other.kind === "zone"
		&& other.name === shape.name)) {
		return "Another zone has this name.";
	}
	if (crosses(shape.points)) return "Its edges cross each other.";
	return area(shape.points) < SMALLEST ? "It is too small to catch anything." : "";
};

export const freeName = (shapes) => {
	const taken = new Set(shapes.map(({ name }) => name));
	for (let i = 1; ; i += 1) if (!taken.has(`zone${i}`)) return `zone${i}`;
};
