for (const choice of document.querySelectorAll("input[name=show]")) {
  choice.addEventListener("change", () => { document.body.dataset.show = choice.value; });
  if (choice.checked) document.body.dataset.show = choice.value;
}
for (const button of document.querySelectorAll("button[data-copy]")) {
  const name = button.textContent;
  const lines = document.getElementById(button.dataset.copy);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(lines.textContent);
      button.textContent = "Copied";
    } catch {
      // A file that is opened from disk may not write the clipboard everywhere: then it is marked for Ctrl+C.
      getSelection().selectAllChildren(lines);
      button.textContent = document.execCommand("copy") ? "Copied" : "Marked: press Ctrl+C";
    }
    setTimeout(() => { button.textContent = name; }, 2500);
  });
}
