// Before anything is drawn: the theme that was chosen, or else the system's.
(() => {
  try {
    const chosen = localStorage.getItem("cortex-tasks.theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // A browser that keeps nothing: the system's theme.
  }
})();
