// Not a module: it runs before anything is painted, so that a dark page never flashes white.
{
	const system = matchMedia("(prefers-color-scheme: dark)");
	const follow = () => {
		let chosen = null;
		try { chosen = localStorage.getItem("soteira-theme"); } catch { /* A private window follows the system. */ }
		document.documentElement.dataset.theme = chosen ?? (system.matches ? "dark" : "light");
		document.dispatchEvent(new Event("theme"));
	};
	system.addEventListener("change", follow);
	follow();
}
