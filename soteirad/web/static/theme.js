// Not a module: it runs before anything is painted, so that a dark page never flashes white.
try {
  const theme = localStorage.getItem("soteira-theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch { /* A private window follows the system. */ }
