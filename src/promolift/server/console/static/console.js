// Draws the page's figures from their JSON, again when parts of the page, its width or its colours change. Sends
// files in pieces. All other behaviour is HTML and htmx; without this script every figure still stands in words and in
// the table below it.
'use strict';
(() => {
  const names = ['paper', 'card', 'ink', 'soft', 'faint', 'line', 'grid', 'blue', 'orange', 'grey', 'wash', 'mid'];
  const dark = window.matchMedia('(prefers-color-scheme: dark)');
  const root = document.documentElement;
  const charts = new Map();

  function theme() {
    const style = getComputedStyle(root);
    const found = Object.fromEntries(names.map((n) => [n, style.getPropertyValue('--' + n).trim()]));
    found.hues = ['blue', 'orange', 'green', 'purple', 'sky', 'amber'].map((n) => style.getPropertyValue('--' + n).trim());
    found.deep = style.colorScheme === 'dark' ? '#d6ecff' : '#06304f';
    return found;
  }
  function paint(box, chart) {
    const size = box.clientWidth;
    if (!size) return;
    box.style.height = draw.height(chart.spec, size, false) + 'px';
    chart.view = chart.view || echarts.init(box, null, { renderer: 'svg' });
    chart.view.resize({ animation: { duration: 0 } });
    chart.view.setOption(draw.option(chart.spec, theme(), size), { notMerge: true });
    chart.size = size;
  }
  function paintAll() { charts.forEach((chart, box) => paint(box, chart)); }
  function read() {
    for (const block of document.querySelectorAll('script.figures')) {
      const data = JSON.parse(block.textContent);
      block.classList.remove('figures');
      draw.setMoney(data.money, data.language);
      for (const [name, spec] of Object.entries(data.figures)) {
        const box = document.querySelector(`[data-figure="${CSS.escape(name)}"]`);
        if (!box) continue;
        const known = charts.get(box) || {};
        charts.set(box, { ...known, spec });
        paint(box, charts.get(box));
      }
    }
    for (const [box, chart] of charts) if (!box.isConnected) { if (chart.view) chart.view.dispose(); charts.delete(box); }
  }
  const start = () => {
    if (typeof draw === 'undefined') return;
    read();
    new ResizeObserver(() => charts.forEach((chart, box) => { if (chart.size !== box.clientWidth) paint(box, chart); })).observe(document.getElementById('main'));
    dark.addEventListener('change', paintAll);
  };
  if (document.fonts && document.fonts.ready) document.fonts.ready.then(start); else start();
  const piece = 4e6;
  async function send(form) {
    const fields = new FormData(form), files = fields.getAll('file');
    const bar = form.querySelector('progress'), said = form.querySelector('[role=status]'), button = form.querySelector('button');
    const whole = files.reduce((sum, file) => sum + file.size, 0);
    let answer = {}, sent = 0;
    bar.hidden = false; button.disabled = true; said.textContent = '';
    for (const file of files) {
      const ask = new URLSearchParams([...fields].filter(([name]) => name !== 'token' && name !== 'file'));
      for (const [name, value] of [['name', file.name], ['size', file.size], ['format', 'json']]) ask.set(name, value);
      for (let at = 0; at === 0 || at < file.size; at += piece) {
        ask.set('at', at);
        const headers = { 'content-type': 'application/octet-stream', 'x-token': fields.get('token') };
        const reply = await fetch(`${form.action}?${ask}`, { method: 'POST', body: file.slice(at, at + piece), headers });
        answer = await reply.json();
        if (!reply.ok) { said.textContent = `${file.name}: ${answer.text || answer.title}`; bar.hidden = true; button.disabled = false; return; }
        bar.value = (sent + Math.min(file.size, at + piece)) / (whole || 1);
      }
      sent += file.size;
    }
    if (answer.go) location.assign(answer.go);
  }
  document.addEventListener('submit', (event) => {
    if (!event.target.matches('form[data-upload]')) return;
    event.preventDefault();
    send(event.target);
  });
  document.addEventListener('htmx:after:swap', () => { if (typeof draw !== 'undefined') read(); });
})();
