// Reads through the cards of texts by keys or by touch: moves between cards, sends a decision and goes on at once, and
// opens the form for other words in the card. Without this script the forms and links of the cards do the same.
'use strict';
(() => {
  const list = document.getElementById('cards');
  const say = (id) => document.getElementById(id);
  const undo = say('undo'), bar = document.querySelector('.move'), seen = say('seen');
  let current = null, sending = Promise.resolve(), open = 0;

  const cards = () => (list ? [...list.querySelectorAll('.text-card')] : []);
  const waiting = () => cards().filter((card) => !card.classList.contains('done'));
  const leave = (address) => sending.then(() => location.assign(address));

  function show(card) {
    if (!card) return;
    if (current) current.classList.remove('current');
    current = card;
    card.classList.add('current');
    card.focus({ preventScroll: true });
    card.scrollIntoView({ block: 'nearest' });
  }
  function move(step) {
    const all = cards(), next = all[all.indexOf(current) + step];
    if (next) show(next); else if (step > 0 && !waiting().includes(current)) leave(list.dataset.next);
  }
  function goOn(card) {
    const left = waiting(), all = cards(), at = all.indexOf(card);
    const next = left.find((each) => all.indexOf(each) > at) || left[0];
    if (next) show(next); else leave(list.dataset.again);
  }
  // texts that were never on the screen are not approved with the others
  function see(card) {
    const mark = card.querySelector('input[form=together]');
    if (mark) mark.disabled = false;
    count();
  }
  function count() {
    if (!seen) return;
    seen.textContent = list.querySelectorAll('input[form=together]:enabled').length;
    seen.closest('button').disabled = seen.textContent === '0';
  }
  const watcher = new IntersectionObserver((found) => {
    for (const each of found) if (each.intersectionRatio >= 0.6 || each.intersectionRect.height >= innerHeight / 2) see(each.target);
  }, { threshold: [0.2, 0.4, 0.6] });
  function watch(card) {
    const mark = card.querySelector('input[form=together]');
    if (mark) mark.disabled = true;
    watcher.observe(card);
  }
  async function send(form, button) {
    const fields = new URLSearchParams(new FormData(form, button && button.name ? button : undefined));
    const reply = await fetch(`${form.action}?format=json&since=${list.dataset.since}`, { method: 'POST', body: fields });
    return { ok: reply.ok, said: await reply.json() };
  }
  function complain(card, text) {
    const note = card.querySelector('.said');
    note.textContent = text;
    note.hidden = !text;
  }
  function told(said) {
    say('progress').textContent = said.progress;
    if (undo) undo.hidden = !said.undo;
  }
  function decide(card, form, button) {
    card.classList.add('done');
    complain(card, '');
    open += 1;
    sending = sending.then(async () => {
      const { ok, said } = await send(form, button);
      if (ok) {
        card.querySelector('[data-state]').textContent = said.state;
        card.querySelectorAll('.decide, input[form=together]').forEach((each) => each.remove());
        told(said);
      } else {
        card.classList.remove('done');
        complain(card, said.text || said.title);
        show(card);
      }
    }).catch((error) => { card.classList.remove('done'); complain(card, String(error.message)); }).finally(() => { open -= 1; count(); });
    if (waiting().length) goOn(card); else sending = sending.then(() => { if (!waiting().length) location.assign(list.dataset.again); });
  }
  async function edit(card, link) {
    const place = card.querySelector('.editor');
    const reply = await fetch(link.href + '/editor');
    place.innerHTML = await reply.text();
    place.hidden = false;
    htmx.process(place);
    place.querySelector('textarea').focus();
  }
  async function keep(card, form, button) {
    const { ok, said } = await send(form, button);
    if (!ok) { complain(card, said.text || said.findings.map((each) => `${each.span} ${each.why}`).join(' ')); return; }
    const reply = await fetch(`/console/words/${said.text_id}/card?since=${list.dataset.since}`);
    const part = document.createElement('div');
    part.innerHTML = await reply.text();
    const next = part.querySelector('.text-card');
    card.querySelectorAll('[hx-target]').forEach((each) => each.setAttribute('hx-target', 'this')); // a check may still be due
    card.replaceWith(next);
    told(said);
    watch(next);
    current = null;
    show(next);
  }
  document.addEventListener('submit', (event) => {
    const form = event.target, card = form.closest('.text-card');
    if (!card) {
      if (open) { event.preventDefault(); sending.then(() => form.submit()); }
      return;
    }
    event.preventDefault();
    if (form.matches('.edit')) keep(card, form, event.submitter);
    else if (!card.classList.contains('done')) decide(card, form, event.submitter);
  });
  document.addEventListener('click', (event) => {
    const link = event.target.closest('.text-card a[data-key=e]'), step = event.target.closest('[data-move]');
    if (link) { event.preventDefault(); show(link.closest('.text-card')); edit(link.closest('.text-card'), link); }
    if (step) move(Number(step.dataset.move));
  });
  document.addEventListener('focusin', (event) => {
    const card = event.target.closest('.text-card');
    if (card && card !== current) { if (current) current.classList.remove('current'); current = card; card.classList.add('current'); }
  });
  document.addEventListener('keydown', (event) => {
    const card = event.target.closest('.text-card');
    if (event.ctrlKey || event.metaKey || event.altKey || !card) return;
    if (event.key === 'Escape') {
      card.querySelector('.editor').hidden = true;
      card.querySelectorAll('details[open]').forEach((each) => { each.open = false; });
      card.focus();
      return;
    }
    if (event.target.matches('input, textarea, select')) return;
    const step = { j: 1, ArrowDown: 1, ArrowRight: 1, k: -1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    const own = card.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
    const button = event.key.toLowerCase() === 'u' ? undo && !undo.hidden && undo.querySelector('button') : own;
    if (step) move(step);
    else if (event.key === 'u' && button) sending.then(() => button.click());
    else if (button && button.offsetParent !== null && !card.classList.contains('done')) {
      button.click();
      if (event.key === 'r') card.querySelector('.reject button').focus();
    } else return;
    event.preventDefault();
  });
  window.addEventListener('beforeunload', (event) => { if (open) event.preventDefault(); });
  if (list) {
    list.classList.add('stepping');
    cards().forEach(watch);
    if (bar) bar.hidden = false;
    show(waiting()[0]);
  }
})();
