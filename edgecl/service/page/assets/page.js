import { canRecord, fromFile, record } from '/recorder.js';

const $ = (id) => document.getElementById(id);
const POINTS = 100;
const EVENTS = 20;
const RETRY_MS = 5000;
let texts = {};
let state = null;
let takes = [];
let lesson = null; // the one that waits for its verdict
let last = null; // the latest verdict
let link = '';
const chart = [];

// texts

const t = (name, values = {}) =>
  (texts[name] ?? name).replace(/\{(\w+)\}/g, (_, key) => values[key] ?? '');

const language = () => {
  const wanted = localStorage.getItem('language') ?? navigator.language.slice(0, 2);
  return ['en', 'de', 'zh'].includes(wanted) ? wanted : 'en';
};

async function loadTexts() {
  texts = await (await fetch(`/texts/${language()}.json`)).json();
  document.documentElement.lang = language();
  $('language').value = language();
  document.querySelectorAll('[data-t]').forEach((one) => { one.textContent = t(one.dataset.t); });
}

// small things

function element(kind, properties = {}, ...children) {
  const one = Object.assign(document.createElement(kind), properties);
  one.append(...children.filter((child) => child !== null));
  return one;
}

const button = (text, onclick, className = 'small') => element('button', { type: 'button', className, onclick }, text);
const percent = (share) => `${Math.round(100 * share)} %`;
const bytes = (n) => (n < 1 << 20 ? `${(n / 1024).toFixed(0)} KiB` : `${(n / (1 << 20)).toFixed(1)} MiB`);
const when = (text) => new Date(text).toLocaleString(language(), { dateStyle: 'short', timeStyle: 'short' });

async function call(path, body) {
  const isSound = body instanceof Blob;
  const response = await fetch(path, body === undefined ? {} : {
    method: 'POST',
    body: isSound ? body : JSON.stringify(body),
    headers: { 'Content-Type': isSound ? 'audio/wav' : 'application/json' },
  });
  const answer = await response.json();
  if (response.status === 401) { start(); }
  if (!response.ok) { throw new Error(answer.error); }
  return answer;
}

function say(kind, text, ...more) {
  $('verdict').replaceChildren(element('p', { className: kind }, text), ...more);
}

const guarded = (run) => async (...given) => {
  try { await run(...given); } catch (error) { say('bad', t('failed', { why: error.message })); }
};

function confirmed(text, yes) {
  $('ask_text').textContent = text;
  $('ask_yes').textContent = yes;
  $('ask').showModal();
  return new Promise((resolve) => {
    $('ask').onclose = () => resolve($('ask').returnValue === 'yes');
  });
}

// takes and lessons

function label() {
  const name = $('label').value.trim();
  if (!name) { $('label').focus(); throw new Error(t('name_first')); }
  return name;
}

function added(answer) {
  say('good', t(answer.items.length > 1 ? 'windows_kept' : 'take_kept', { n: answer.items.length, db: answer.peak_dbfs }));
  return showInbox();
}

const recordHere = guarded(async () => {
  const seconds = state.modality === 'voice' ? state.take_s : 60;
  await busy($('here'), seconds, async () => added(await call('/api/record', { label: label(), seconds })));
});

const recordPhone = guarded(async () => {
  const name = label();
  $('level').hidden = false;
  await busy($('phone'), state.take_s, async () => {
    let sound;
    try { sound = await record(state.take_s, (db) => { $('level').value = db; }); } catch (error) {
      $('file_label').hidden = false; // refused, or not there: what the phone records by itself is taken
      throw error;
    } finally { $('level').hidden = true; }
    await added(await call(`/api/takes?label=${encodeURIComponent(name)}`, sound));
  });
});

const recordFile = guarded(async () => {
  const name = label(); // without one the files wait until it is given
  const files = [...$('file').files];
  $('file').value = '';
  const failed = [];
  for (const one of files) {
    try {
      await added(await call(`/api/takes?label=${encodeURIComponent(name)}`, await fromFile(one)));
    } catch (error) { failed.push(`${one.name}: ${error.message}`); }
  }
  if (failed.length) { throw new Error(failed.join('; ')); }
});

async function busy(one, seconds, run) {
  one.disabled = true;
  one.classList.add('recording');
  say('', t('speak_now', { label: $('label').value.trim(), s: seconds }));
  try { await run(); } finally { one.disabled = false; one.classList.remove('recording'); }
}

const mine = () => takes.filter((one) => one.label === $('label').value.trim());

const learn = guarded(() => teach(mine().map((one) => one.id), label()));

async function teach(items, name, answer = '') {
  $('learn').disabled = true;
  say('', t('learning'));
  try {
    lesson = { ...await call('/api/lessons', { items, label: name, answer }), items, name };
  } catch (error) {
    showTakes(); // it can be tried again
    throw error;
  }
}

function heardVerdict(verdict) {
  last = verdict;
  if (verdict.verb === 'forget' && verdict.outcome === 'done') { return say('good', t('forgotten', { label: verdict.label }), receipt(verdict)); }
  if (verdict.verb === 'rollback' && verdict.outcome === 'done') { return say('good', t('rolled_back', { n: verdict.rolled_back_to })); }
  const kind = { accepted: 'good', unproven: 'good', 'nothing new': 'good', asks: 'warn' }[verdict.outcome] ?? 'bad';
  const head = element('strong', {}, t(`outcome_${verdict.outcome.replace(' ', '_')}`));
  say(kind, '', ...[explained(verdict), leftOut(verdict), reasons(verdict), ...asked(verdict)].filter(Boolean));
  $('verdict').firstChild.replaceChildren(head);
  return undefined;
}

function explained(verdict) {
  const one = (verdict.classes ?? {})[verdict.label];
  if (!one) { return null; }
  const old = verdict.pooled_change;
  const parts = [t(one.is_new ? 'sentence_new' : 'sentence_more', { label: verdict.label, n: verdict.samples, share: one.after === null ? '–' : percent(one.after) })];
  if (old !== null && old !== undefined) { parts.push(t(old < 0 ? 'sentence_lost' : 'sentence_kept', { points: (100 * old).toFixed(1) })); }
  return element('p', {}, parts.join(' '));
}

function reasons(verdict) {
  const found = [...(verdict.reasons ?? []), ...(verdict.error ? [verdict.error] : [])];
  return found.length ? element('ul', { lang: 'en' }, ...found.map((one) => element('li', {}, one))) : null;
}

function question({ label: name, like }) {
  const answer = (given) => guarded(() => teach([], name, given));
  return element('div', { className: 'question', role: 'group', ariaLabel: t('question', { label: name, like }) },
    element('p', {}, t('question', { label: name, like })),
    button(t('same', { like }), answer(`same:${like}`)),
    button(t('distinct'), answer('distinct')));
}

const asked = (verdict) => (verdict.questions ?? []).map(question);

function leftOut(verdict) {
  const n = (verdict.set_aside ?? []).length;
  return n ? element('p', {}, t('set_aside_n', { n })) : null;
}

function showQuestions() {
  const inVerdict = new Set((last?.questions ?? []).map((one) => one.label));
  const waiting = state.questions.filter((one) => !inVerdict.has(one.label));
  $('asked').replaceChildren(...waiting.map(question));
}

function receipt(verdict) {
  const { revisions = [], objects = [], exemplars = 0 } = verdict.removed ?? {};
  return element('div', {},
    element('p', {}, t('receipt', { revisions: revisions.length, objects: objects.length, exemplars })),
    element('p', { className: 'note' }, `${verdict.before?.sha256?.slice(0, 16)} → ${verdict.after?.sha256?.slice(0, 16)}`),
    element('details', {}, element('summary', {}, t('not_promised')),
      element('ul', { lang: 'en' }, ...(verdict.not_promised ?? []).map((one) => element('li', {}, one)))));
}

// what is shown

async function showState() {
  state = await call('/api/state');
  document.title = `${state.store} · edgecl`;
  $('store').textContent = state.store;
  const isSound = state.modality === 'voice';
  const isText = state.modality === 'text';
  $('here').hidden = !state.can_record || isText;
  $('here').textContent = t(isSound ? 'record_here' : 'record_movement', { s: 60 });
  $('phone').hidden = !isSound || !canRecord();
  $('file_label').hidden = !isSound || canRecord();
  const isTaughtHere = isSound || isText || state.can_record;
  $('sound_tools').hidden = isText;
  $('learn').hidden = isText || !isTaughtHere;
  $('label').hidden = $('label_title').hidden = !isTaughtHere;
  $('text_tools').hidden = !isText;
  $('record_note').textContent = isSound ? t(state.can_record ? 'note_here' : canRecord() ? 'note_phone' : 'note_file') : isTaughtHere ? '' : t('note_elsewhere', { store: state.store });
  $('chart').hidden = isSound || isText;
  showClasses();
  showBudget();
  showQuestions();
}

function showClasses() {
  const names = Object.keys(state.classes);
  $('no_classes').hidden = names.length > 0;
  $('labels').replaceChildren(...names.map((value) => element('option', { value })));
  $('classes').replaceChildren(...names.map((name) => {
    const one = state.classes[name];
    const heard = state.spotting[name] ? ` · ${t('heard_share', { share: percent(state.spotting[name].heard) })}` : '';
    return element('li', {}, element('span', {}, element('b', {}, name), `${t('samples', { n: one.samples })}${heard} `),
      button(t('forget'), guarded(async () => {
        if (await confirmed(t('forget_sure', { label: name }), t('forget'))) { await call('/api/forget', { label: name }); }
      }), 'small danger'));
  }));
}

function showBudget() {
  const rows = [['memory', state.bytes, state.budget_bytes], ['disk', state.disk_bytes, state.disk_budget_bytes]];
  $('budget').replaceChildren(...rows.map(([name, value, max]) => element('label', {}, t(name),
    element('meter', { max, value, high: 0.9 * max, optimum: 0 }),
    element('span', { className: 'note' }, `${bytes(value)} / ${bytes(max)}`))));
}

async function showInbox() {
  const { items } = await call('/api/inbox');
  takes = items.filter((one) => one.kind === 'take');
  const others = items.filter((one) => one.kind !== 'take');
  $('inbox').replaceChildren(...others.map(inboxItem));
  $('no_inbox').hidden = others.length > 0;
  showTakes();
}

function showTakes() {
  const found = mine();
  $('takes_title').hidden = !found.length;
  $('takes').replaceChildren(...found.map((one) => element('li', {}, player(one), discard(one))));
  $('learn').disabled = !found.length;
  $('learn').textContent = found.length ? t('learn', { n: found.length }) : t('learn_none');
}

const player = (one) => (one.file.endsWith('.wav')
  ? element('audio', { controls: true, preload: 'none', src: `/api/inbox/${one.id}.wav`, ariaLabel: t('listen_to', { id: one.id }) })
  : element('span', {}, one.text ? `“${one.text}” ` : `${one.seconds} s `));

const discard = (one) => button(t('discard'), guarded(async () => {
  await call(`/api/inbox/${one.id}/discard`, {});
  await showInbox();
}));

function inboxItem(one) {
  const field = element('input', { id: `name${one.id}`, value: '', maxLength: 64, autocomplete: 'off' });
  field.setAttribute('list', 'labels');
  const teachAs = async (given) => {
    say('', t('learning'));
    lesson = { ...await call(`/api/inbox/${one.id}/label`, { label: given }), items: [one.id] };
  };
  const name = guarded(async (event) => {
    event.preventDefault();
    if (field.value.trim()) { await teachAs(field.value.trim()); }
  });
  const isAside = one.kind === 'set aside';
  const itIs = (given) => button(t('it_is', { label: given }), guarded(() => teachAs(given)));
  const facts = t(one.called ? 'left_out' : 'answered', { called: one.called, label: one.label, share: percent(one.confidence) });
  return element('li', {},
    element('p', { className: 'note' }, `${t(one.kind === 'question' ? 'kind_question' : one.kind)} · ${when(one.kept)} · ${facts}${one.count > 1 ? ` · ${one.count}×` : ''}`),
    player(one),
    ...(isAside ? [itIs(one.called), itIs(one.label)] : []),
    element('form', { className: 'row', onsubmit: name },
      element('label', { htmlFor: field.id }, t('it_was')), field, element('button', { className: 'small' }, t('teach_it')), discard(one)));
}

async function showHistory() {
  const { history } = await call('/api/history');
  $('history').replaceChildren(...history.slice(0, 15).map((one) => {
    const what = one.kind === 'rollback' ? t('rolled_back', { n: one.rolled_back_to })
      : Object.entries(one.lesson).map(([name, n]) => `${name} +${n}`).join(', ') || t(`kind_${one.kind}`);
    const verdict = one.kind === 'rejected' ? t('short_rejected') : one.kind === 'unchanged' ? t('kind_unchanged') : one.accepted ? t(one.proven ? 'short_accepted' : 'short_unproven') : '';
    const back = state.revisions.includes(one.revision) && one.revision !== state.revision
      ? button(t('back_to', { n: one.revision }), guarded(() => call('/api/rollback', { revision: one.revision }))) : null;
    return element('li', {}, element('b', {}, one.revision ? `${one.revision}` : '–'), `${when(one.time)} · ${what} `,
      element('span', { className: one.kind === 'rejected' ? 'bad' : 'good' }, verdict), back);
  }));
  $('undo').disabled = state.revisions.length < 2;
}

function showEvent(event) {
  $('no_events').hidden = true;
  $('events').prepend(element('li', {}, element('b', {}, event.label),
    `${percent(event.confidence)} · ${new Date().toLocaleTimeString(language())}`));
  while ($('events').children.length > EVENTS) { $('events').lastChild.remove(); }
}

function showSignal({ row, level }) {
  if (level !== undefined) { $('level').value = level; return; }
  chart.push(row);
  if (chart.length > POINTS) { chart.shift(); }
  const low = Math.min(...chart.flat());
  const span = Math.max(...chart.flat()) - low || 1;
  const lines = row.slice(0, 3).map((_, channel) => {
    const line = document.createElementNS('http://www.w3.org/2000/svg', 'polyline');
    line.setAttribute('points', chart.map((one, x) => `${(300 * x) / POINTS},${78 - (76 * (one[channel] - low)) / span}`).join(' '));
    return line;
  });
  $('chart').replaceChildren($('chart').firstElementChild, ...lines);
}

const showAll = async () => { await showState(); await showInbox(); await showHistory(); };

// beginning

let source = null;

function follow() {
  source?.close();
  source = new EventSource('/api/events');
  const showLink = (name) => { link = name; $('link').textContent = t(name); };
  source.onopen = () => {
    if (link === 'disconnected') { showAll().catch(() => {}); } // what happened meanwhile
    showLink('connected');
  };
  source.onerror = ({ target }) => {
    showLink('disconnected');
    if (target.readyState === EventSource.CLOSED) { setTimeout(begin, RETRY_MS); } // it does not try again by itself
  };
  const on = (kind, run) => source.addEventListener(kind, (message) => run(JSON.parse(message.data)));
  on('event', (event) => { showEvent(event); showInbox(); });
  on('verdict', (verdict) => { heardVerdict(verdict); showAll(); });
  on('state', showAll);
  on('signal', showSignal);
}

async function start() {
  const { paired } = await (await fetch('/api/hello')).json();
  $('pair').hidden = paired;
  $('desk').hidden = !paired;
  if (!paired) { source?.close(); $('code').focus(); return; }
  await showAll();
  follow();
}

const begin = () => start().catch(() => setTimeout(begin, RETRY_MS));

$('pair').onsubmit = async (event) => {
  event.preventDefault();
  $('pair_error').textContent = '';
  try {
    const response = await fetch('/api/pair', {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ code: $('code').value }),
    });
    if (response.ok) { await start(); $('label').focus(); } else { $('pair_error').textContent = t('wrong_code'); $('code').select(); }
  } catch (error) { $('pair_error').textContent = t('failed', { why: error.message }); }
};
$('language').onchange = async () => {
  localStorage.setItem('language', $('language').value);
  await loadTexts();
  if ($('desk').hidden) { return; }
  $('link').textContent = t(link);
  if (last) { heardVerdict(last); }
  await showAll();
};
$('here').onclick = recordHere;
$('phone').onclick = recordPhone;
$('file').onchange = recordFile;
$('label').oninput = showTakes;
$('label').onchange = () => $('file').files.length && recordFile();
$('learn').onclick = learn;
$('undo').onclick = guarded(() => call('/api/rollback', {}));
$('wrong').onclick = guarded(async () => {
  if (await confirmed(t('wrong_sure'), t('wrong_yes'))) { say('', t('learning')); await call('/api/wrong', {}); }
});
$('try').onclick = guarded(async () => {
  $('answer').textContent = '';
  const answer = await call('/api/texts', { text: $('text').value });
  const found = answer.known ? `${answer.label} · ${percent(answer.confidence)}` : t('unlike', answer);
  $('answer').textContent = answer.error ?? answer.skipped ?? found;
});
$('teach_text').onclick = guarded(async () => { say('', t('learning')); await call('/api/texts', { text: $('text').value, label: label() }); });

await loadTexts();
await begin();
