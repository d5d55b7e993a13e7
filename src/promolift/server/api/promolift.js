// Events of a page in; batches to the server this file came from, out. Nothing is kept or sent before consent is given.
// Served without indents and lines that are comments, and then below 3 kB.
(() => {
  const { src, dataset: { key, consent } } = document.currentScript;
  const url = new URL("/v1/batch", src).href, KEPT = "promolift", MOST = 200, AT_ONCE = 20;
  // pages without TLS have no randomUUID
  const uuid = () => crypto.randomUUID?.() ?? Date.now().toString(36) + Math.random().toString(36).slice(2);
  // true: send; undefined: wait for an answer, in memory alone; false: neither keep nor send
  let allowed = navigator.globalPrivacyControl ? false : consent === "ask" ? undefined : true;
  let visitor = uuid(), user, queue = [], timer, tries = 0, busy;

  // storage may be full or forbidden: then a page remembers nothing
  const save = () => {
    try { if (allowed) localStorage[KEPT] = JSON.stringify({ visitor, user, queue }); } catch {}
  };
  const load = () => {
    try {
      const kept = JSON.parse(localStorage[KEPT] ?? "{}");
      visitor = kept.visitor ?? visitor;
      user ??= kept.user;
      for (const each of queue) Object.assign(each, { anonymousId: visitor, userId: each.userId ?? user });
      queue = [...(kept.queue ?? []), ...queue];
    } catch {}
    save();
  };
  const body = (batch) => JSON.stringify({ batch, sentAt: new Date() });
  const sent = (batch) => { queue = queue.filter((each) => !batch.includes(each)); save(); };
  const later = (ms) => { timer ??= setTimeout(() => { timer = undefined; flush(); }, ms); };

  const flush = async () => {
    if (!allowed || busy || !queue.length) return;
    busy = true;
    const batch = queue.slice(0, AT_ONCE), text = body(batch);
    let again = true;
    try {
      const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
      // browsers keep at most 64 kB alive
      const { status } = await fetch(url, { method: "POST", headers, body: text, keepalive: text.length < 2e4 });
      again = status === 429 || status >= 500;
    } catch {}
    busy = false;
    tries = again ? tries + 1 : 0;
    if (!again) sent(batch);
    if (queue.length) later(again ? Math.min(1000 * 2 ** tries, 6e4) : 0);
  };
  // what the browser does not take now is kept for the next page
  const leave = () => {
    while (allowed && queue.length) {
      const batch = queue.slice(0, AT_ONCE);
      if (!navigator.sendBeacon(`${url}?key=${key}`, body(batch))) return;
      sent(batch);
    }
  };
  const add = (event) => {
    if (allowed === false) return;
    const page = { url: location.href, path: location.pathname }, locale = navigator.language;
    const context = { page, locale, timezone: Intl.DateTimeFormat().resolvedOptions().timeZone };
    queue.push({ messageId: uuid(), anonymousId: visitor, userId: user, timestamp: new Date(), context, ...event });
    queue = queue.slice(-MOST);
    save();
    later(500);
  };

  const early = window.promolift ?? [];
  const api = window.promolift = {
    track: (event, properties) => add({ type: "track", event, properties }),
    page: (name, properties) => add({ type: "page", name, properties }),
    identify: (id, traits) => { user = id; add({ type: "identify", userId: id, traits }); },
    consent: (yes) => {
      if (yes && !allowed) { allowed = true; load(); flush(); }
      if (!yes) {
        allowed = false; queue = []; user = undefined; visitor = uuid();
        try { delete localStorage[KEPT]; } catch {}
      }
    },
    push: ([name, ...given]) => api[name](...given),
  };
  if (allowed) load();
  early.forEach(api.push);
  addEventListener("pagehide", leave);
  document.addEventListener("visibilitychange", () => document.hidden && leave());
  later(0);
})();
