// Makes the page livelier: everything works without it, by sending forms and following links.
"use strict";

(() => {
  const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
  let here = location.pathname;
  let turn = 0; // what was asked for last: answers to what came before are dropped

  // put form, result and title of another page in place of this one's
  const show = (text, address, focus) => {
    const other = new DOMParser().parseFromString(text, "text/html");
    const names = ["header", "#form-panel", "#result", "footer"];
    if (names.some((name) => Boolean(other.querySelector(name)) !== Boolean(document.querySelector(name)))) {
      location.assign(address);
      return;
    }
    const at = document.activeElement;
    const again = at && at.id ? at.id : "";
    const field = at && at.name === "nudge" ? at.value : "";
    for (const name of names) {
      const here = document.querySelector(name);
      if (here) here.replaceWith(document.adoptNode(other.querySelector(name)));
    }
    document.title = other.title;
    if (address !== location.href) history.pushState({}, "", address);
    here = location.pathname;
    const faults = document.getElementById("faults");
    const step = field && document.querySelector(`button[name="nudge"][value="${CSS.escape(field)}"]`);
    const target = faults || (focus && document.getElementById(focus)) || step || (again && document.getElementById(again));
    if (target) target.focus({ preventScroll: target !== faults });
    watch();
  };

  const failed = (words) => {
    const said = document.getElementById("progress-words");
    if (said) said.textContent = words;
    const result = document.getElementById("result");
    if (result) result.removeAttribute("aria-busy");
  };

  // ask again and again how far a plan is, and show it once it is there
  const watch = async () => {
    const panel = document.getElementById("progress");
    if (!panel) return;
    const mine = ++turn;
    for (let missed = 0; mine === turn; ) {
      await wait(600);
      if (mine !== turn) return;
      try {
        const answer = await fetch(panel.dataset.progress, { headers: { Accept: "application/json" } });
        if (!answer.ok) throw new Error(answer.statusText);
        const found = await answer.json();
        missed = 0;
        if (mine !== turn) return;
        if (found.ended) {
          const page = await fetch(location.href);
          const text = await page.text();
          if (mine === turn) show(text, location.href, panel.contains(document.activeElement) ? "result" : "");
          return;
        }
        const said = document.getElementById("progress-words");
        const words = `${found.words.charAt(0).toUpperCase()}${found.words.slice(1)}.`;
        if (said.textContent !== words) said.textContent = words;
        panel.querySelector("progress").value = found.share;
        for (const [name, value] of Object.entries(found.shown)) {
          const cell = panel.querySelector(`[data-figure="${CSS.escape(name)}"]`);
          if (cell) cell.textContent = value;
        }
      } catch {
        missed += 1;
        if (missed > 5) {
          failed("The server has stopped. What was kept is safe; start it again, and load this page anew.");
          return;
        }
      }
    }
  };

  // the form is sent without leaving the page
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.matches("[data-live]")) return;
    event.preventDefault();
    const mine = ++turn;
    document.getElementById("result").setAttribute("aria-busy", "true");
    try {
      const data = new URLSearchParams(new FormData(form, event.submitter));
      const answer = await fetch(form.action, { method: "POST", body: data, headers: { "X-Live": "1" } });
      const text = await answer.text();
      if (mine === turn) show(text, answer.redirected ? answer.url : location.href, "");
    } catch {
      document.getElementById("result").removeAttribute("aria-busy");
      failed("The server does not answer. What was typed is still here.");
    }
  });

  // what has been moved shows at once
  document.addEventListener("input", (event) => {
    const field = event.target.closest(".field");
    if (field && event.target.dataset.base !== undefined) {
      field.classList.toggle("moved", event.target.value.trim() !== event.target.dataset.base);
    }
  });

  document.documentElement.classList.add("live");
  // back and forward lead to another plan; a link within the page does not
  addEventListener("popstate", () => {
    if (location.pathname !== here) location.reload();
  });
  const faults = document.getElementById("faults");
  if (faults) faults.focus();
  watch();
})();
