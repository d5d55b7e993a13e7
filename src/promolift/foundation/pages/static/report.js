// Reads the page's data block, draws every figure, and draws again when the width, the colours or the medium change.
'use strict';
(() => {
  const data = JSON.parse(document.getElementById('report-data').textContent);
  const names = ['paper', 'card', 'ink', 'soft', 'faint', 'line', 'grid', 'blue', 'orange', 'grey', 'wash', 'mid'];
  const dark = window.matchMedia('(prefers-color-scheme: dark)');
  const root = document.documentElement;
  const charts = [];
  draw.setMoney(data.money, data.language);

  function theme() {
    const style = getComputedStyle(root);
    const found = Object.fromEntries(names.map((n) => [n, style.getPropertyValue('--' + n).trim()]));
    found.hues = ['blue', 'orange', 'green', 'purple', 'sky', 'amber'].map((n) => style.getPropertyValue('--' + n).trim());
    found.deep = getComputedStyle(root).colorScheme === 'dark' ? '#d6ecff' : '#06304f';
    return found;
  }
  function paint(chart) {
    const size = chart.box.clientWidth;
    if (!size) return; // in a chapter that is not open yet
    chart.box.style.height = draw.height(chart.spec, size, root.classList.contains('print')) + 'px';
    chart.view = chart.view || echarts.init(chart.box, null, { renderer: 'svg' });
    chart.view.resize({ animation: { duration: 0 } });
    chart.view.setOption(draw.option(chart.spec, theme(), size), { notMerge: true });
    chart.size = size;
  }
  function paintAll() { charts.forEach(paint); }

  for (const box of document.querySelectorAll('[data-figure]')) {
    const spec = data.figures[box.dataset.figure];
    if (!spec) continue;
    box.style.height = '1px'; // an empty box has no width to measure
    box.style.display = 'block';
    charts.push({ box, spec });
  }
  const start = () => {
    paintAll();
    new ResizeObserver(() => charts.forEach((c) => { if (c.size !== c.box.clientWidth) paint(c); })).observe(document.getElementById('main'));
  };
  // widths of letters are known only when the letters are there
  if (document.fonts && document.fonts.ready) document.fonts.ready.then(start); else start();
  // a link to a folded chapter opens it
  const open = () => {
    const fold = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)))?.closest('.chapter')?.querySelector('.fold');
    if (fold && !fold.open) { fold.open = true; fold.scrollIntoView(); }
  };
  window.addEventListener('hashchange', open);
  open();
  dark.addEventListener('change', paintAll);
  window.addEventListener('beforeprint', () => { root.classList.add('print'); paintAll(); });
  window.addEventListener('afterprint', () => { root.classList.remove('print'); paintAll(); });
})();
