// Chart data in, ECharts options out: one function per kind of picture. Colours come from the page, so light, dark and
// paper share this code. What no series offers (intervals, bands, labels beside the mark) is drawn by an overlay.
'use strict';
const draw = (() => {
  const FONT = '"Report Sans", "PingFang SC", "Microsoft YaHei", "Noto Sans SC", "Noto Sans CJK SC", system-ui, sans-serif';
  const MINUS = '\u2212';
  let money = { symbol: '', digits: 2 }, chinese = false;
  const pick = (en, zh) => (chinese ? zh : en);

  // values as words; axes use the short form
  function cash(cents, short) {
    const amount = Math.abs(cents) / 10 ** money.digits;
    const steps = chinese ? [[1e8, '亿'], [1e4, '万']] : [[1e9, 'bn'], [1e6, 'M'], [1e3, 'k']];
    const step = steps.find(([size]) => amount >= size && (short ? size > 1e3 || !chinese : size > 1e4 || (size > 1e3 && !chinese)));
    const scaled = step ? amount / step[0] : amount;
    const places = step ? (short ? (scaled % 1 && scaled < 10 ? ((scaled * 10) % 1 ? 2 : 1) : 0) : 2) : amount >= 1000 || cents === 0 || (short && amount % 1 === 0) ? 0 : money.digits;
    const text = scaled.toLocaleString('en-US', { minimumFractionDigits: places, maximumFractionDigits: places });
    return (cents < 0 ? MINUS : '') + money.symbol + text + (step ? pick('\u00a0', '') + step[1] : '');
  }
  function percent(x, sign) {
    const size = Math.abs(x) * 100;
    const places = size && size < 9.95 && size % 1 > 1e-9 ? 1 : 0;
    return (x < 0 ? MINUS : sign && x > 0 ? '+' : '') + size.toFixed(places) + pick('\u00a0', '') + '%';
  }
  function plain(x) {
    const size = Math.abs(x);
    const places = size >= 1000 || Number.isInteger(x) ? 0 : size >= 10 ? 1 : 2;
    return x.toLocaleString('en-US', { maximumFractionDigits: places }).replace('-', MINUS);
  }
  function say(x, fmt, short) {
    if (x === null || x === undefined) return pick('not known', '未知');
    if (fmt === 'money') return cash(x, short);
    if (fmt === 'share') return percent(x);
    if (fmt === 'signed') return percent(x, true);
    if (fmt === 'days') return x.toFixed(1).replace(/\.0$/, '');
    if (fmt === 'fixed' && !short) return x.toFixed(2).replace('-', MINUS);
    if (fmt === 'count') return Math.round(x).toLocaleString('en-US');
    return plain(x);
  }
  const between = (low, high, fmt) => (low === null || high === null ? '' : `\n${pick('interval ', '区间')}${say(low, fmt)}${pick(' to ', '至')}${say(high, fmt)}`);

  const measure = document.createElement('canvas').getContext('2d');
  function width(text, size) {
    measure.font = `500 ${size}px ${FONT}`;
    return measure.measureText(text).width;
  }
  // `text` broken into lines that fit `room`
  function wrap(text, size, room) {
    const lines = [''];
    const parts = text.match(/[\u3000-\u9fff\uff00-\uffef] ?|[^\s\u3000-\u9fff\uff00-\uffef]+ ?/g) || [''];
    for (const word of parts) {
      const longer = lines[lines.length - 1] + word;
      if (width(longer, size) <= room || !lines[lines.length - 1]) lines[lines.length - 1] = longer; else lines.push(word);
    }
    return lines;
  }
  const widest = (texts, size) => Math.max(0, ...texts.map((t) => width(t, size)));

  // shapes of the overlay
  const style = (t, extra) => ({ font: `500 12px ${FONT}`, fill: t.ink, ...extra });
  const label = (t, text, x, y, extra) => ({ type: 'text', silent: true, style: style(t, { text, x, y, align: 'left', verticalAlign: 'middle', stroke: t.card, lineWidth: 4, ...extra }) });
  const stroke = (x1, y1, x2, y2, color, size, extra) => ({ type: 'line', silent: true, shape: { x1, y1, x2, y2 }, style: { stroke: color, lineWidth: size, ...extra } });
  const disc = (cx, cy, r, fill, edge) => ({ type: 'circle', silent: true, shape: { cx, cy, r }, style: { fill, stroke: edge, lineWidth: 2 } });
  const overlay = (z, paint) => ({ type: 'custom', silent: true, z, data: [[0, 0]], encode: { x: [], y: [] }, tooltip: { show: false }, clip: false,
    renderItem: (params, api) => ({ type: 'group', children: paint((x, y) => api.coord([x, y]), params.coordSys).filter(Boolean) }) });

  function base(t, grid) {
    return {
      animation: false,
      textStyle: { fontFamily: FONT },
      grid: { outerBoundsMode: 'same', outerBoundsContain: 'all', left: 4, right: 16, top: 26, bottom: 8, ...grid },
      tooltip: { trigger: 'item', renderMode: 'richText', confine: true, backgroundColor: t.ink, borderWidth: 0, padding: [8, 11],
        textStyle: { color: t.card, fontSize: 12.5, lineHeight: 18, fontFamily: FONT } },
    };
  }
  function axis(t, spec, extra, lines) {
    return {
      type: 'value', name: spec.name, nameLocation: 'middle', nameTextStyle: { color: t.faint, fontSize: 12 },
      axisLine: { show: false }, axisTick: { show: false }, splitLine: { show: Boolean(lines), lineStyle: { color: t.grid } },
      axisLabel: { color: t.soft, fontSize: 12, hideOverlap: true, formatter: (v) => say(v, spec.fmt, true) }, ...extra,
    };
  }
  const across = (t, spec, extra) => axis(t, spec, { nameGap: 30, ...extra });
  // an upright axis has its name above it (title), where it can be read without turning the head
  const upright = (t, spec, extra) => axis(t, spec, { name: undefined, ...extra }, true);
  const title = (t, text) => label(t, text, 3, 9, { fill: t.faint, font: `400 12px ${FONT}`, lineWidth: 0 });
  // a round end of an axis and the step to it
  function round(top, parts, whole) {
    const rough = Math.max(top, 1e-9) / parts;
    const power = 10 ** Math.floor(Math.log10(rough));
    const interval = power * (whole ? [1, 2, 5, 10] : [1, 2, 2.5, 5, 10]).find((m) => m * power >= rough * 0.9999);
    return { max: Math.ceil(top / interval - 1e-9) * interval, interval };
  }
  // an axis that ends where the data end, with ticks at round numbers
  function exact(t, spec, low, high, parts) {
    const whole = spec.fmt === 'count';
    const interval = Math.max(round(high - low, parts, whole).interval, whole ? 1 : 0);
    const ticks = [];
    for (let k = Math.ceil(low / interval - 1e-9); k * interval <= high + 1e-9 * interval; k++) ticks.push(k * interval || 0); // never -0
    return { min: low, max: high === low ? low + 1 : high, axisTick: { show: false, customValues: ticks }, splitLine: { show: false },
      axisLabel: { color: t.soft, fontSize: 12, hideOverlap: true, customValues: ticks, formatter: (v) => say(v, spec.fmt, true) } };
  }
  function span(low, high, parts) {
    const { interval } = round(Math.max(high, 0) - Math.min(low, 0) || 1, parts);
    return { min: Math.floor(Math.min(low, 0) / interval + 1e-9) * interval, max: Math.max(Math.ceil(high / interval - 1e-9) * interval, low < 0 ? 0 : interval), interval };
  }

  function columns(s, t, size) {
    const from = Math.min(0, s.bins[0][0]);
    const along = span(from, s.bins[s.bins.length - 1][1], size > 330 ? 7 : 4);
    return {
      ...base(t, { top: 48 }),
      xAxis: across(t, s.x, { ...along, axisLine: { show: true, lineStyle: { color: t.line } } }),
      yAxis: upright(t, s.y, { min: 0, minInterval: 1 }),
      series: [{ type: 'custom', data: s.bins, encode: { x: [0, 1], y: 2 }, itemStyle: { color: t.blue },
        tooltip: { formatter: (p) => `${say(p.value[0], s.x.fmt)}${pick(' to ', '至')}${say(p.value[1], s.x.fmt)}\n${say(p.value[2], 'count')} ${s.y.name}` },
        renderItem: (params, api) => {
          const [x0, y0] = api.coord([api.value(0), api.value(2)]);
          const [x1, y1] = api.coord([api.value(1), 0]);
          return { type: 'rect', shape: { x: x0 + 0.75, y: y0, width: Math.max(1, x1 - x0 - 1.5), height: y1 - y0, r: [2, 2, 0, 0] }, style: { fill: t.blue } };
        } },
      overlay(5, (at, box) => {
        if (s.mark[0] === null) return [title(t, s.y.name)];
        const x = at(s.mark[0], 0)[0];
        const right = x > box.x + box.width * 0.62;
        return [title(t, s.y.name), stroke(x, box.y - 12, x, box.y + box.height, t.orange, 2), label(t, `${s.mark[1]} ${say(s.mark[0], s.x.fmt)}`, x + (right ? -7 : 7), box.y - 10, { align: right ? 'right' : 'left', fill: t.orange, font: `600 12.5px ${FONT}` })];
      })],
    };
  }

  // rows with a name: the name stands left where there is room, above its row where there is not
  const sideOf = (s, size) => Math.min(widest(s.rows.map((r) => r.name), 13) + 22, size * 0.42, 250);
  const nameLines = (s, size, room) => Math.max(1, ...s.rows.map((r) => wrap(r.name, size, room).length));
  const beside = (s, size) => size >= 380 && nameLines(s, 13, sideOf(s, size) - 14) <= 2;
  const pitch = (s, size, side, above) => (beside(s, size) ? Math.max(side, 15 * nameLines(s, 13, sideOf(s, size) - 14) + 7) : above + 15 * (nameLines(s, 12.5, size - 20) - 1));
  function rows(s, t, size, right, paint, series) {
    const wide = beside(s, size), side = sideOf(s, size);
    const ends = s.rows.flatMap((r) => [r.value, r.low ?? r.value, r.high ?? r.value, 0]);
    const low = Math.min(...ends), high = Math.max(...ends);
    const along = exact(t, s.x, low, high, size > 560 ? 6 : 3);
    return {
      ...base(t, { outerBoundsMode: 'none', left: wide ? side : 3, right, top: wide ? 4 : 14 * nameLines(s, 12.5, size - 20), bottom: 46 }),
      xAxis: across(t, s.x, { ...along, name: undefined, axisLabel: { ...along.axisLabel, alignMinLabel: !wide && low === 0 ? 'left' : undefined } }),
      yAxis: { type: 'category', inverse: true, data: s.rows.map((_, i) => i), axisLine: { show: false }, axisTick: { show: false }, axisLabel: { show: false } },
      series: [...series, overlay(6, (at, box) => {
        const zero = at(0, 0)[0];
        return [label(t, s.x.name, box.x, box.y + box.height + 37, { fill: t.faint, font: `400 12px ${FONT}`, lineWidth: 0 }),
          (wide || low < 0) && stroke(zero, box.y, zero, box.y + box.height, t.faint, 1), ...s.rows.flatMap((r, i) => {
          const y = at(0, i)[1];
          const name = wide
            ? label(t, wrap(r.name, 13, side - 14).join('\n'), box.x - 12, y, { align: 'right', font: `${r.tone === 'ours' ? 600 : 500} 13px ${FONT}`, lineHeight: 15, lineWidth: 0 })
            : label(t, wrap(r.name, 12.5, size - 20).join('\n'), box.x, y - 9, { font: `${r.tone === 'ours' ? 600 : 500} 12.5px ${FONT}`, verticalAlign: 'bottom', lineHeight: 15 });
          return [name, ...paint(r, y, at)];
        })];
      })],
    };
  }
  const rowTip = (s) => (p) => {
    const r = s.rows[p.dataIndex];
    return `${r.name}\n${say(r.value, s.x.fmt)}${between(r.low ?? null, r.high ?? null, s.x.fmt)}${r.text ? '\n' + r.text : ''}`;
  };

  // a row's value behind its mark, and where there is room its text
  const room = (s, size, r) => size > 560 && r.text;
  const valueWidth = (s, size) => widest(s.rows.map((r) => say(r.value, s.x.fmt) + (room(s, size, r) ? `\u2003${r.text}` : '')), 12.5);
  const valueLabel = (s, t, size, r, x, y, weight) => {
    const value = say(r.value, s.x.fmt);
    return [label(t, value, x, y, { font: `${weight} 12.5px ${FONT}` }), room(s, size, r) && label(t, r.text, x + width(value, 12.5) + 14, y, { fill: t.faint })];
  };

  function bars(s, t, size) {
    const right = valueWidth(s, size) + 26;
    const series = { type: 'bar', data: s.rows.map((r) => ({ value: r.value, itemStyle: { color: t.blue, borderRadius: 2 } })), barWidth: beside(s, size) ? 16 : 12, tooltip: { formatter: rowTip(s) } };
    return rows(s, t, size, right, (r, y, at) => valueLabel(s, t, size, r, at(Math.max(r.value, 0), 0)[0] + 8, y, 600), [series]);
  }

  function forest(s, t, size) {
    const right = valueWidth(s, size) + 18;
    const tone = { main: t.blue, bad: t.orange, ours: t.orange, quiet: t.grey };
    const hits = { type: 'scatter', symbolSize: 18, itemStyle: { color: 'transparent' }, data: s.rows.map((r, i) => [r.value, i]), tooltip: { formatter: rowTip(s) } };
    return rows(s, t, size, right, (r, y, at) => {
      const color = tone[r.tone] || t.grey;
      const x = at(r.value, 0)[0];
      const end = at(Math.max(r.value, r.high ?? r.value), 0)[0];
      return [r.low !== null && r.high !== null && stroke(at(r.low, 0)[0], y, at(r.high, 0)[0], y, color, 2.5, { opacity: 0.6, lineCap: 'round' }),
        disc(x, y, 5, color, t.card), ...valueLabel(s, t, size, r, end + 10, y, 500)];
    }, [hits]);
  }

  // a band follows the points that have an interval
  function band(points, at, color) {
    const held = points.filter((p) => p[2] !== null && p[3] !== null);
    if (held.length < 2) return held.map((p) => stroke(at(p[0], p[2])[0], at(p[0], p[2])[1], at(p[0], p[3])[0], at(p[0], p[3])[1], color, 2, { opacity: 0.5 }));
    const path = [...held.map((p) => at(p[0], p[3])), ...held.slice().reverse().map((p) => at(p[0], p[2]))];
    return [{ type: 'polygon', silent: true, shape: { points: path }, style: { fill: color, opacity: 0.13 } }];
  }
  // labels at the lines' ends, pushed apart
  function endLabels(t, series, colors, at, room, box) {
    const found = series.map((one, i) => ({ text: wrap(one.name, 12.5, room), color: colors[i], x: at(one.points[one.points.length - 1][0], 0)[0] + 12, y: at(one.points[one.points.length - 1][0], one.points[one.points.length - 1][1])[1], }));
    for (const one of found) one.lines = one.text.length;
    found.sort((a, b) => a.y - b.y);
    let floor = -Infinity;
    for (const one of found) { one.y = Math.max(one.y, floor + one.lines * 8); floor = one.y + one.lines * 8 + 3; }
    let roof = box.y + box.height;
    for (const one of found.slice().reverse()) { one.y = Math.min(one.y, roof - one.lines * 8); roof = one.y - one.lines * 8 - 3; }
    return found.map((one) => label(t, one.text.join('\n'), one.x, one.y, { fill: one.color, font: `600 12.5px ${FONT}`, lineHeight: 16, lineWidth: 2 }));
  }
  // an axis that need not begin at zero: the values and a little room, at least a twentieth of their size
  function around(values) {
    const low = Math.min(...values), high = Math.max(...values), pad = Math.max((high - low) * 0.15, Math.abs(high) * 0.025, 1e-6);
    return [low - pad, high + pad];
  }
  // days that count for nothing, and numbered moments
  function marked(s, t, at, box) {
    const bottom = box.y + box.height;
    const bands = (s.shaded || []).map(([from, to]) => { const [a, b] = [at(from, 0)[0], at(to, 0)[0]]; return { type: 'rect', silent: true, shape: { x: a, y: box.y, width: Math.max(2, b - a), height: box.height }, style: { fill: t.grey, opacity: 0.25 } }; });
    let taken = -Infinity, row = 0;
    return [...bands, ...(s.marks || []).flatMap(([x, name]) => {
      const px = at(x, 0)[0];
      row = px - taken < 16 ? row + 1 : 0;
      taken = px;
      return [stroke(px, box.y, px, bottom, t.faint, 1, { lineDash: [2, 3] }), label(t, name, px + 3, box.y + 7 + 14 * row, { fill: t.soft, font: `600 11px ${FONT}` })];
    })];
  }
  function lines(s, t, size) {
    const wide = size > 560;
    const tint = s.series.map((one) => (s.series.length > 1 ? t[one.tone] : t.blue));
    const room = Math.min(widest(s.series.map((one) => one.name), 12.5) + 4, wide ? 190 : 92);
    const all = s.series.flatMap((one) => one.points);
    const xs = all.map((p) => p[0]);
    const ys = all.flatMap((p) => [p[1], p[2], p[3]]).filter((v) => v !== null);
    return {
      ...base(t, { right: room + 22, top: 32 }),
      xAxis: across(t, s.x, { ...exact(t, s.x, 0, Math.max(...xs), wide ? 6 : 4), axisLine: { show: true, onZero: false, lineStyle: { color: t.line } } }),
      yAxis: upright(t, s.y, s.close ? exact(t, s.y, ...around(ys), 5) : span(Math.min(...ys), Math.max(...ys), 6)),
      series: [overlay(0, (at, box) => marked(s, t, at, box)), overlay(1, (at, box) => [title(t, s.y.name), Math.min(...ys) < 0 && stroke(box.x, at(0, 0)[1], box.x + box.width, at(0, 0)[1], t.faint, 1), ...s.series.flatMap((one, i) => band(one.points, at, tint[i]))]),
        ...s.series.map((one, i) => ({ type: 'line', data: one.points.map((p, k) => ({ value: [p[0], p[1]], symbol: s.origin && k === 0 ? 'none' : 'circle', low: p[2], high: p[3], n: p[4] })),
          symbolSize: 7, showAllSymbol: true, clip: false, lineStyle: { color: tint[i], width: 2.25 }, itemStyle: { color: tint[i], borderColor: t.card, borderWidth: 1 }, emphasis: { disabled: true },
          tooltip: { formatter: (p) => `${one.name}\n${s.x.name} ${say(p.value[0], s.x.fmt)}: ${say(p.value[1], s.y.fmt)}${between(p.data.low, p.data.high, s.y.fmt)}${p.data.n ? '\nn = ' + say(p.data.n, 'count') : ''}` } })),
        overlay(8, (at, box) => endLabels(t, s.series, tint, at, room, box))],
    };
  }

  function calibration(s, t) {
    const top = Math.max(0.01, ...s.points.flatMap((p) => [p[0], p[1], p[3] ?? 0]));
    const range = round(top, 5);
    const most = range.max;
    return {
      ...base(t, { top: 30, right: 24 }),
      xAxis: across(t, s.x, { min: 0, ...range, axisLine: { show: true, lineStyle: { color: t.line } } }),
      yAxis: upright(t, s.y, { min: 0, ...range }),
      series: [overlay(1, (at) => {
        const [x0, y0] = at(0, 0), [x1, y1] = at(most, most);
        return [title(t, s.y.name), stroke(x0, y0, x1, y1, t.faint, 1.25, { lineDash: [5, 5] }), ...s.points.filter((p) => p[2] !== null && p[3] !== null).map((p) => stroke(at(p[0], p[2])[0], at(p[0], p[2])[1], at(p[0], p[3])[0], at(p[0], p[3])[1], t.blue, 2.5, { opacity: 0.45, lineCap: 'round' }))];
      }), { type: 'scatter', data: s.points, symbolSize: 9, clip: false, itemStyle: { color: t.blue, borderColor: t.card, borderWidth: 1.5, opacity: 1 },
        tooltip: { formatter: (p) => `${pick('predicted ', '预测')}${say(p.value[0], 'share')}${pick(', happened ', '，实际')}${say(p.value[1], 'share')}${between(p.value[2], p.value[3], 'share')}\nn = ${say(p.value[4], 'count')}` } }],
    };
  }

  function frontier(s, t, size) {
    const wide = size > 560;
    const [cx, cy, price] = s.chosen;
    const tops = s.points.flatMap((p) => [p[1], p[3] ?? p[1]]).concat(cy ?? 0);
    const lows = s.points.flatMap((p) => [p[1], p[2] ?? p[1]]).concat(cy ?? 0, 0);
    const end = Math.max(...s.points.map((p) => p[0]), cx ?? 0);
    return {
      ...base(t, { top: 32, right: 26 }),
      xAxis: across(t, s.x, { ...exact(t, s.x, 0, end || 1, wide ? 7 : 4), axisLine: { show: true, onZero: false, lineStyle: { color: t.line } } }),
      yAxis: upright(t, s.y, span(Math.min(...lows), Math.max(...tops) || -Math.min(...lows) / 9 || 1000, 6)),
      series: [overlay(1, (at) => [title(t, s.y.name), ...band(s.points, at, t.blue)]),
        { type: 'line', data: s.points.map((p) => ({ value: [p[0], p[1]], low: p[2], high: p[3], n: p[4] })), showSymbol: s.points.length === 1, symbolSize: 8, clip: false,
          lineStyle: { color: t.blue, width: 3 }, itemStyle: { color: t.blue }, tooltip: { trigger: 'axis' }, emphasis: { disabled: true } },
        overlay(8, (at, box) => {
          if (cx === null || cy === null) return [];
          const [x, y] = at(cx, cy), bottom = box.y + box.height;
          const reach = Math.min(end - cx, cx * 0.6 || end * 0.2);
          const slope = price === null || reach <= 0 ? [] : [stroke(...at(cx - Math.min(cx, reach), cy - price * Math.min(cx, reach)), ...at(cx + reach, cy + price * reach), t.orange, 1.75, { lineDash: [6, 4] })];
          const text = s.label.split(': ');
          const [sx, sy] = at(cx + reach, cy + (price ?? 0) * reach);
          const worth = slope.length && wide ? [label(t, s.slope, Math.max(sx, box.x + width(s.slope, 12) + 8), sy - 12, { align: 'right', fill: t.orange })] : [];
          const space = box.x + box.width - x > widest(text, 13) + 20;
          const under = bottom - y > 60 ? [22, 40] : [-40, -22];
          const place = { align: space ? 'left' : 'right', font: `600 13px ${FONT}` };
          return [stroke(x, y, x, bottom, t.faint, 1, { lineDash: [2, 4] }), stroke(box.x, y, x, y, t.faint, 1, { lineDash: [2, 4] }), ...slope, ...worth, disc(x, y, 7.5, t.orange, t.card),
            label(t, text[0], x + (space ? 14 : -14), y + under[0], { ...place, fill: t.orange }), label(t, text.slice(1).join(': '), x + (space ? 14 : -14), y + under[1], place)];
        })],
      tooltip: { ...base(t).tooltip, trigger: 'axis', axisPointer: { type: 'line', lineStyle: { color: t.faint, type: 'dotted' } },
        formatter: (found) => {
          const one = found.find((p) => p.seriesType === 'line');
          return one ? `${pick('budget ', '预算')}${cash(one.value[0])}\n${pick('extra profit ', '增加的利润')}${cash(one.value[1])}${between(one.data.low, one.data.high, 'money')}${one.data.n ? '\n' + say(one.data.n, 'count') + pick(' customers', '位客户') : ''}` : '';
        } },
    };
  }

  const kinds = { columns, bars, forest, lines, calibration, frontier };
  function height(spec, size, paper) {
    const count = (spec.rows || []).length;
    const wide = size > 560;
    if (spec.kind === 'bars') return count * pitch(spec, size, 28, 46) + 62;
    if (spec.kind === 'forest') return count * pitch(spec, size, 32, 44) + 66;
    const part = paper ? 0.72 : 1; // two pictures to a page
    return part * { columns: 270, frontier: spec.short ? 260 : wide ? 430 : 340, lines: spec.short ? 250 : wide ? 400 : 330, calibration: 340 }[spec.kind];
  }
  return { option: (spec, theme, size) => kinds[spec.kind](spec, theme, size), height, setMoney: (m, language) => { money = m; chinese = language === 'zh'; } };
})();
